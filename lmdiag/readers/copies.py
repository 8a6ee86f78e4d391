"""Several files that hold the same run are one run: a trainer's state beside its console log, a file and its backup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag.run import Run, Series

FEWEST_POINTS = 5
SHARED = 0.95
ROUNDING = 2e-3  # console logs print four digits


def without_copies(runs: list[Run]) -> list[Run]:
    """Return the runs without those whose curve another one holds too; the fuller one stays and says so."""
    kept: list[Run] = []
    by_start: dict[tuple[int, float], list[int]] = {}
    for run in sorted(runs, key=lambda r: -sum(map(len, r.series.values()))):
        start = _start(run)
        original = next((k for k in by_start.get(start, []) if _is_copy(run, kept[k])), None) if start else None
        if original is not None:
            kept[original] = replace(kept[original], notes=(*kept[original].notes, f"{run.source} holds the same run."))
            continue
        if start:
            by_start.setdefault(start, []).append(len(kept))
        kept.append(run)
    return sorted(
        kept, key=lambda r: next(i for i, run in enumerate(runs) if run.source == r.source and run.name == r.name)
    )


def _start(run: Run) -> tuple[int, float] | None:
    if run.curve is None or len(run.curve[1].finite) < FEWEST_POINTS:
        return None
    finite = run.curve[1].finite
    return int(finite.steps[0]), float(f"{finite.values[0]:.2g}")


def _is_copy(run: Run, other: Run) -> bool:
    """Tell whether two runs are one: to the last value in one format, as far as printing keeps it in two.

    A run that stops earlier, or holds a NaN where the other holds a number, is another run: it may be the sick one.
    """
    if run.format == other.format:
        return run.series.keys() == other.series.keys() and all(_equal(run[m], other[m], 0.0) for m in run)
    shared = [m for m in run if m in other and (m == "loss" or m.endswith("/loss"))]
    return bool(shared) and all(_equal(run[m], other[m], ROUNDING) for m in shared)


def _equal(a: Series, b: Series, tolerance: float) -> bool:
    place = np.minimum(np.searchsorted(b.steps, a.steps), len(b) - 1)
    close = np.isclose(b.values[place], a.values, rtol=tolerance, atol=tolerance / 20, equal_nan=True)
    same = (b.steps[place] == a.steps) & close
    return float(same.sum()) >= SHARED * max(len(a), len(b))
