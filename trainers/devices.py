"""One process or many: where to compute, and what the processes of a run tell each other.

Under `torchrun --nproc-per-node N -m trainers …` N processes train one model. Each computes the same global batch, keeps
its own rows, and the gradients are averaged; with `--fsdp` each also keeps only its share of the parameters.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def choose_device(wanted: str) -> torch.device:
    """Return the device asked for; `auto` takes the accelerator there is, each local process its own.

    Raises ValueError for one that PyTorch does not know or cannot use here.
    """
    if wanted != "auto":
        try:
            torch.zeros(1, device=wanted).item()
        except (RuntimeError, AssertionError) as error:  # without CUDA, PyTorch asserts that there is
            reason = re.split(r"[.\n]", str(error))[0]
            raise ValueError(f"--device {wanted}: PyTorch cannot use it ({reason}). Try --device cpu") from None
        return torch.device(wanted)
    if torch.cuda.is_available():
        # the process's number on this machine: RANK counts over all machines
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def memory_in_use(device: torch.device) -> int | None:
    """Return bytes: the peak on the accelerator, what the process holds on a CPU, None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        counts = memory_pages(os.getpid())
        return int(os.pread(counts, 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


@functools.cache
def memory_pages(process: int) -> int:
    """Open the file in which Linux counts a process's pages of memory, once: opening it costs more than reading."""
    return os.open(f"/proc/{process}/statm", os.O_RDONLY)


def keep_memory() -> None:
    """Let the C library keep what tensors on a processor free: the next step asks for the same again.

    Else large blocks go back to the system each time, and come again as new pages, each of which it has to fill with zeros first.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # only glibc, of Linux, has it
        return
    set_option(M_MMAP_THRESHOLD, 1 << 30)  # below so many bytes a block is cut from memory that is kept
    set_option(M_TRIM_THRESHOLD, (1 << 31) - 1)  # so many bytes may lie unused before any are given back


class Team:
    """The processes that train together; a run without `torchrun` is a team of one, which does nothing here."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        if self.size > 1:
            if device.type == "cuda":
                torch.cuda.set_device(device)
            # nccl speaks between graphics cards and nothing else; gloo between processors
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def close(self) -> None:
        """Leave the team."""
        if self.size > 1:
            distributed.destroy_process_group()

    def rows(self, batch: torch.Tensor) -> torch.Tensor:
        """Return this process's rows of a global batch."""
        return batch.chunk(self.size)[self.rank]  # `check` has made sure that all get equally many

    def wrap(self, model: torch.nn.Module, fsdp: bool) -> torch.nn.Module:
        """Let the backward pass average gradients over the team, or split the model over it."""
        if fsdp:
            return sharded(model, self)
        if self.size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)

    @contextlib.contextmanager
    def syncing(self, model: torch.nn.Module, now: bool) -> Iterator[None]:
        """Let gradients be averaged at the last micro-batch only: one exchange per update, not one per backward pass."""
        if now or not isinstance(model, DistributedDataParallel):
            yield
        else:
            with model.no_sync():
                yield

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def gathered(self, value: Any) -> list[Any]:
        """Return the value of each process, in the order of ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values


def sharded(model: torch.nn.Module, team: Team) -> torch.nn.Module:
    """Split parameters, gradients and optimizer state over the team (FSDP2): block by block, then the rest."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if team.size == 1:
        raise ValueError("--fsdp needs several processes: torchrun --nproc-per-node N -m trainers …")
    mesh = init_device_mesh(team.device.type, (team.size,))
    # each block is gathered just before it computes and let go after it: only one is whole at a time
    for block in getattr(model, "blocks", []):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)  # in place
    return model
