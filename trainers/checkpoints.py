"""Save and restore a run so exactly that it goes on as if it had never stopped.

A checkpoint is a file, `step-N.pt`; of a model that is split over processes a folder, `step-N`, into which each writes its share.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from trainers.devices import Team

REST = "rest.pt"  # in a folder: all but the model and the optimizer
DAMAGED = "damaged ({}): delete it, and --resume takes the one before it"


def save_training(
    folder: Path,
    step: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int,
    team: Team,
    split: bool,
) -> Path:
    """Write model, optimizer and `state`; every process must call it. Raises OSError, of a split model on all processes."""
    if split:
        return save_shares(folder, step, model, optimizer, state, keep, team)
    if team.rank:  # under DDP all hold the same, and one writes it
        return folder
    whole = {"model": unwrapped(model).state_dict(), "optimizer": optimizer.state_dict()}
    return save(folder, step, whole | state, keep)


def save_shares(
    folder: Path,
    step: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int,
    team: Team,
) -> Path:
    """Let each process write its share to the folder `step-N`, all at once; a crash while writing leaves the old ones whole."""
    from torch.distributed import checkpoint

    path = folder / f"step-{step:08d}"
    unfinished = path.with_suffix(".tmp")
    try:
        checkpoint.save(shares(model, optimizer), checkpoint_id=unfinished)
    except checkpoint.api.CheckpointException as error:  # on all processes, if it fails on one
        raise OSError(str(next(iter(error.failures.values()))[0])) from error
    failed = ""
    if team.rank == 0:
        try:
            write({"step": step, **state}, unfinished / REST)
            shutil.rmtree(path, ignore_errors=True)  # of a run that was resumed from before it
            os.replace(unfinished, path)
            forget_old(folder, keep)
        except OSError as error:
            failed = str(error)
    if failed := team.gathered(failed)[0]:
        raise OSError(failed)
    return path


def shares(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the states of model and optimizer, of which each process holds its share."""
    from torch.distributed.checkpoint.state_dict import get_state_dict

    weights, moments = get_state_dict(model, getattr(optimizer, "parts", optimizer))
    return {"model": weights, "optimizer": moments}


def begun(path: Path, team: Team, split: bool) -> dict[str, Any]:
    """Return what a checkpoint holds, of a split model all but the shares; raises ValueError where these processes cannot go on from it."""
    if path.is_dir() and not split:
        raise ValueError(f"{path} is of a model that was split over processes: resume it with --fsdp")
    if split and not path.is_dir():
        raise ValueError(f"{path} is of a model that was not split: resume it without --fsdp")
    saved = load(path / REST if split else path, team.device)
    processes = len(saved["processes"])
    if processes != team.size:
        raise ValueError(
            f"{path} is of {processes} processes, and these are {team.size}: resume it "
            + (f"with torchrun --nproc-per-node {processes}" if processes > 1 else "without torchrun")
        )
    return saved


def put_back(path: Path, saved: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the weights and the state of the optimizer back; each process takes its share of a split model."""
    if path.is_dir():
        from torch.distributed import checkpoint
        from torch.distributed.checkpoint.state_dict import set_state_dict

        found = shares(model, optimizer)
        try:
            checkpoint.load(found, checkpoint_id=path)
        except checkpoint.api.CheckpointException as error:  # on all processes, if it fails on one
            reason = type(next(iter(error.failures.values()))[0]).__name__
            raise ValueError(f"the checkpoint {path} is {DAMAGED.format(reason)}") from error
        optimizers = getattr(optimizer, "parts", optimizer)
        set_state_dict(model, optimizers, model_state_dict=found["model"], optim_state_dict=found["optimizer"])
        return
    try:
        unwrapped(model).load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"the checkpoint {path} is of another model or optimizer: resume with the settings that the run was begun with"
        ) from error


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model in its wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def whole_weights(model: torch.nn.Module, split: bool) -> dict[str, Any]:
    """Return all weights, on the process of rank 0 at least; every process must call it."""
    if not split:
        return unwrapped(model).state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `step-N.pt` and delete all but the newest `keep`; a crash while writing leaves the old files whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    unfinished = path.with_suffix(".tmp")
    write({"step": step, **state}, unfinished)
    os.replace(unfinished, path)  # at once: there is no moment at which half a file has this name
    forget_old(folder, keep)
    return path


def in_order(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest last."""
    return sorted((path for path in folder.glob("step-*") if path.suffix != ".tmp"), key=lambda path: path.stem)


def forget_old(folder: Path, keep: int) -> None:
    """Delete all checkpoints but the newest."""
    # only now, behind the new one: at least one is whole at any time
    for old in in_order(folder)[: -max(keep, 1)]:
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()


def newest(folder: Path) -> Path:
    """Return the newest checkpoint; raises ValueError where there is none."""
    found = in_order(folder)
    if not found:
        raise ValueError(f"no checkpoint in {folder}: train with --checkpoint-every N first")
    return found[-1]


def write(state: dict[str, Any], path: Path) -> None:
    """Write a file that torch can load, or none; raises OSError, also for the error that torch has where the disk is full."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the name with no content
    except (OSError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        raise OSError("not all of it could be written: is the disk full?") from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `save` was given; raises ValueError for a file that is damaged."""
    try:
        # a pickle may run code: `weights_only` lets tensors and plain values in, and nothing else
        found: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever half a file makes of the library
        raise ValueError(f"the checkpoint {path} is {DAMAGED.format(type(error).__name__)}") from error
    return found


def process_state(hidden: Any) -> dict[str, Any]:
    """Return what is each process's own: its random number generators and the hidden states it carries."""
    return {"hidden": hidden, "random": random_state()}


def restore_process(saved: dict[str, Any], rank: int) -> Any:
    """Set this process's generators as they were, and return its hidden states."""
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
