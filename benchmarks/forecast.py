"""Does the 90% interval of the forecast hold the end of the run in 90 of 100 cases?

    python benchmarks/forecast.py [--corpus DIR --labels FILE] [--runs 200] [--details]

Cuts runs after 50 to 80% of their steps, forecasts the end and compares with the level really reached (median of the last twentieth). Made runs
follow the law of the loss with random constants, schedules and noise; with --corpus also the logs labelled healthy in FILE. Prints a table in
Markdown: coverage with its 95% interval, and the median width of the interval as a share of the level.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lmdiag.errors import LmdiagError
from lmdiag.forecast import forecast
from lmdiag.run import Run, Series
from lmdiag.stats.schedule import Schedule

SHARES = (0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Held:
    """One forecast from the first `share` of a run, beside the level really reached."""

    name: str
    share: float
    truth: float
    expected: float
    low: float
    high: float

    @property
    def covered(self) -> bool:
        return self.low <= self.truth <= self.high


def cut(run: Run, share: float) -> Run:
    """Return the run as its log stood after a share of its steps, with the planned number of steps known."""
    last = int(run.last_step * share)
    series = {name: s.between(0, last) for name, s in run.series.items()}
    return replace(run, series=series, config={**run.config, "max_steps": run.last_step}, step_kind="step")


def held_out(run: Run, name: str) -> Iterator[Held]:
    """Forecast the end of a run from each share of it."""
    if run.curve is None or not len(run.curve[1].finite):
        return
    values = run.curve[1].finite.values
    truth = float(np.median(values[-max(5, len(values) // 20) :]))
    for share in SHARES:
        part = cut(run, share)
        made = forecast(part) if part.curve and part.curve[0] == run.curve[0] else None
        if made is not None:
            yield Held(name, share, truth, made.loss, made.low, made.high)


def made_run(seed: int) -> Run:
    """Return a run that follows the law, with random constants, schedule and noise (independent plus slow wander)."""
    rng = np.random.default_rng(seed)
    n = int(10 ** rng.uniform(1.8, 3.6))
    every = int(rng.choice([1, 10, 50]))
    steps = every * np.arange(1, n + 1)
    share = steps / steps[-1]
    shapes = {
        "constant": np.ones(n),
        "linear": 1 - share,
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * share)),
        "wsd": np.minimum(1, (1.02 - share) / 0.25),
    }
    kind = str(rng.choice(list(shapes)))
    rates = 1e-3 * np.minimum(shapes[kind], (np.arange(n) + 1) / max(1, n // 50))
    schedule = Schedule(steps.astype(float), rates)
    floor, amplitude, exponent = rng.uniform(1, 3), rng.uniform(0.2, 3), rng.uniform(0.15, 0.9)
    done = schedule.learning(steps)
    loss = floor + amplitude * ((done + 1) / done[-1]) ** -exponent * rng.uniform(0.1, 1)
    loss -= rng.uniform(0, 0.06) * floor * schedule.annealed(steps)
    wander = np.convolve(rng.normal(0, 1, n + 50), np.ones(50) / 50**0.5, "valid")[:n]
    loss *= 1 + rng.choice([0.005, 0.02, 0.06]) * (rng.standard_t(5, n) + rng.choice([0, 0.2]) * wander)
    series = {"loss": Series(steps, loss)}
    if rng.random() < 0.6:
        series["lr"] = Series(steps, rates)
    return Run(f"{kind}-{seed}", series)


def healthy_runs(corpus: Path, labels: Path) -> Iterator[Run]:
    """Read the logs that were labelled healthy."""
    from lmdiag.judging.reading import read_all

    for line in labels.read_text().splitlines():
        label = json.loads(line)
        if label["verdict"] != "healthy" or not label["judgeable"]:
            continue
        try:
            yield from read_all(corpus / label["id"])
        except LmdiagError as error:
            print(f"{label['id']}: {error.message}", file=sys.stderr)


def row(name: str, held: list[Held]) -> str:
    """Return one line of the table."""
    from benchmarks.accuracy import wilson

    covered, total = sum(h.covered for h in held), len(held)
    low, high = wilson(covered, total)
    width = np.median([(h.high - h.low) / h.truth for h in held]) if held else 0.0
    error = np.median([abs(h.expected / h.truth - 1) for h in held]) if held else 0.0
    runs = len({h.name for h in held})
    return f"| {name} | {runs} | {covered}/{total} = {covered / max(total, 1):.0%} ({low:.0%} to {high:.0%}) | {width:.1%} | {error:.1%} |"


def tables(groups: dict[str, list[Held]]) -> str:
    """Return coverage per group and per share of the run that was seen."""
    lines = ["| held-out ends | runs | covered | width | error |", "|---|---|---|---|---|"]
    for name, held in groups.items():
        lines += [row(f"{name}, all", held)]
        lines += [row(f"{name}, from {share:.0%}", [h for h in held if h.share == share]) for share in SHARES]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="folder with one folder per log")
    parser.add_argument("--labels", type=Path, help="labels, one JSON object per line")
    parser.add_argument("--runs", type=int, default=200, help="made runs (default %(default)s)")
    parser.add_argument("--details", action="store_true", help="print one line per forecast as well")
    given = parser.parse_args()
    groups = {"made runs": [h for seed in range(given.runs) for h in held_out(made_run(seed), str(seed))]}
    if given.corpus and given.labels:
        real = [h for run in healthy_runs(given.corpus, given.labels) for h in held_out(run, run.source or run.name)]
        groups["real logs"] = real
    print(tables(groups))
    if given.details:
        for held in (h for group in groups.values() for h in group):
            print(
                f"{held.name} {held.share} {held.truth:.4g} {held.expected:.4g} [{held.low:.4g}, {held.high:.4g}] {held.covered}"
            )
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
