"""Several files that hold the same run are one run: a trainer's state beside its console log, a file and its backup."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmdiag.run import Run

FEWEST_POINTS = 5
SHARED = 0.95
ROUNDING = 2e-3  # console logs print four digits
KEPT = 64
DIFFERING = int((1 - SHARED) * KEPT)  # points of two equal excerpts
ASKED = 12  # points by which copies in other formats are looked for
FLOOR = 1 / 20  # up to here the absolute tolerance counts more than the relative one
BIN = 3e-3  # of asinh(value / FLOOR): there the tolerance is 2.9e-3 at most
NOWHERE = 1 << 62  # the bin of what is no number
SCATTERING = np.uint64(0x9E3779B97F4A7C15)  # multiplied with it, steps are in no order


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Some points of a series, chosen by their steps alone, so that two series of the same steps keep the same ones.

    `keys` are the scattered steps, ascending, and `values` stood at them; `n` points there were in all.
    """

    n: int
    keys: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a run to find its duplicates by: how it starts, and an excerpt of every series."""

    source: str
    format: str
    n: int
    start: tuple[int, float] | None
    series: Mapping[str, Excerpt]


def fingerprint_of(run: Run) -> Fingerprint:
    """Return a run's fingerprint; its size does not depend on the length of the run."""
    steps, series = np.empty(0, np.int64), {}
    rows, keys = _kept(steps)
    for metric, s in run.series.items():
        if not np.array_equal(s.steps, steps):  # as those of the series before, in most logs
            steps, (rows, keys) = s.steps, _kept(s.steps)
        series[metric] = Excerpt(len(s), keys, s.values[rows])
    return Fingerprint(run.source, run.format, sum(map(len, run.series.values())), _start(run), series)


def originals(fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
    """Return for each copy among some runs the one it is a copy of, the fuller of the two: {copy: original}."""
    found: dict[int, int] = {}
    index = _Index(fingerprints)
    for number in sorted(range(len(fingerprints)), key=lambda k: -fingerprints[k].n):
        run = fingerprints[number]
        if run.start is None:
            continue
        original = next((k for k in index.near(run) if _is_copy(run, fingerprints[k])), None)
        if original is None:
            index.add(number)
        else:
            found[number] = original
    return found


class _Index:
    """Runs by some points of theirs, so that not each is compared with each.

    Of the points of two equal excerpts at most `DIFFERING` differ, so of the first points that are asked for, all but so many are among
    the first of the other and so many more. In one format they are equal to the last digit; in two, they are in the same bin or in
    neighbours.
    """

    def __init__(self, runs: Sequence[Fingerprint]) -> None:
        self._runs = runs
        self._of_several_formats = len({run.format for run in runs}) > 1
        self._exact: dict[int, list[int]] = {}  # by the hash of a point: runs found together are compared anyhow
        self._rounded: dict[str, dict[tuple[Any, ...], list[int]]] = {}  # by format
        self._place: dict[int, int] = {}

    def add(self, number: int) -> None:
        self._place[number] = len(self._place)
        run = self._runs[number]
        for point in _exact_points(run, 2 * DIFFERING + 1):
            self._exact.setdefault(point, []).append(number)
        for metric in filter(_tells_runs_apart, run.series) if self._of_several_formats else ():
            for key, place in _rounded_points(run.series[metric], ASKED + DIFFERING):
                of_format = self._rounded.setdefault(run.format, {})
                of_format.setdefault((run.start, metric, key, place), []).append(number)

    def near(self, run: Fingerprint) -> list[int]:
        """Return the runs that this one may be a copy of, in the order in which they were added."""
        exact = {k for point in _exact_points(run, DIFFERING + 1) for k in self._exact.get(point, ())}
        rounded: set[int] = set()
        others = [points for format, points in self._rounded.items() if format != run.format]
        for metric in filter(_tells_runs_apart, run.series) if others else ():
            points = _rounded_points(run.series[metric], ASKED)
            bins = [(run.start, metric, key, place + at) for key, place in points for at in (-1, 0, 1)]
            shared = Counter(k for of_format in others for place in bins for k in of_format.get(place, ()))
            rounded |= {k for k, n in shared.items() if n >= max(1, len(points) - DIFFERING)}
        return sorted(exact | rounded, key=self._place.__getitem__)


def _exact_points(run: Fingerprint, n: int) -> list[int]:
    # Epochs and rates are those of many runs.
    metric = min(filter(_tells_runs_apart, run.series), default=min(run.series))
    points = run.series[metric]
    return [
        hash((run.start, run.format, metric, *point))
        for point in zip(points.keys[:n].tolist(), map(repr, points.values[:n].tolist()))
    ]


def _rounded_points(points: Excerpt, n: int) -> list[tuple[int, int]]:
    """Return keys and bins of values; what is no number has a bin of its own."""
    return [
        (key, math.floor(math.asinh(value / FLOOR) / BIN) if math.isfinite(value) else NOWHERE)
        for key, value in zip(points.keys[:n].tolist(), points.values[:n].tolist())
    ]


def without_duplicates(runs: list[Run]) -> list[Run]:
    """Return the runs without those whose curve another one holds too; the fuller one stays and says so."""
    copies = originals([fingerprint_of(run) for run in runs])
    return [noted(run, number, copies, runs) for number, run in enumerate(runs) if number not in copies]


def noted(run: Run, number: int, copies: dict[int, int], runs: Sequence[Run]) -> Run:
    """Return the run, the one of this number, with a note on each of its copies."""
    copied = [runs[k].source for k, original in copies.items() if original == number]
    notes = tuple(f"{source} holds the same values and is not listed separately." for source in copied)
    return replace(run, notes=(*run.notes, *notes)) if notes else run


def _start(run: Run) -> tuple[int, float] | None:
    curve = run.curve or (("reward", run["reward"]) if "reward" in run.series else None)
    if curve is None or len(curve[1].finite) < FEWEST_POINTS:
        return None
    finite = curve[1].finite
    return int(finite.steps[0]), float(f"{finite.values[0]:.2g}")


def _kept(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are kept of a series with these steps, and their keys."""
    keys = steps.astype(np.uint64) * SCATTERING
    rows = np.argsort(keys) if len(keys) <= KEPT else np.argpartition(keys, KEPT)[:KEPT]
    rows = rows[np.argsort(keys[rows])]
    return rows, keys[rows]


def _is_copy(run: Fingerprint, other: Fingerprint) -> bool:
    """Tell whether two runs are one: to the last value in one format, as far as printing keeps it in two.

    A run that stops earlier, or holds a NaN where the other holds a number, is another run: it may be the sick one.
    """
    if run.format == other.format:
        return run.series.keys() == other.series.keys() and all(
            _equal(run.series[m], other.series[m], 0.0) for m in run.series
        )
    shared = [m for m in run.series if m in other.series and _tells_runs_apart(m)]
    return bool(shared) and all(_equal(run.series[m], other.series[m], ROUNDING) for m in shared)


def _tells_runs_apart(metric: str) -> bool:
    """Tell whether copies in other formats have a metric in common: a loss, or what a policy is trained by."""
    return metric in ("loss", "reward", "policy_loss") or metric.endswith("/loss")


def _equal(a: Excerpt, b: Excerpt, tolerance: float) -> bool:
    if min(a.n, b.n) < SHARED * max(a.n, b.n):
        return False
    last = min(e.keys[-1] if e.n > KEPT else np.iinfo(np.uint64).max for e in (a, b))  # up to it both are complete
    (keys, values), (other_keys, other_values) = ((e.keys[e.keys <= last], e.values[e.keys <= last]) for e in (a, b))
    place = np.minimum(np.searchsorted(other_keys, keys), len(other_keys) - 1)
    close = np.isclose(other_values[place], values, rtol=tolerance, atol=tolerance / 20, equal_nan=True)
    same = (other_keys[place] == keys) & close
    return float(same.sum()) >= SHARED * max(len(keys), len(other_keys))
