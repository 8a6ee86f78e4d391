"""The gradient norms of the layers of a run as one table."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.run import Run


class LayerTable(Struct, frozen=True, eq=False):
    """The gradient norm of every layer: values float64[layers, records] at steps int64[records]."""

    names: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray


def layer_table(run: Run) -> LayerTable:
    """Return the gradient norms of all layers that were logged at the same steps as most; a table of none without any.

    >>> from lmdiag.run import Series
    >>> norms = Series(np.array([1, 2]), np.array([3.0, 4.0]))
    >>> layer_table(Run("a", {"layers/h.0/grad_norm": norms})).names
    ('h.0',)
    """
    found = {
        name.removeprefix("layers/").removesuffix("/grad_norm"): series
        for name, series in run.series.items()
        if name.startswith("layers/") and name.endswith("/grad_norm") and len(series)
    }
    if not found:
        return LayerTable((), np.empty(0, np.int64), np.empty((0, 0)))
    longest = max(found.values(), key=len)
    alike = [name for name, series in found.items() if np.array_equal(series.steps, longest.steps)]
    return LayerTable(tuple(alike), longest.steps, np.stack([found[name].values for name in alike]))
