"""What `bert-mlm` and `classifier` saved, ready to be used: fill a mask, label a text, measure both on a text."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from trainers import corpus, results
from trainers.scores import confusion, scores

SETTINGS = "trainer.json"  # beside what `save_pretrained` writes
AT_ONCE = 64  # windows


def save_settings(folder: Path, settings: Any) -> None:
    """Keep the settings of a training beside its model: they say which text is its test part."""
    (folder / SETTINGS).write_text(json.dumps(dataclasses.asdict(settings), indent=1), encoding="utf-8")


class Borrowed:
    """A model of Hugging Face with its tokenizer; `kind` is the name of its trainer."""

    def __init__(self, folder: Path, kind: str, device: str) -> None:
        import transformers

        from trainers.devices import choose_device

        transformers.logging.disable_progress_bar()
        self.kind, self.device = kind, choose_device(device)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        named = "AutoModelForMaskedLM" if kind == "bert-mlm" else "AutoModelForSequenceClassification"
        self.model: Any = getattr(transformers, named).from_pretrained(folder).to(self.device).eval()
        self.context = int(self.tokenizer.model_max_length)
        self.settings = self._settings(folder)

    def _settings(self, folder: Path) -> Any:
        from trainers import bert_mlm, classifier

        kind: Any = bert_mlm.Settings if self.kind == "bert-mlm" else classifier.Settings
        known = {field.name for field in dataclasses.fields(kind)}
        kept = json.loads((folder / SETTINGS).read_text(encoding="utf-8")) if (folder / SETTINGS).exists() else {}
        return kind(**{name: value for name, value in kept.items() if name in known})

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits for rows of ids: float64, [rows, tokens, vocabulary] or [rows, classes]."""
        import torch

        found = []
        with torch.no_grad():
            for start in range(0, len(ids), AT_ONCE):
                rows = torch.from_numpy(ids[start : start + AT_ONCE]).to(self.device)
                found.append(self.model(input_ids=rows).logits.double().cpu().numpy())
        return np.concatenate(found)

    # ---- one text

    def answer(self, prompt: str, temperature: float, top_k: int, seed: int) -> str:
        """Return the text with its masks filled, or what class it is of."""
        if not prompt:
            raise ValueError(f"{self.kind} needs a text: --prompt" + (f' "The {self._mask} of"' if self._fills else ""))
        ids = self.tokenizer(prompt, verbose=False)["input_ids"]
        if len(ids) > self.context:
            if self._fills:
                raise ValueError(
                    f"the prompt has {len(ids):,} tokens, and the model sees {self.context}: give a shorter one"
                )
            print(f"the model sees the first {self.context} of {len(ids):,} tokens", file=sys.stderr)
            ids = [*ids[: self.context - 1], ids[-1]]
        return self._filled(prompt, ids, temperature, top_k, seed) if self._fills else self._labelled(ids)

    @property
    def _fills(self) -> bool:
        return self.kind == "bert-mlm"

    @property
    def _mask(self) -> str:
        return str(self.tokenizer.mask_token)

    def _filled(self, prompt: str, ids: list[int], temperature: float, top_k: int, seed: int) -> str:
        from trainers.sampling import draw

        places = [at for at, token in enumerate(ids) if token == self.tokenizer.mask_token_id]
        if not places:
            raise ValueError(
                f'bert-mlm fills gaps: write {self._mask} where a token is missing, --prompt "{prompt.rstrip()} {self._mask}"'
            )
        logits = self.logits(np.array([ids]))[0]
        logits[:, self.tokenizer.all_special_ids] = -np.inf
        rng = np.random.default_rng(seed)
        for at in places:
            ids[at] = draw(logits[at], temperature, top_k, rng)
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _labelled(self, ids: list[int]) -> str:
        logits = self.logits(np.array([ids]))[0]
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        names = self.model.config.id2label
        return "\n".join(f"{names[int(i)]} {chances[i]:.1%}" for i in (-chances).argsort())

    # ---- a whole text

    def measured(self, data: tuple[str, ...]) -> str:
        """Return what it reaches on files, or on the test part of what it was trained on."""
        return self._masked_loss(data) if self._fills else self._scores(data)

    def _masked_loss(self, data: tuple[str, ...]) -> str:
        from trainers.bert_mlm import masking, windows

        s = self.settings
        texts, _ = corpus.documents(data or tuple(s.data), 0 if data else s.max_characters)
        rows = windows(texts if data else corpus.split(texts)[2], self.tokenizer, self.context)
        hide = masking(self.tokenizer, s)
        total, masked = 0.0, 0
        for start in range(0, len(rows), AT_ONCE):
            batch = hide(rows[start : start + AT_ONCE])
            logits, labels = self.logits(batch["input_ids"].numpy()), batch["labels"].numpy()
            asked = labels >= 0
            chosen = logits[asked] - logits[asked].max(1, keepdims=True)
            total -= float((chosen[np.arange(len(chosen)), labels[asked]] - np.log(np.exp(chosen).sum(1))).sum())
            masked += int(asked.sum())
        if not masked:
            raise ValueError("there is too little text: no token of it was masked")
        said = results.about_losses({"its" if data else "test": total / masked}, {}, "pseudo-perplexity")
        return f"{said}\n{masked:,} masked tokens"

    def _scores(self, data: tuple[str, ...]) -> str:
        from trainers.bert_mlm import windows
        from trainers.classifier import labelled_texts, passages

        s = dataclasses.replace(self.settings, context=self.context)
        names = list(self.model.config.id2label.values())
        if data:
            texts = {Path(path).stem: filter(None, map(corpus.clean, corpus.file_documents(path))) for path in data}
            unknown = [name for name in texts if name not in names]
            if unknown:
                raise ValueError(
                    f"each file must be named after its class, {', '.join(names)}; there is none for {unknown[0]}"
                )
            rows = [
                row | {"labels": names.index(name)}
                for name, documents in texts.items()
                for row in windows(list(documents), self.tokenizer, self.context)
            ]
        else:
            _, _, rows = passages(labelled_texts(s.data, s.max_characters), self.tokenizer, s)
        logits = self.logits(np.array([row["input_ids"] for row in rows]))
        return about_classes(logits, np.array([row["labels"] for row in rows]), names)


def about_classes(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> str:
    """Return the scores of a classifier, and which class was taken for which."""
    found = ", ".join(f"{name} {value:.3f}" for name, value in scores(logits, labels).items())
    most = np.bincount(labels).max() / len(labels)
    table = confusion(logits, labels, names)
    return f"test {found}; always the largest class: accuracy {most:.3f}\n{len(labels):,} passages\n{table}"
