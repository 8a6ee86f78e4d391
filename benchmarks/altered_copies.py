"""Do the rules hold on copies of real healthy logs: cut, thinned and averaged ones, and ones broken at a known step?

    python benchmarks/altered_copies.py --corpus DIR --labels FILE [--details]

Every judged healthy log is copied as beginnings, tails, thinned and window-averaged logs, which must stay silent, and with one defect put in
at a known place, which must be found in the right family. The logs and labels are those of `benchmarks/accuracy.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from accuracy import FAMILIES, UNSCORED, wilson

from lmdiag.diagnose import diagnose
from lmdiag.finding import Severity
from lmdiag.judging.reading import read_all
from lmdiag.run import Run, Series

LEAST_RECORDS = 8


def changed(run: Run, change: Callable[[str, Series], Series]) -> Run:
    """Return a copy of the run with every series changed; emptied ones are left out."""
    series = {name: change(name, s) for name, s in run.series.items()}
    return replace(run, series={k: s for k, s in series.items() if len(s)}, segments=(), superseded={}, events=())


def cut(run: Run, start: float, stop: float) -> Run:
    low, span = run.first_step, run.last_step - run.first_step
    return changed(run, lambda _, s: s.between(low + start * span, low + stop * span))


def thinned(run: Run, every: int) -> Run:
    return changed(run, lambda _, s: s.at(np.arange(0, len(s), every)) if len(s) >= 5 * every else s)


def averaged(run: Run, window: int) -> Run:
    def mean(_: str, s: Series) -> Series:
        n = len(s) // window * window
        return (
            s if len(s) < 5 * window else Series(s.steps[:n].reshape(-1, window)[:, -1], _means(s.values[:n], window))
        )

    return changed(run, mean)


def _means(values: np.ndarray, window: int) -> np.ndarray:
    return values.reshape(-1, window).mean(axis=1)


UNHARMED = {
    **{f"first {stop:.0%}": lambda run, stop=stop: cut(run, 0, stop) for stop in (0.1, 0.25, 0.5, 0.75)},
    **{f"last {1 - start:.0%}": lambda run, start=start: cut(run, start, 1) for start in (0.25, 0.5, 0.75)},
    **{f"every {k}th record": lambda run, k=k: thinned(run, k) for k in (5, 20)},
    **{f"means of {k} records": lambda run, k=k: averaged(run, k) for k in (5, 20)},
}


def injured(run: Run, injure: Callable[[np.ndarray, int], np.ndarray], at: float) -> tuple[Run, int]:
    """Return a copy with training and evaluation losses injured from a share of the records on, and the step where that is."""
    assert run.curve is not None
    step = int(run.curve[1].steps[int(at * len(run.curve[1]))])
    losses = {
        name: s
        for name, s in run.series.items()
        if name == "loss" or name.removesuffix("/loss") in run.evaluations or name.endswith("/bpb")
    }
    broken = {
        name: Series(s.steps, injure(s.values.copy(), int(np.searchsorted(s.steps, step))))
        for name, s in losses.items()
    }
    return replace(run, series={**run.series, **broken}), step


def rise(share: float) -> Callable[[np.ndarray, int], np.ndarray]:
    def injure(values: np.ndarray, row: int) -> np.ndarray:
        if row >= len(values):
            return values
        ramp = np.minimum(1, np.arange(1, len(values) - row + 1) / max(1, 0.05 * len(values)))
        level = max(float(np.nanmedian(values[max(0, row - 20) : row + 1])), 0.5)
        values[row:] = np.maximum(values[row:], level) + share * level * ramp
        return values

    return injure


def spike(values: np.ndarray, row: int) -> np.ndarray:
    values[row : row + 1] = 1.6 * values[row : row + 1] + 0.3
    return values


def nan(values: np.ndarray, row: int) -> np.ndarray:
    values[row:] = np.nan
    return values


def zeros(values: np.ndarray, row: int) -> np.ndarray:
    values[row:] = 0.0
    return values


INJURED = {
    "rise of 50%": ("divergence", rise(0.5)),
    "rise of 25%": ("divergence", rise(0.25)),
    "spike of 60%": ("spike", spike),
    "NaN from there on": ("nonfinite", nan),
    "exact zeros from there on": ("zero_loss", zeros),
}


def runs(corpus: Path, labels: Path) -> Iterator[tuple[str, set[str], Run]]:
    """Yield (id, families of its labels, run) for every judged healthy log."""
    for line in labels.read_text().splitlines():
        label = json.loads(line)
        if label["judgeable"] and label["verdict"] == "healthy":
            families = set().union(*(FAMILIES.get(said["label"], set()) for said in label["labels"]))
            found = read_all(corpus / label["id"])
            if found and found[0].curve is not None:
                yield label["id"], families | UNSCORED, found[0]


def alarms(run: Run, labelled: set[str]) -> list[str]:
    return [f.rule for f in diagnose(run).findings if f.alarms and f.family not in labelled]


def found(run: Run, label: str, step: int) -> float | None:
    """Return the distance of the nearest finding of the right family over the span, None when there is none."""
    least = Severity.INFO if label == "spike" else Severity.WARNING
    findings = [f for f in diagnose(run).findings if f.family in FAMILIES[label] and (f.severity or 0) >= least]
    distances = [abs(s - step) for f in findings for s in (f.first_step, *f.steps)]
    return min(distances) / max(run.last_step - run.first_step, 1) if distances else None


def _row(name: str, hits: int, total: int, more: str = "") -> str:
    low, high = wilson(hits, total)
    return f"| {name} | {hits}/{total} | {low:.1%} to {high:.1%} |{more}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with one folder per log")
    parser.add_argument("--labels", type=Path, required=True, help="labels, one JSON object per line")
    parser.add_argument("--details", action="store_true", help="name the logs that alarmed and those that were missed")
    given = parser.parse_args()
    silent, loud, details = Counter(), defaultdict(list), []
    for name, labelled, run in runs(given.corpus, given.labels):
        for kind, alter in UNHARMED.items():
            copy = alter(run)
            if copy.curve is None or len(copy.curve[1]) < LEAST_RECORDS:
                continue
            wrong = alarms(copy, labelled)
            silent[kind, bool(wrong)] += 1
            details += [f"{name} | {kind} | alarmed: {', '.join(wrong)}"] if wrong else []
        if len(run.curve[1]) < LEAST_RECORDS:
            continue
        for kind, (label, injure) in INJURED.items():
            for at in (0.5, 0.7):
                copy, step = injured(run, injure, at)
                distance = found(copy, label, step)
                loud[kind].append(distance)
                details += [f"{name} | {kind} at {at:.0%} | missed"] if distance is None else []
    print("| unharmed copies | alarmed | 95% interval |\n|---|---|---|")
    for kind in UNHARMED:
        print(_row(kind, silent[kind, True], silent[kind, True] + silent[kind, False]))
    total = sum(silent.values())
    print(_row("all", sum(count for (_, wrong), count in silent.items() if wrong), total))
    print("\n| injured copies | found | 95% interval | median step error |\n|---|---|---|---|")
    for kind, distances in loud.items():
        hits = [d for d in distances if d is not None]
        print(_row(kind, len(hits), len(distances), f" {np.median(hits):.1%} |" if hits else " – |"))
    if given.details:
        print("\n" + "\n".join(details))
    return 0


if __name__ == "__main__":
    sys.exit(main())
