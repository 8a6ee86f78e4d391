"""Fine-tune what `bert-mlm` saved to say where a passage comes from; the classes are unequal on purpose.

Read `train` from top to bottom: labelled passages, class weights, cross-validation of the learning rate, the final
run. The default classes are parts of Python's documentation (`CLASSES`), of which the largest is several times the
smallest; with `--data A.txt B.txt …` every file is a class.
"""

from __future__ import annotations

import dataclasses
import os
import sysconfig
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import corpus, resuming, saved_models
from trainers.bert_mlm import arguments, go_on, header_facts, show_progress, windows
from trainers.borrowed_loops import check_fault
from trainers.borrowed_models import about_classes, save_settings
from trainers.faults import Hooks
from trainers.scores import scores
from trainers.settings import Output, check_numbers, checkpoint_folder, setting

CLASSES = {  # top-level modules and packages of the standard library; "language": the reference behind help()
    "language": (),
    "concurrency": ("asyncio", "concurrent"),
    "internet": ("email", "http", "urllib", "xml", "html", "smtplib.py", "ftplib.py", "ssl.py", "socket.py"),
    "library": ("*",),
}


@dataclass
class Settings(Output):
    """The settings of the classifier."""

    pretrained: str = setting("runs/bert-mlm-1.checkpoints/final", "folder with model and tokenizer, from bert-mlm")
    data: list[str] = setting([], "UTF-8 text files, one per class; default: parts of Python's documentation")  # noqa: RUF009
    max_characters: int = setting(300_000, "characters of text to use per class; 0: all of it")

    # how long, and on how much
    steps: int = setting(300, "optimizer updates", least=1)
    batch_size: int = setting(32, "passages per optimizer update", least=1)
    context: int = setting(0, "tokens per passage; 0: as many as the model was trained with, which is the most")
    accumulation: int = setting(1, "micro-batches per optimizer update; divides the batch size", least=1)

    # how fast
    lr: float = setting(5e-4, "peak learning rate, where there is no cross-validation")
    lrs: str = setting("1e-4,3e-4,1e-3", "learning rates to choose from by cross-validation")
    folds: int = setting(0, "folds of the cross-validation; 0: none")
    fold_steps: int = setting(60, "optimizer updates per fold and learning rate", least=1)
    schedule: str = setting("linear", "learning rate after the warm-up", ("linear", "cosine", "constant_with_warmup"))
    warmup_steps: int = setting(30, "steps of linear warm-up")
    grad_clip: float = setting(3.0, "limit of the global gradient norm; 0: none")
    weight_decay: float = setting(0.01, "decay of matrices; vectors are never decayed")

    # unequal classes
    balance: str = setting(
        "weights",
        "rare classes: weigh their errors up, draw fewer of the others, or nothing",
        ("weights", "sampling", "none"),
    )

    # how often to look, and what to keep
    layers_every: int = setting(10, "steps between per-layer statistics; 0: none")
    eval_every: int = setting(50, "steps between evaluations", least=1)
    eval_passages: int = setting(1024, "passages to evaluate on, drawn from the validation part; 0: all of it")
    save_every: int = setting(50, "steps between checkpoints", least=1)
    keep: int = setting(2, "newest checkpoints to keep", least=1)
    checkpoints: str = setting("", "folder for checkpoints and the final model; default: beside the log")
    resume: bool = setting(False, "continue from the newest checkpoint and append to the log")

    # where and in which numbers
    device: str = setting("auto", "auto (the accelerator there is) or cpu", ("auto", "cpu"))
    precision: str = setting("fp32", "numbers of the forward pass; bf16 and fp16 by autocast", ("fp32", "bf16", "fp16"))


def train(settings: Settings, hooks: Hooks) -> None:
    """Fine-tune with `Trainer.train`; raises ValueError for settings that do not fit together."""
    check_fault(hooks, "the Trainer")
    check_numbers(settings)
    candidates(settings)
    # before the model: a wrong name is told at once, and not when a model has been trained for it
    texts = labelled_texts(settings.data, settings.max_characters)
    pretrained = saved_models.folder_of(settings.pretrained, "bert-mlm")
    if not (pretrained / "tokenizer.json").exists():
        raise ValueError(f"the model in {pretrained} has no tokenizer of its own: bert-mlm saves what is needed here")
    settings = dataclasses.replace(settings, pretrained=str(pretrained))
    with tempfile.TemporaryDirectory() as scratch:
        if settings.dry_run:
            settings = dataclasses.replace(
                settings, steps=2, eval_every=2, folds=0, log=os.devnull, checkpoints=scratch
            )
        _train(settings, texts, scratch)


def _train(settings: Settings, texts: dict[str, Iterator[str]], scratch: str) -> None:
    import transformers

    from lmdiag.record.huggingface import LmdiagCallback

    # ---- data: passages of each class, cut into train, validation and test before they are mixed

    tokenizer = transformers.AutoTokenizer.from_pretrained(settings.pretrained)
    longest = tokenizer.model_max_length  # the model knows no position beyond
    if settings.context > longest:
        raise ValueError(f"--context {settings.context}: the model was trained with {longest} tokens")
    settings = dataclasses.replace(settings, context=settings.context or longest)
    names = list(texts)
    training, validation, test = passages(texts, tokenizer, settings)
    counts = np.bincount([row["labels"] for row in training], minlength=len(names))

    # ---- the learning rate: each candidate is tried on every fold, by runs too short for a log of their own

    tried = {}
    if settings.folds:
        tried = cross_validate(training, names, settings, scratch)
        settings = dataclasses.replace(settings, lr=max(tried, key=lambda lr: tried[lr]["f1"]))

    # ---- the run itself

    header = header_facts(settings, "classification")
    header["config"] |= {
        "classes": {name: int(count) for name, count in zip(names, counts)},
        "cross_validation": {f"{lr:g}": found for lr, found in tried.items()},
    }
    callback = LmdiagCallback(settings.log, settings.layers_every, **header)
    folder = checkpoint_folder(settings)
    trainer = build(settings, training, validation, names, folder, [callback])
    with callback, show_progress(trainer, settings) as progress:
        shares = ", ".join(f"{name} {count / counts.sum():.0%}" for name, count in zip(names, counts))
        progress.say(f"text: {len(training):,} passages to train on, {len(validation):,} to validate on: {shares}")
        inputs = [row["input_ids"] for row in training]
        begun = resuming.begun(settings, [names, fingerprint(settings.pretrained)], inputs)
        go_on(trainer, settings, begun, progress)
    if not settings.dry_run:
        trainer.callback_handler.callbacks.clear()  # the log of the training has ended
        predicted = trainer.predict(test)
        progress.say(about_classes(np.asarray(predicted.predictions), np.asarray(predicted.label_ids), names))
    trainer.save_model(str(folder / "final"))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(str(folder / "final"))
        save_settings(folder / "final", settings)


def fingerprint(pretrained: str) -> int:
    """Return what tells one pretrained model from another: of the file with its weights."""
    return zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(pretrained).glob("*.safetensors"))))


def build(
    settings: Any, training: list[Any], validation: list[Any], names: list[str], folder: Path, callbacks: list[Any]
) -> Any:
    """Return a Trainer for the pretrained model with a new layer for the classes."""
    import transformers

    transformers.set_seed(settings.seed)
    transformers.logging.set_verbosity_error()  # it warns that the layer for the classes is new
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        settings.pretrained, num_labels=len(names), id2label=dict(enumerate(names))
    )
    model.accepts_loss_kwargs = False  # as in bert_mlm: its loss is the mean of a micro-batch
    counts = np.bincount([row["labels"] for row in training], minlength=len(names))
    if settings.balance == "sampling":
        training = fewer_of_the_others(training, counts, settings.seed)
    return transformers.Trainer(
        model,
        arguments(settings, folder),
        train_dataset=training,
        eval_dataset=validation,
        compute_metrics=lambda found: scores(np.asarray(found.predictions), np.asarray(found.label_ids)),
        compute_loss_func=weighted_loss(counts) if settings.balance == "weights" else None,
        callbacks=callbacks,
    )


def weighted_loss(counts: np.ndarray) -> Any:
    """Return a cross-entropy in which all classes weigh the same, however many passages they have.

    The Trainer adds up what it gives for the micro-batches of an update, and says how many passages they have together.
    """
    import torch

    weights = torch.tensor(counts.sum() / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)  # 1 on average

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        logits = outputs["logits"]
        total = torch.nn.functional.cross_entropy(logits.float(), labels, weights.to(logits.device), reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


def fewer_of_the_others(rows: list[dict[str, Any]], counts: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Keep of every class at most twice as many passages as the rarest has."""
    most = 2 * int(counts[counts > 0].min())
    order = np.random.default_rng(seed).permutation(len(rows))
    kept: dict[int, int] = {}
    chosen = []
    for row in (rows[i] for i in order):
        kept[row["labels"]] = kept.get(row["labels"], 0) + 1
        if kept[row["labels"]] <= most:
            chosen.append(row)
    return chosen


def candidates(settings: Settings) -> list[float]:
    """Return the learning rates to choose from; raises ValueError for what is none."""
    rates = []
    for word in settings.lrs.split(","):
        try:
            rates.append(float(word))
        except ValueError:
            raise ValueError(
                f"--lrs {settings.lrs}: {word!r} is no number; separate learning rates by commas"
            ) from None
        if not 0 < rates[-1] < np.inf:
            raise ValueError(f"--lrs {settings.lrs}: a learning rate must be above 0, not {word}")
    return rates


def cross_validate(
    rows: list[Any], names: list[str], settings: Settings, scratch: str
) -> dict[float, dict[str, float]]:
    """Return {learning rate: mean and spread of F1 over the folds}; every passage is held out exactly once."""
    order = np.random.default_rng(settings.seed).permutation(len(rows))
    folds = np.array_split(order, settings.folds)
    found = {}
    for lr in candidates(settings):
        f1s = []
        for held_out in folds:
            rest = np.setdiff1d(order, held_out)
            short = dataclasses.replace(
                settings, lr=lr, steps=settings.fold_steps, eval_every=settings.fold_steps, save_every=10**9
            )
            trainer = build(short, [rows[i] for i in rest], [rows[i] for i in held_out], names, Path(scratch), [])
            show_progress(trainer, dataclasses.replace(short, dry_run=True))  # only silence: the bar is not entered
            trainer.train()
            f1s.append(trainer.state.log_history[-2]["eval_f1"])  # the last record is the summary of the run
        found[lr] = {"f1": round(float(np.mean(f1s)), 4), "spread": round(float(np.std(f1s)), 4)}
    return found


# ---- passages and their classes


Rows = list[dict[str, Any]]


def passages(texts: dict[str, Iterator[str]], tokenizer: Any, settings: Settings) -> tuple[Rows, Rows, Rows]:
    """Return training, validation and test passages; each holds every class, and no document is in two of them."""
    training: Rows = []
    validation: Rows = []
    test: Rows = []
    rng = np.random.default_rng(settings.seed)
    for label, in_order in enumerate(map(list, texts.values())):
        # by chance: in the order of their names the last fifth is about something else
        documents = [in_order[i] for i in rng.permutation(len(in_order))]
        cut = max(1, round(0.8 * len(documents)))
        held_out = documents[cut:] or documents[:1]
        half = (len(held_out) + 1) // 2
        parts = ((documents[:cut], training), (held_out[:half], validation), (held_out[half:] or held_out, test))
        for part, rows in parts:
            rows += [{**row, "labels": label} for row in windows(part, tokenizer, settings.context)]
    drawn = rng.permutation(len(validation))[: settings.eval_passages or None]
    return training, [validation[i] for i in drawn], test


def labelled_texts(data: list[str], limit: int) -> dict[str, Iterator[str]]:
    """Return {class: documents}, at most `limit` characters of each class; files are read at once, Python's documentation is not."""
    if len(data) == 1:
        raise ValueError("one file is one class: give at least two files, or none for Python's documentation")
    found: dict[str, Iterable[str]] = (
        {Path(path).stem: filter(None, map(corpus.clean, corpus.file_documents(path))) for path in data}
        if data
        else {name: documentation(name) for name in CLASSES}
    )
    return {name: within(documents, limit) for name, documents in found.items()}


def within(documents: Iterable[str], limit: int) -> Iterator[str]:
    """Yield documents until they have `limit` characters (0: all of them)."""
    left = limit or float("inf")
    for text in documents:
        if left <= 0:
            return
        yield text
        left -= len(text)


def documentation(name: str) -> Iterator[str]:
    """Yield the documents of one class of Python's documentation, in the order of their names."""
    import pydoc_data.topics

    if name == "language":
        yield from (corpus.clean(topic) for _, topic in sorted(pydoc_data.topics.topics.items()))
        return
    library = Path(sysconfig.get_paths()["stdlib"])
    named = {top for tops in CLASSES.values() for top in tops}
    chosen = CLASSES[name]
    for path in sorted(library.rglob("*.py")):
        top = path.relative_to(library).parts[0]
        ours = top in chosen or ("*" in chosen and top not in named)
        if ours and not corpus.NOT_DOCUMENTATION & set(path.relative_to(library).parts):
            text = corpus.clean(corpus.docstrings(path))
            if len(text) > 200:
                yield text
