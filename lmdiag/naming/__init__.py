"""What the name of a column or of a printed number stands for: its metric, evaluation set and unit, or a count of steps."""

from lmdiag.naming.sets import NAMESPACES, SCORES, SPLIT_WORDS, SPLITS, evaluation_set, evaluation_sets
from lmdiag.naming.spelling import Spelling, spelling
from lmdiag.naming.steps import STEP_NAMES, is_step_name, step_rank
from lmdiag.naming.terms import is_other_term
from lmdiag.naming.words import words_of

__all__ = [
    "NAMESPACES",
    "SCORES",
    "SPLITS",
    "SPLIT_WORDS",
    "STEP_NAMES",
    "Spelling",
    "evaluation_set",
    "evaluation_sets",
    "is_other_term",
    "is_step_name",
    "spelling",
    "step_rank",
    "words_of",
]
