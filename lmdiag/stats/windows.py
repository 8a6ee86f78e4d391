"""Rolling and block medians, quick on a million points and without heavy imports on a thousand."""

from __future__ import annotations

import sys
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

IMPORTED_LIMIT = 200_000  # window cells above which sorting each window costs more than polars, where it is imported
SHORT = 40  # a shorter window is sorted faster than polars slides it
LONG = 200  # a longer one is slid by bisection faster than each window is sorted, by twice to ten times
WORTH_THE_IMPORT = 200_000  # values: below, sliding by bisection (0.6 µs each) costs less than importing polars
CACHED_CELLS = 1 << 16
FEW_CELLS = 20_000  # of so few every window is sorted sooner than the lowest is found
SORTED = 2048  # more values are partitioned faster than sorted
REMEMBERED, KNOWN_BY_VALUE = 12, 2048

Result = TypeVar("Result")


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Remember what a function says of the last few arrays: several rules ask the same of the same curve.

    A short array is known by its values, a long one only as the object it is.
    """
    known: deque[tuple[list[weakref.ref[np.ndarray]], Any, Result]] = deque(maxlen=REMEMBERED)

    @wraps(function)
    def ask(*given: Any, **settings: Any) -> Result:
        long = [value for value in given if isinstance(value, np.ndarray) and len(value) > KNOWN_BY_VALUE]
        key = (settings, *map(_by_value, given))
        for arrays, other, result in tuple(known):  # the app judges runs in several threads
            if other == key and all(array() is value for array, value in zip(arrays, long)):
                return result
        result = function(*given, **settings)
        known.append(([weakref.ref(value) for value in long], key, result))
        return result

    return ask


def _by_value(given: Any) -> Any:
    """Return what a value of a call is known by: of a long array nothing but that it is one."""
    if isinstance(given, np.ndarray):
        return given.tobytes() if len(given) <= KNOWN_BY_VALUE else np.ndarray
    return given


def median(values: ArrayLike) -> np.ndarray:
    """Return the median over the last axis, NaN where one of the values is NaN or there are none.

    The same as `numpy.median`, at a fraction of the fixed cost of a call, which imports masked arrays: some rules ask for a
    thousand medians of short windows.

    >>> float(median(np.array([3.0, 1.0, 2.0, 9.0])))
    2.5
    """
    values = np.asarray(values, float)
    n = values.shape[-1]
    if n == 0:
        return np.full(values.shape[:-1], np.nan)
    copy = values.copy()
    ordered = copy.T  # the values of one median are a column: what is picked of a sequence is a number
    if n > SORTED:
        copy.partition(n // 2)
        below = ordered[n // 2] if n % 2 else ordered[: n // 2].max(axis=0)
        last = ordered[n // 2 :].max(axis=0)
    else:
        copy.sort()
        below, last = ordered[(n - 1) // 2], ordered[-1]
    middle: np.ndarray = 0.5 * (below + ordered[n // 2])
    if values.ndim == 1:
        return middle if last == last else last  # NaN is sorted to the end
    middle[np.isnan(last)] = np.nan
    return middle.T


def quantile(values: np.ndarray, share: float) -> float:
    """Return the value below which a share of the values lies, interpolated; as `numpy.quantile`, which imports masked arrays.

    >>> quantile(np.array([3.0, 1.0, 2.0]), 0.25)
    1.5
    """
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above)) if len(values) > SORTED else np.sort(values)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values; as `numpy.unique`, which imports masked arrays.

    >>> distinct(np.array([2, 1, 2])).tolist()
    [1, 2]
    """
    ordered = np.sort(values, kind="stable")  # what is asked for consists of sorted runs, as a rule, which are merged
    return ordered[np.append(np.ones(min(1, len(ordered)), bool), ordered[1:] != ordered[:-1])]


def every_window(values: np.ndarray, window: int) -> np.ndarray:
    """Return a view of every full window of a sequence: float64[n - window + 1, window].

    As `numpy.lib.stride_tricks.sliding_window_view`, at a twentieth of the cost of a call.

    >>> every_window(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    values = np.ascontiguousarray(values, float)
    step = values.itemsize
    return np.ndarray((len(values) - window + 1, window), float, values, 0, (step, step))


@remembered
def rolling_median(values: np.ndarray, window: int) -> np.ndarray:
    """Return the median of every full window: float64[n - window + 1], empty when the window does not fit.

    >>> rolling_median(np.array([3.0, 1.0, 2.0, 9.0]), 3).tolist()
    [2.0, 2.0]
    """
    if window > len(values):
        return np.empty(0)
    if window <= 1:
        return values.astype(float)
    way = _way(len(values), window)
    if way and not np.isnan(values).any():
        return way(values, window)
    cells = every_window(values, window)
    rows = max(1, CACHED_CELLS // window)  # sorted windows that stay in the cache
    return np.concatenate([median(cells[first : first + rows]) for first in range(0, len(cells), rows)])


def _way(n: int, window: int) -> Callable[[np.ndarray, int], np.ndarray] | None:
    """Return how to slide a window over n numbers, None where it is quicker to sort each of its places."""
    if window > SHORT and n * window > IMPORTED_LIMIT and ("polars" in sys.modules or n > WORTH_THE_IMPORT):
        return _by_polars
    return _by_bisection if window > LONG else None


def _by_polars(values: np.ndarray, window: int) -> np.ndarray:
    import polars as pl

    return pl.Series(values).rolling_median(window).to_numpy()[window - 1 :]


def _by_bisection(values: np.ndarray, window: int) -> np.ndarray:
    coming = values.tolist()
    ordered = sorted(coming[:window])
    low, high = (window - 1) // 2, window // 2
    medians = [0.5 * (ordered[low] + ordered[high])]
    for gone, new in zip(coming, coming[window:]):
        del ordered[bisect_left(ordered, gone)]
        insort(ordered, new)
        medians.append(0.5 * (ordered[low] + ordered[high]))
    return np.asarray(medians)


@remembered
def lowest_median(values: np.ndarray, window: int) -> float:
    """Return the lowest median of a full window of finite values: `rolling_median(values, window).min()`, without all the others.

    Of an odd window it is the least value that half of some window does not exceed, which halving finds. The two middle
    values of an even one lie so close together that few windows can have a lower mean of both than the first one found.

    >>> lowest_median(np.array([3.0, 1.0, 2.0, 9.0]), 2)
    1.5
    """
    if len(values) * window <= FEW_CELLS:
        return float(rolling_median(values, window).min())
    half, apart = (window + 1) // 2, values[len(values) % window :].reshape(-1, window)
    known = median(apart).min()
    near = np.flatnonzero(count_in_windows(values <= known, window) >= half)  # no window elsewhere is as low
    values = values[near[0] : near[-1] + window]
    ordered = np.sort(values[values <= known])
    low, high = half - 1, len(ordered) - 1
    while low < high:
        middle = (low + high) // 2
        if count_in_windows(values <= ordered[middle], window).max() >= half:
            high = middle
        else:
            low = middle + 1
    first = int(count_in_windows(values <= ordered[low], window).argmax())
    lowest = float(median(values[first : first + window]))
    if lowest == ordered[low]:  # as with every odd window
        return lowest
    near = np.flatnonzero(count_in_windows(values <= lowest, window) >= half)
    for stretch in np.split(near, np.flatnonzero(np.diff(near) > window // 8 + 1) + 1):
        lowest = min(lowest, float(rolling_median(values[stretch[0] : stretch[-1] + window], window).min()))
    return lowest


def count_in_windows(chosen: np.ndarray, window: int) -> np.ndarray:
    """Return how many of some values every full window holds: int32[n - window + 1]."""
    counts = np.zeros(len(chosen) + 1, np.int32)
    np.cumsum(chosen, out=counts[1:])
    return counts[window:] - counts[:-window]


def centred_median(values: np.ndarray, window: int) -> np.ndarray:
    """Return the median of the window around every point: float64[n]; windows are cut off at both ends.

    >>> centred_median(np.array([1.0, 9.0, 1.0, 1.0]), 3).tolist()
    [5.0, 1.0, 1.0, 1.0]
    """
    half, n = window // 2, len(values)
    if n <= 2 * half:
        return np.array([median(values[max(0, i - half) : i + half + 1]) for i in range(n)])
    middle = rolling_median(values, 2 * half + 1)
    left = _medians_of_starts(values[: 2 * half])[half + 1 :]
    right = _medians_of_starts(values[n - 2 * half :][::-1])[:half:-1]
    return np.concatenate([left, middle, right])


def medians_beside(values: np.ndarray, window: int, at: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians of up to `window` points before and after the points `at` (default all); NaN where there are none.

    >>> before, after = medians_beside(np.array([1.0, 5.0, 2.0]), 2)
    >>> before.tolist(), after.tolist()
    ([nan, 1.0, 3.0], [3.5, 2.0, nan])
    """
    n = len(values)
    at = np.arange(n) if at is None else at
    before, after = np.full(len(at), np.nan), np.full(len(at), np.nan)
    edge = np.flatnonzero(at < window)
    if len(edge):
        before[edge] = _medians_of_starts(values[:window])[at[edge]]
    edge = np.flatnonzero(at >= n - window)
    if len(edge):
        after[edge] = _medians_of_starts(values[max(n - window, 0) :][::-1])[n - 1 - at[edge]]
    if n > window:
        few = len(at) < n
        full = every_window(values, window) if few else rolling_median(values, window)
        chosen = np.flatnonzero(at >= window)
        before[chosen] = median(full[at[chosen] - window]) if few else full[at[chosen] - window]
        chosen = np.flatnonzero(at < n - window)
        after[chosen] = median(full[at[chosen] + 1]) if few else full[at[chosen] + 1]
    return before, after


def _medians_of_starts(values: np.ndarray) -> np.ndarray:
    """Return the medians of the first 0, 1, 2, … values: float64[n + 1]."""
    medians = np.full(len(values) + 1, np.nan)
    ordered: list[float] = []
    for n, value in enumerate(values.tolist(), 1):
        if value != value:
            break
        insort(ordered, value)
        medians[n] = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    return medians


@remembered
def block_medians(values: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians of `blocks` nearly equal stretches and the index at which each stretch starts.

    >>> block_medians(np.array([1.0, 2.0, 3.0, 10.0, 11.0, 12.0]), 2)
    (array([ 2., 11.]), array([0, 3]))
    """
    blocks = min(blocks, len(values))
    if not blocks:
        return np.empty(0), np.empty(0, int)
    edges = np.arange(blocks + 1) * len(values) // blocks
    starts = edges[:-1]
    if len(values) % blocks == 0:
        return median(values.reshape(blocks, -1)), starts
    widths = np.diff(edges)
    levels = np.empty(blocks)
    for width in sorted(set(widths.tolist())):  # two at most: the stretches differ by one point
        alike = widths == width
        levels[alike] = median(every_window(values, width)[starts[alike]])
    return levels, starts


@remembered
def medians_around(at: np.ndarray, steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the median of the values around each of some steps, and how many values such a median holds.

    A window reaches half-way to the neighbouring steps; where it is empty, the next value counts. `values` may not be empty.

    >>> medians_around(np.array([2, 5]), np.arange(1, 7), np.array([1.0, 2, 3, 4, 5, 6]))
    (array([2., 5.]), 3.0)
    """
    reach = max(float(median(np.diff(at))) / 2, 1.0) if len(at) > 1 else 1.0
    first, stop = np.searchsorted(steps, at - reach), np.searchsorted(steps, at + reach, side="right")
    nearest = np.clip(np.searchsorted(steps, at), 0, len(steps) - 1)
    medians, widths = values[nearest].astype(float), stop - first
    for width in {*widths.tolist()} - {0}:  # few: the same nearly everywhere in evenly spaced logs
        alike = widths == width
        medians[alike] = median(every_window(values, width)[first[alike]])
    return medians, float(median(widths)) if len(at) else 0.0
