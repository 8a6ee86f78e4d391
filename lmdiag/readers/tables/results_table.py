"""Tell the log of a run from a table with one row per experiment or per sample, which looks like one."""

from __future__ import annotations

import numpy as np

from lmdiag.errors import NoValues
from lmdiag.naming import is_step_name
from lmdiag.readers.rawlog import RawLog

EXPERIMENT_NAMES = frozenset(
    """
    name run run_name run_id experiment experiment_name exp exp_name exp_id commit commit_hash sha hash variant
    model model_name config description notes status tag trial trial_id id label method source_log job job_id
    """.split()
)
TEXTS_OF_SAMPLES = frozenset("question prompt problem instruction query".split())
NUMBERS_OF_SAMPLES = frozenset(
    f"{what}_{number}"
    for what in ("example", "sample", "question", "prompt", "problem", "doc", "item")
    for number in ("id", "idx", "index")
)
TABLE_OF_RUNS = frozenset({"State", "Created", "Runtime"})  # of the export of a workspace from W&B
MOST_NAMES_DIFFER = 0.6
ENOUGH_ROWS = 5


def refuse_results_table(raw: RawLog) -> RawLog:
    """Return the log as it is, or raise UnreadableLog when its rows are experiments or samples and not steps."""
    if raw.n_rows >= ENOUGH_ROWS and _is_all_single_points(raw):
        raise NoValues(
            f"{raw.source or raw.name} holds single points of {len(raw.columns) - 1} curves, not the log of a run",
            "export the whole curve of each run",
        )
    if raw.columns.keys() | raw.texts.keys() >= TABLE_OF_RUNS:
        raise NoValues(
            f"{raw.source or raw.name} is the table of a workspace with one row per run (rows: {raw.n_rows}), not the log of a run",
            "export the history of the single runs; `lmdiag compare` puts them side by side",
        )
    if _steps_ascend(raw) or (raw.n_rows < 2 and _has_counter(raw)):
        return raw
    for name, (rows, words) in raw.texts.items():
        one_each = len(rows) >= min(max(2, raw.n_rows // 2), raw.n_rows) and len(set(words)) >= MOST_NAMES_DIFFER * len(
            words
        )
        if one_each and _plain(name) in EXPERIMENT_NAMES:
            raise NoValues(
                f"{raw.source or raw.name} is a table of results with one row per experiment (rows: {raw.n_rows}, "
                f'"{name}" differs in each), not the log of a run',
                "give the logs of the single runs; `lmdiag compare` puts them side by side",
            )
        if one_each and _plain(name) in TEXTS_OF_SAMPLES:
            _refuse_samples(raw, name)
    for name, column in raw.columns.items():
        if _plain(name) in NUMBERS_OF_SAMPLES and len(np.unique(column.values)) >= MOST_NAMES_DIFFER * raw.n_rows:
            _refuse_samples(raw, name)
    return raw


def _refuse_samples(raw: RawLog, name: str) -> None:
    """Raise UnreadableLog where the rows are samples, in no order of training that the table tells."""
    if raw.n_rows >= ENOUGH_ROWS and not _has_counter(raw):
        raise NoValues(
            f'{raw.source or raw.name} is a table with one row per sample (rows: {raw.n_rows}, "{name}" differs in each) '
            "and without a step, not the log of a run",
            "give the log of the training; a column `step` makes samples of a training a log",
        )


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _steps_ascend(raw: RawLog) -> bool:
    counters = [c.values for name, c in raw.columns.items() if is_step_name(name) or name.strip().lower() == "epoch"]
    return any(len(v) > 0.5 * raw.n_rows and np.mean(v[1:] > v[:-1]) > 0.6 for v in counters if len(v) > 1)


def _has_counter(raw: RawLog) -> bool:
    return any(is_step_name(name) or name.strip().lower() == "epoch" for name in raw.columns)


def _is_all_single_points(raw: RawLog) -> bool:
    values = [len(c.rows) for name, c in raw.columns.items() if not is_step_name(name)]
    return len(values) > 1 and max(values) == 1
