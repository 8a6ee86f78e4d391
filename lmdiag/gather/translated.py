"""A column of a log under the name of its metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from lmdiag.readers.rawlog import Column


class Translated(Struct, frozen=True):
    """A source column under its canonical name, its values in the canonical unit."""

    metric: str
    source_name: str
    column: Column
    scale: float = 1.0
    own: str = ""  # the name that it has where another column is taken for the metric
    guess: str = ""  # why it was taken for the metric, where its name does not say so
    rival: str = ""  # why another column was taken for the metric
    further: tuple[str, ...] = ()  # the names under which it goes on
    unmeasured: int = 0  # NaN that stood where nothing was measured, and is gone


def taken_for(columns: Sequence[Translated], metrics: Mapping[int, str], why: str) -> list[Translated]:
    """Return columns of which some, by their `id`, were taken for a metric that their name does not say, with the words that tell why."""
    return [
        replace(column, metric=metrics[id(column)], guess=why.format(column.source_name, metrics[id(column)]))
        if id(column) in metrics
        else column
        for column in columns
    ]
