"""A loss under a name that nobody knows: where one column alone can be the loss of a log, it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmdiag.gather.objective import PREFERENCES, REWARDS
from lmdiag.gather.translated import Translated, taken_for
from lmdiag.naming import SPLITS, is_other_term, words_of
from lmdiag.readers.rawlog import RawLog

MOST_ROWS = 0.5
LOSSES = ("loss", "ppl", "bpb", "bpc")
SETS = ("val", "test")
OF_A_LOSS = frozenset(
    """
    scale scaler scaling weight weights coef coeff coefficient lambda std var variance min max best lowest time count mask ratio delta
    diff change improvement patience step steps tokens token percent threshold limit target reference
    """.split()
)


def with_only_losses(raw: RawLog, columns: Sequence[Translated]) -> list[Translated]:
    """Take the only column that can be a loss for it, of training and of each evaluation set, where nothing is called one."""
    if any(column.metric.rpartition("/")[2] in LOSSES for column in columns):
        return list(columns)
    if any(pattern.search(name.removeprefix("train/")) for name in raw.columns for pattern in (REWARDS, PREFERENCES)):
        return list(columns)
    able: dict[str, list[Translated]] = {}
    for column in columns:
        if _can_be_loss(raw, column):
            able.setdefault(_set_of(column.metric), []).append(column)
    metrics = {id(found[0]): f"{name}loss" for name, found in able.items() if len(found) == 1}
    return taken_for(columns, metrics, 'no column is called a loss; "{}" alone can be one and was taken for {}')


def _set_of(metric: str) -> str:
    first = metric.partition("/")[0]
    return f"{first}/" if first in SETS else ""


def _can_be_loss(raw: RawLog, column: Translated) -> bool:
    values = column.column.values[np.isfinite(column.column.values)]
    whole = not len(values) or bool((values == np.rint(values)).all())
    if whole or len(column.column.rows) < MOST_ROWS * raw.n_rows:
        return False
    return is_like_a_loss(column.source_name) or (column.source_name.lower() in SPLITS and values.max() > 1)


def is_like_a_loss(source_name: str) -> bool:
    """Tell whether a name may be that of a loss of a language model, but for those of known other terms.

    >>> is_like_a_loss("sft_loss"), is_like_a_loss("policy_loss"), is_like_a_loss("loss_scale")
    (True, False, False)
    """
    words = words_of(source_name)
    return "loss" in words and OF_A_LOSS.isdisjoint(words) and not is_other_term(source_name)
