"""Several files of one folder that hold the same run are one run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag.run import Run

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
    assert run.curve is not None
    assert other.curve is not None
    a, b = run.curve[1], other.curve[1]
    place = np.minimum(np.searchsorted(b.steps, a.steps), len(b) - 1)
    same = (b.steps[place] == a.steps) & np.isclose(b.values[place], a.values, rtol=ROUNDING, atol=1e-4, equal_nan=True)
    return run.curve[0] == other.curve[0] and float(same.mean()) >= SHARED
