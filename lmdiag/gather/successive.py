"""A training loss that goes on under another name: columns of which one begins where the other ended are one curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.axis import Axis
from lmdiag.gather.translated import Translated
from lmdiag.naming import words_of
from lmdiag.readers.rawlog import Column, RawLog

FEWEST = 3  # values: fewer behind a training sum it up, and before it are estimates
OF_THE_LOSS = frozenset({"loss", "train", "lm", "step", "iter", "batch", "log", "table", "model", "language"})


def with_joined_losses(raw: RawLog, axis: Axis, columns: Sequence[Translated]) -> list[Translated]:
    """Join columns of the training loss of which each begins, in the log and in steps, where the one before it ended."""
    losses = [column for column in columns if _is_loss(column)] if axis.column else []
    losses.sort(key=lambda column: int(column.column.rows[0]))
    if len(losses) < 2 or not all(_follows(raw, axis, one, other) for one, other in pairwise(losses)):
        return list(columns)
    first, *others = losses
    parts = [column.column for column in losses]
    whole = Column(np.concatenate([part.rows for part in parts]), np.concatenate([part.values for part in parts]))
    turns = ", ".join(f'"{c.source_name}" from {axis.kind} {axis.steps[c.column.rows[0]]:,} on' for c in others)
    said = f'the loss is "{first.source_name}", then {turns}: one curve'
    joined = replace(first, column=whole, guess=said, further=tuple(column.source_name for column in others))
    gone = {id(column) for column in others}
    return [joined if column is first else column for column in columns if id(column) not in gone]


def _is_loss(column: Translated) -> bool:
    """Tell whether a column is called a training loss, and not an average, an estimate or a term of one."""
    words = set(words_of(column.source_name))
    named = column.metric == "loss" and not column.guess and {"loss"} <= words <= OF_THE_LOSS
    return named and len(column.column.rows) >= FEWEST


def _follows(raw: RawLog, axis: Axis, one: Translated, other: Translated) -> bool:
    alike = one.scale == other.scale and all(
        of.get(one.source_name) == of.get(other.source_name) for of in (raw.units, raw.reductions)
    )
    before, after = one.column.rows, other.column.rows
    return alike and before[-1] < after[0] and bool(axis.steps[before].max() < axis.steps[after].min())
