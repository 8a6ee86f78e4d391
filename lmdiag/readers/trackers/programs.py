"""Rows in JSON Lines, tables, event files and prints whose columns tell which program logged them, and so what they mean."""

from __future__ import annotations

from collections.abc import Callable

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.catalyst import is_catalyst, of_epochs
from lmdiag.readers.trackers.fastai import is_fastai, of_validation
from lmdiag.readers.trackers.mmengine_rows import is_mmengine, with_evaluations
from lmdiag.readers.trackers.ray_tune import is_ray_tune, of_trial
from lmdiag.readers.trackers.sentence_transformers import is_evaluator, of_evaluator
from lmdiag.readers.trackers.spacy import is_spacy, of_windows

PROGRAMS: tuple[tuple[Callable[[RawLog], bool], Callable[[RawLog], RawLog]], ...] = (
    (is_mmengine, with_evaluations),
    (is_ray_tune, of_trial),
    (is_catalyst, of_epochs),
    (is_evaluator, of_evaluator),
    (is_spacy, of_windows),
    (is_fastai, of_validation),
)


def understood(log: RawLog) -> RawLog:
    """Return a log with the conventions of the program that wrote it, as it is where the columns tell of none."""
    if log.spans:  # converted, and settled before
        return log
    return next((convention(log) for tells, convention in PROGRAMS if tells(log)), log)
