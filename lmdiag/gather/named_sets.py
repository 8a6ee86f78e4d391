"""Columns that are named after evaluation sets alone, such as `val_code` beside `val_wiki`: losses, where their values are those of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmdiag.gather.translated import Translated, taken_for
from lmdiag.naming import words_of
from lmdiag.readers.rawlog import Column

LOSSES = ("loss", "ppl", "bpb", "bpc")
SETS = ("val/", "test/")
FEWEST, LEAST = 3, 1.0  # values; a share or a score of answers is no higher
NEAR, MOST = 2.0, 3.0  # times the training loss at first, and times its own first value
OF_NO_LOSS = frozenset(
    """
    acc accuracy f1 auc bleu rouge chrf score precision recall em exact match mrr ndcg wer cer perplexity time seconds runtime speed rate
    steps samples tokens examples second epoch lr reward length gap std count batch size
    """.split()
)


def with_losses_of_sets(columns: Sequence[Translated]) -> list[Translated]:
    """Take two columns or more that tell of nothing but an evaluation set for its losses, where no other evaluation has one."""
    trained = next((column.column for column in columns if column.metric == "loss"), None)
    evaluated = any(c.metric.startswith(SETS) and c.metric.rpartition("/")[2] in LOSSES for c in columns)
    found = [] if trained is None or evaluated else [c for c in columns if _is_like_one(c, trained)]
    if len(found) < 2:
        return list(columns)
    names = {id(column): f"{column.metric.partition('/')[2]}/loss" for column in found}
    return taken_for(columns, names, '"{}" tells of no measure; its values are near the loss, and were taken for {}')


def _is_like_one(column: Translated, trained: Column) -> bool:
    name = column.metric.partition("/")[2]
    if not column.metric.startswith(SETS) or "/" in name or not OF_NO_LOSS.isdisjoint(words_of(name)):
        return False
    values, rows = column.column.values, column.column.rows
    good = np.isfinite(values)
    if good.sum() < FEWEST or not good[0] or not len(trained.values):
        return False
    kept, first = values[good], float(values[0])
    beside = float(trained.values[max(int(np.searchsorted(trained.rows, rows[0], side="right")) - 1, 0)])
    whole = bool((kept == np.rint(kept)).all())
    near = beside / NEAR <= first <= beside * NEAR and first > LEAST
    return not whole and near and bool(kept.min() > 0) and bool(kept.max() <= MOST * first)
