"""A model that a trainer saved, ready to be used: it writes, and its loss on a text is measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers import saved_models, vocabularies
from trainers.ngram import NGram
from trainers.sampling import After, Network
from trainers.vocabularies import Vocabulary

if TYPE_CHECKING:
    from trainers.borrowed_models import Borrowed

OF_TRANSFORMERS = {"BertForMaskedLM": "bert-mlm", "BertForSequenceClassification": "classifier"}


@dataclass
class Finished:
    """A language model with its vocabulary and the settings it was trained with.

    `after` begins a text, `loss` measures token ids: the mean, in nats per token, and over how many.
    """

    name: str
    settings: Any
    vocabulary: Vocabulary
    after: Callable[[], After]
    loss: Callable[[np.ndarray], tuple[float, int]]


def load(folder: str | Path, device: str = "auto") -> Finished | Borrowed:
    """Return the model in a folder that a trainer saved to; raises ValueError, in words, where there is none."""
    folder = saved_models.folder_of(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.json'} is damaged: it holds no settings")
    kind = next((OF_TRANSFORMERS[name] for name in config.get("architectures") or () if name in OF_TRANSFORMERS), "")
    if not kind and "trainer" not in config:
        raise ValueError(f"{folder} holds a model that none of the trainers here has saved")
    try:
        if kind:
            from trainers.borrowed_models import Borrowed

            return Borrowed(folder, kind, device)
        return _LOADERS.get(config["trainer"], _network)(folder, config, device)
    except Exception as error:  # whatever a half-written file makes of a library
        if isinstance(error, ImportError) or str(error).startswith("--device"):
            raise
        raise ValueError(
            f"the model in {folder} is damaged ({type(error).__name__}: {error}); train it again"
        ) from error


def _described(folder: Path, config: dict[str, Any]) -> tuple[Any, Vocabulary]:
    module: Any = import_module(f"trainers.{config['trainer'].replace('-', '_')}")
    known = {field.name for field in dataclasses.fields(module.Settings)}
    settings = module.Settings(**{name: value for name, value in config["settings"].items() if name in known})
    state = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    return settings, vocabularies.restored_vocabulary(settings.tokenizer, state)


def _network(folder: Path, config: dict[str, Any], device: str) -> Finished:
    import torch

    from trainers import loop
    from trainers.devices import choose_device

    place: torch.device = choose_device(device)
    saved = saved_models.load(folder, place)
    settings = saved.settings
    trainer: Any = import_module(f"trainers.{saved.name}")

    def loss(ids: np.ndarray) -> tuple[float, int]:
        batches = trainer.PARTS.batches.evaluation(ids, settings.batch_size, settings.context, 0)
        found = loop.evaluate(saved.model, batches, settings, place)
        return found["loss"], found["n_tokens"]

    return Finished(saved.name, settings, saved.vocabulary, lambda: Network(saved.model, settings.context, place), loss)


def _counts(folder: Path, config: dict[str, Any], device: str) -> Finished:
    settings, vocabulary = _described(folder, config)
    model = NGram.load(folder / "counts.npz")
    return Finished("ngram", settings, vocabulary, lambda: model.writer(), lambda ids: (model.loss(ids), len(ids)))


def _keras(folder: Path, config: dict[str, Any], device: str) -> Finished:
    from trainers import keras_rnn

    settings, vocabulary = _described(folder, config)
    model = keras_rnn.loaded(folder / "model.keras")
    return Finished(
        "keras-rnn",
        settings,
        vocabulary,
        lambda: keras_rnn.Writer(model, settings.context),
        lambda ids: keras_rnn.measured(model, ids, settings),
    )


_LOADERS: dict[str, Callable[[Path, dict[str, Any], str], Finished]] = {"ngram": _counts, "keras-rnn": _keras}
