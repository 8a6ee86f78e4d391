"""Save and restore a run so exactly that it goes on as if it had never stopped."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `step-N.pt` and delete all but the newest `keep`; a crash while writing leaves the old files whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        torch.save({"step": step, **state}, file)
        file.flush()
        os.fsync(file.fileno())  # else a power cut could leave the new name with no content
    os.replace(unfinished, path)
    for old in sorted(folder.glob("step-*.pt"))[: -max(keep, 1)]:
        old.unlink()
    return path


def newest(folder: Path) -> Path:
    """Return the newest checkpoint; raises ValueError where there is none."""
    found = sorted(folder.glob("step-*.pt"))
    if not found:
        raise ValueError(f"no checkpoint in {folder}: train with --checkpoint-every N first")
    return found[-1]


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `save` was given."""
    return torch.load(path, map_location=device, weights_only=True)


def process_state(hidden: Any) -> dict[str, Any]:
    """Return what is each process's own: its random number generators and the hidden states it carries."""
    return {"hidden": hidden, "random": random_state()}


def restore_process(saved: dict[str, Any], rank: int, size: int) -> Any:
    """Set this process's generators as they were, and return its hidden states."""
    if len(saved["processes"]) != size:
        raise ValueError(f"the checkpoint is of {len(saved['processes'])} processes, and these are {size}")
    set_random_state(saved["processes"][rank]["random"])
    return saved["processes"][rank]["hidden"]


def random_state() -> dict[str, Any]:
    """Return the state of every generator a step may draw from: dropout uses torch's, data code may use the others."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set every generator to a state that `random_state` returned."""
    torch.set_rng_state(state["torch"].cpu())
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
