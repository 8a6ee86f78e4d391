"""The CSV file that each evaluator of sentence-transformers writes, such as `eval/similarity_evaluation_dev_results.csv`."""

from __future__ import annotations

from pathlib import PurePath

from msgspec.structs import replace

from lmdiag.readers.rawlog import RawLog
from lmdiag.sources.beside import EVALUATOR


def tells(log: RawLog) -> bool:
    """Tell whether the file is called like that of an evaluator, and counts epochs and steps."""
    name = PurePath(log.source.replace("\\", "/")).name
    return list(log.columns)[:2] == ["epoch", "steps"] and EVALUATOR.fullmatch(name.lower()) is not None


def understood(log: RawLog) -> RawLog:
    """Return the scores as those of the evaluation set, named after the evaluator; steps of -1 say that an epoch ended."""
    name = PurePath(log.source.replace("\\", "/")).name.lower()
    found = EVALUATOR.fullmatch(name)
    own = f"{found['name']}_" if found and found["name"] else ""
    scores = {column: f"val/{own}{column}" for column in log.columns if column not in ("epoch", "steps")}
    if (log.columns["steps"].values >= 0).all():
        return replace(log, step_column="steps", names={**log.names, **scores})
    unused = {**log.unused, "steps": "it is -1 at the end of an epoch"}
    names = {**log.names, **scores, "steps": None}
    return replace(log, step_column="epoch", step_kind="epoch", names=names, unused=unused)
