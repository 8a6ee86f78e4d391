"""The word that the user says counts the steps of a printed log."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmdiag.readers.tables.column_names import canonical, counts_epochs
from lmdiag.readers.tables.table import STEP

SUREST_STEP = "global_step"  # is read as the step whatever else a line counts


@dataclass(frozen=True)
class Counter:
    """A word, and the pattern of the places where a whole number stands behind it."""

    word: str
    pattern: re.Pattern[str]


def named_counter(word: str) -> Counter | None:
    """Return the counter that a word names; None for a word that is read as something else already.

    >>> named_counter("upd").pattern.sub(SUREST_STEP, "upd 10 | upd_time 0.5 | 'upd': 3"), named_counter("tokens")
    ("global_step 10 | upd_time 0.5 | 'global_step': 3", None)
    """
    if not word or word == STEP or counts_epochs(word) or canonical(word):
        return None
    pattern = rf"(?<![\w./-]){re.escape(word)}(?=['\"]?\s*[:=#]?\s*[\[(]?\s*\d)"
    return Counter(word, re.compile(pattern))
