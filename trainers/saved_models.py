"""Keep a trained model with all that using it again needs: its settings, its vocabulary and its weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.settings import checkpoint_folder
from trainers.vocabularies import Vocabulary, restored_vocabulary

if TYPE_CHECKING:
    import torch


@dataclass
class SavedModel:
    """A model as it was trained: the name of its trainer, all settings, the vocabulary."""

    name: str
    settings: Any
    vocabulary: Vocabulary
    model: torch.nn.Module


def final_folder(settings: Any) -> Path:
    """Return where the trained model goes: beside the checkpoints of the run."""
    return checkpoint_folder(settings) / "final"


def folder_of(path: str | Path, train: str = "transformer") -> Path:
    """Return the folder of a model: the one named, or the one below it or beside the log that is named.

    Raises ValueError where there is none, which says what to `train` first.
    """
    path = Path(path)
    beside = path.with_suffix(".checkpoints") if path.suffix else path
    for folder in (path, path / "final", beside / "final"):
        if (folder / "config.json").exists():
            return folder
    raise ValueError(f"there is no model in {path}. Train one first: lmdiag train {train}")


def save_description(folder: Path, name: str, settings: Any, vocabulary: Vocabulary) -> None:
    """Write what must be known before weights can be used: `config.json` and `vocabulary.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "config": {"trainer": name, "settings": dataclasses.asdict(settings)},
        "vocabulary": vocabulary.state(),
    }
    for part, content in described.items():
        (folder / f"{part}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def save(folder: Path, name: str, settings: Any, vocabulary: Vocabulary, weights: dict[str, Any]) -> None:
    """Write a PyTorch model: the description, and `weights.pt`."""
    from trainers.checkpoints import write  # it needs torch, and a counting model does not

    save_description(folder, name, settings, vocabulary)
    write(weights, folder / "weights.pt")


def load(folder: str | Path, device: torch.device, **changes: Any) -> SavedModel:
    """Return what `save` was given, with `changes` of its settings; raises ValueError where there is no such model."""
    import torch

    folder = folder_of(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not (folder / "weights.pt").exists():
        kind = f"of {config['trainer']}" if "trainer" in config else "of none of these"
        raise ValueError(f"the model in {folder} is {kind}: transformer, lstm and rnn save what is needed here")
    trainer: Any = import_module(f"trainers.{config['trainer']}")
    known = {field.name for field in dataclasses.fields(trainer.Settings)}
    settings = trainer.Settings(**config["settings"] | {name: new for name, new in changes.items() if name in known})
    vocabulary = restored_vocabulary(
        settings.tokenizer, json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    )
    model = trainer.PARTS.model(settings, vocabulary.size).to(device)
    model.load_state_dict(torch.load(folder / "weights.pt", map_location=device, weights_only=True))
    return SavedModel(config["trainer"], settings, vocabulary, model)
