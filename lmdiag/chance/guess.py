"""What guessing costs, and the terms that several tests of it share."""

from __future__ import annotations

from math import log

from msgspec import Struct

from lmdiag.stats.limits import LEARNS

COIN, TOSSING = log(2), "about what tossing a coin costs (0.6931)"
MOST_ACCURATE = 0.55
CLASSES_NEAR = 0.02  # of ln k, beside an accuracy or a ROC curve that agrees
FEWEST_IN_NATS = 3  # records with a perplexity
LARGEST_EXPONENT = 50.0  # no vocabulary is so large
STILL_FALLS = LEARNS / 2  # rank trend of the second half
KNOWN_RECORDS = 15  # fewer say too little about a level
LASTS = 0.8  # of the records, at the level
FEW_FLAT = 0.01  # of the level: between the lowest and the highest of a handful


class Guess(Struct, frozen=True):
    """What a loss stays at: the words for it, what guessing so costs, and which metric says so, if not the curve."""

    words: str
    cost: float
    of_all: bool = False  # that a vocabulary holds: nothing at all was learned
    metric: str = ""
    level: float = 0.0  # where that metric stays
    falls: bool = False  # still, too slowly
    never_below: float = 0.0  # of a loss that swings
