"""How often `lmdiag compare` catches a worse run, and how often it alarms on another seed.

    python benchmarks/compare.py FOLDER

trains what is missing in FOLDER (nine seeds of a small transformer and three worse recipes; about ten minutes on a CPU), then
compares every candidate with one, two and three of the other seeds and prints how many comparisons say "regression".
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import lmdiag
from lmdiag.compare import compare, verdict_of
from lmdiag.run import Run

RECIPE = "--steps 300 --n-layer 2 --d-model 64 --context 64 --batch-size 8 --lr 2e-3 --layers-every 0 --max-characters 400000"
SEEDS = range(1, 10)
WORSE = {
    "targets from other sequences": "--fault unrelated-targets",
    "learning rate 2.5 times lower": "--lr 8e-4",
    "half the width": "--d-model 32",
}
MOST_SETS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    seeds = [trained(folder / f"seed-{seed}.jsonl", f"--seed {seed}") for seed in SEEDS]
    worse = {
        name: trained(folder / f"{name.replace(' ', '-')}.jsonl", f"--seed 99 {how}") for name, how in WORSE.items()
    }
    print("| candidate | 1 baseline | 2 baselines | 3 baselines |\n| --- | ---: | ---: | ---: |")
    for name, pairs in candidates(seeds, worse):
        shares = [share(pairs, seeds, count) for count in (1, 2, 3)]
        print(f"| {name} | {' | '.join(shares)} |")


def trained(log: Path, options: str) -> Run:
    """Return the run of a log; train it first when it is not there."""
    if not log.exists():
        command = [
            sys.executable,
            "-m",
            "trainers",
            "transformer",
            *RECIPE.split(),
            *options.split(),
            "--log",
            str(log),
        ]
        subprocess.run(command, check=True, env={"OMP_NUM_THREADS": "1"} | os.environ, stderr=subprocess.DEVNULL)
    return lmdiag.read(log)


def candidates(seeds: Sequence[Run], worse: dict[str, Run]) -> Iterator[tuple[str, list[tuple[Run, Run | None]]]]:
    """Yield each kind of candidate: the runs, and for each the seed that may not be among its baselines."""
    yield "another seed, the same recipe", [(run, run) for run in seeds]
    for percent in (2, 3):
        yield f"another seed, {percent}% worse", [(scaled(run, 1 + percent / 100), run) for run in seeds]
    for name, run in worse.items():
        yield name, [(run, None)]


def scaled(run: Run, factor: float) -> Run:
    """Return the run with all losses multiplied."""
    losses = {m: replace(s, values=s.values * factor) for m, s in run.series.items() if m.endswith("loss")}
    return replace(run, series={**run.series, **losses})


def share(pairs: list[tuple[Run, Run | None]], seeds: Sequence[Run], count: int) -> str:
    """Return how many comparisons with `count` baselines say regression, of how many."""
    sets = list(itertools.combinations(seeds, count))
    sets = sets[:: max(1, len(sets) // MOST_SETS)]
    verdicts = [
        verdict_of(compare(baselines, run))
        for run, itself in pairs
        for baselines in sets
        if all(baseline is not itself for baseline in baselines)
    ]
    return f"{verdicts.count('regression')} of {len(verdicts)}"


if __name__ == "__main__":
    main()
