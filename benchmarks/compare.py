"""How often `lmdiag compare` catches a worse run, and how often it alarms on another seed.

    python benchmarks/compare.py FOLDER

trains what is missing in FOLDER (16 seeds of a small transformer, and three of each worse recipe; about ten minutes on a CPU), then
compares every candidate with sets of one, two and three other seeds, and prints which share of the comparisons says "regression". Comparisons
that share a candidate are not independent: the interval counts each candidate once.
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

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from accuracy import wilson

import lmdiag
from lmdiag.compare import compare, verdict_of
from lmdiag.run import Run

RECIPE = "--recipe small --steps 300 --n-layer 2 --d-model 64 --context 64 --batch-size 8 --lr 2e-3 --layers-every 0 --max-characters 400000"
SEEDS = range(1, 17)
WORSE_SEEDS = range(101, 104)
WORSE = {
    "targets from other sequences": "--fault unrelated-targets",
    "learning rate 2.5 times lower": "--lr 8e-4",
    "half the width": "--d-model 32",
    "learning rate 1.4 times lower": "--lr 1.4e-3",
}
SETS_PER_CANDIDATE = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    seeds = [trained(folder / f"seed-{seed}.jsonl", f"--seed {seed}") for seed in SEEDS]
    worse = {
        name: [
            trained(folder / f"{name.replace(' ', '-')}-{seed}.jsonl", f"--seed {seed} {how}") for seed in WORSE_SEEDS
        ]
        for name, how in WORSE.items()
    }
    level = np.mean([ending(run) for run in seeds])
    print(
        "| candidate | loss at the end | 1 baseline | 2 baselines | 3 baselines |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, pairs in candidates(seeds, worse):
        difference = np.mean([ending(run) for run, _ in pairs]) / level - 1
        shares = [share(pairs, seeds, count) for count in (1, 2, 3)]
        print(f"| {name} | {difference:+.1%} | {' | '.join(shares)} |", flush=True)


def ending(run: Run) -> float:
    """Return the mean training loss of the last tenth of a run."""
    return float(run["loss"].values[-len(run["loss"]) // 10 :].mean())


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


def candidates(seeds: Sequence[Run], worse: dict[str, list[Run]]) -> Iterator[tuple[str, list[tuple[Run, Run | None]]]]:
    """Yield each kind of candidate: the runs, and for each the seed that may not be among its baselines."""
    yield "another seed, the same recipe", [(run, run) for run in seeds]
    for percent in (0.5, 1, 2, 3):
        yield f"another seed, all losses {percent}% higher", [(scaled(run, 1 + percent / 100), run) for run in seeds]
    for name, runs in worse.items():
        yield name, [(run, None) for run in runs]


def scaled(run: Run, factor: float) -> Run:
    """Return the run with all losses multiplied."""
    losses = {m: replace(s, values=s.values * factor) for m, s in run.series.items() if m.endswith("loss")}
    return replace(run, series={**run.series, **losses})


def share(pairs: list[tuple[Run, Run | None]], seeds: Sequence[Run], count: int) -> str:
    """Return the share of comparisons with `count` baselines that say regression, with its 95% interval."""
    random = np.random.default_rng(0)
    shares = []
    for run, itself in pairs:
        sets = list(itertools.combinations([seed for seed in seeds if seed is not itself], count))
        chosen = random.permutation(len(sets))[:SETS_PER_CANDIDATE]
        verdicts = [verdict_of(compare(sets[at], run)) for at in chosen]
        shares.append(verdicts.count("regression") / len(verdicts))
    low, high = wilson(sum(shares), len(shares))
    return f"{np.mean(shares):.1%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main()
