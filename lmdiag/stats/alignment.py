"""Two metrics at the steps they share."""

from __future__ import annotations

import numpy as np


def along(steps: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values at some steps: linear between the known ones, the first and the last outside.

    >>> along(np.array([0, 2, 3]), np.array([1, 3]), np.array([1.0, 5.0])).tolist()
    [1.0, 3.0, 5.0]
    """
    return values if np.array_equal(steps, known) else np.interp(steps, known, values)


def held_at(steps: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values that hold at some steps: the last one known at or before each, the first where none is.

    >>> held_at(np.array([0, 2, 3]), np.array([1, 3]), np.array([1.0, 5.0])).tolist()
    [1.0, 1.0, 5.0]
    """
    return values[np.maximum(np.searchsorted(known, steps, side="right") - 1, 0)]


def shared_steps(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices, in each of two ascending arrays of steps, of the steps that stand in both.

    >>> left, right = shared_steps(np.array([1, 2, 4]), np.array([2, 3, 4]))
    >>> left.tolist(), right.tolist()
    ([1, 2], [0, 2])
    """
    if np.array_equal(first, second):
        rows = np.arange(len(first))
        return rows, rows
    _, left, right = np.intersect1d(first, second, return_indices=True)
    return left, right
