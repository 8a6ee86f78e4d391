"""The one made curve that every library logs, in the parts that its processes log: standard library only.

    python -m tests.readers.stores.NAME.write FOLDER

lets `run(write)` write every case into a folder of its own below FOLDER.
"""

import math
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

STEPS, STEPS_PER_EPOCH, EVERY = 40, 10, 10
CONFIG = {"learning_rate": 0.003, "batch_size": 8, "max_steps": STEPS}
NAN_STEP, INFINITE_STEP = 17, 31


@dataclass(frozen=True)
class Part:
    """The steps that one process logs, the first to the last; it may go on with a run, and be killed some seconds after the end."""

    first: int
    last: int
    resumes: bool = False
    killed: bool = False
    seconds: float = 3

    def __iter__(self) -> Iterator[tuple[int, str, dict[str, float]]]:
        """Yield what is logged, as (step, `train` or `eval`, {name: value}), and kill the process if it is to be killed."""
        for step in range(self.first, self.last + 1):
            yield step, "train", trained(step)
            if step % EVERY == 0:
                yield step, "eval", evaluated(step)
        if self.killed:
            time.sleep(self.seconds)  # what the library writes by then is what it keeps
            os.kill(os.getpid(), signal.SIGKILL)


CASES = {
    "whole": (Part(1, STEPS),),
    "killed": (Part(1, 25, killed=True),),
    "resumed": (Part(1, 24), Part(21, STEPS, resumes=True)),
}


def trained(step: int) -> dict[str, float]:
    """Return what a training step logs: a NaN loss and an infinite gradient norm at one step each, lr with a warm-up."""
    warmth, left = min(step / 5, 1.0), 1 - max(step - 5, 0) / STEPS
    return {
        "loss": math.nan if step == NAN_STEP else 2.1 + 4.3 * math.exp(-step / 9) + 0.01 * math.sin(step),
        "lr": CONFIG["learning_rate"] * warmth * left,
        "grad_norm": math.inf if step == INFINITE_STEP else 1.3 + 0.7 * math.exp(-step / 5) + 0.1 * math.cos(step),
        "epoch": step / STEPS_PER_EPOCH,
        "mem_bytes": float(3 * 2**30 + 2**20 * step),
        "step_time_s": 0.21 + 0.003 * (step % 7),
    }


def evaluated(step: int) -> dict[str, float]:
    """Return what an evaluation logs."""
    return {"loss": 2.3 + 3.7 * math.exp(-step / 9), "accuracy": 0.61 - 0.4 * math.exp(-step / 9)}


def expected(case: str) -> dict[str, dict[int, float]]:
    """Return {metric: {step: value}} as lmdiag names what the processes of a case log."""
    found: dict[str, dict[int, float]] = {}
    for part in CASES[case]:
        for step, split, values in Part(part.first, part.last):
            for name, value in values.items():
                found.setdefault(name if split == "train" else f"val/{name}", {})[step] = value
    return found


def run(write: Callable[[Path, Part], None], kind: str = "", cases: str = " ".join(CASES), seconds: float = 3) -> None:
    """Let `write` write each part of each case, in a process of its own that stands in the folder of the case.

    Where a library writes several kinds of stores, their folders are called `CASE-KIND`. A part is killed so many `seconds`
    after its last step: some libraries write from time to time.
    """
    for case in cases.split():
        folder = Path(sys.argv[1], f"{case}-{kind}".rstrip("-")).absolute()
        folder.mkdir(parents=True)
        for part in CASES[case]:
            process = multiprocessing.get_context("spawn").Process(
                target=_write, args=(write, folder, replace(part, seconds=seconds))
            )
            process.start()
            process.join()
            if process.exitcode != (-signal.SIGKILL if part.killed else 0):
                sys.exit(f"{case}: the process ended with {process.exitcode}")


def _write(write: Callable[[Path, Part], None], folder: Path, part: Part) -> None:
    os.chdir(folder)  # some libraries write beside what they are told to write
    write(folder, part)


def fold(path: Path) -> None:
    """Let a SQLite database, with what a killed process left beside it, be one small file."""
    with closing(sqlite3.connect(path)) as database:
        for command in ("PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM"):
            database.execute(command).fetchall()
