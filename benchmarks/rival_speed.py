"""How much processor time do other programs that judge training logs take, against `lmdiag check` on the same logs?

    python benchmarks/rival_speed.py --environments DIR            # a quarter of an hour
    python benchmarks/rival_speed.py --environments DIR --steps 1000 10000 --pairs 9

`--environments` is that of `rivals.py`. Every figure is a ratio of whole processes, taken in turn (A B C A B C) on the same
files, medians: above 1 lmdiag is faster, below 1 the other one is. All run in one process (`--jobs 1`); a program that takes
one file at a time is started for each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fleet import write_logs
from reading import write_log
from rivals import RIVALS, Rival, _version

SECONDS = 300  # a program that takes longer is not waited for
SLOW = 100_000  # steps from which three pairs are enough
ONE_BY_ONE = {"trainspotter"}  # takes a folder for one of TensorBoard's


def main() -> None:
    """Generate the logs, time the programs in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--logs", type=int, nargs="*", default=[200], help="how many logs of ten thousand steps")
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    programs = {name: given.environments / name / "bin" / name for name in RIVALS}
    print(f"| CPU against `lmdiag check` | {' | '.join(f'{n} {_version(p)}' for n, p in programs.items())} |")
    print("| --- |" + " ---: |" * len(programs))
    with tempfile.TemporaryDirectory() as folder:
        for steps in given.steps:
            log = Path(folder) / f"{steps}.jsonl"
            write_log(log, steps)
            row(f"one log of {steps:,} records", log, programs, given.pairs if steps < SLOW else min(3, given.pairs))
            log.unlink()
        for logs in given.logs:
            many = Path(folder) / f"{logs}"
            write_logs(many, logs)
            row(f"{logs} logs of 10,000 records", many, programs, min(3, given.pairs))


def row(label: str, path: Path, programs: dict[str, Path], pairs: int) -> None:
    """Print how many times the processor time of lmdiag each program takes."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    ours = [sys.executable, "-m", "lmdiag", "check", str(path), "--isolated", "--jobs", "1"]
    cpu(ours)
    for _ in range(pairs):
        lmdiag = cpu(ours)
        for name, program in programs.items():
            seconds = [cpu(command) for command in commands(name, program, RIVALS[name], path)]
            taken[name].append(sum(seconds) / lmdiag)
    cells = (f"{statistics.median(ratios):.2f}" for ratios in taken.values())
    print(f"| {label} | {' | '.join(cells).replace('inf', '–')} |", flush=True)


def commands(name: str, program: Path, rival: Rival, path: Path) -> list[list[str]]:
    """Return how to ask a program about a log or a folder of logs."""
    each = sorted(path.glob("*.jsonl")) if name in ONE_BY_ONE and path.is_dir() else [path]
    return [[str(program), *rival.arguments, str(file)] for file in each]


def cpu(command: list[str]) -> float:
    """Return the seconds of the processor that a command takes, infinite where it takes too long."""
    process = subprocess.Popen(
        ["timeout", str(SECONDS), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return float("inf") if process.returncode == 124 else used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
