"""Gathering: RawLog -> Run, once for all formats: steps, names and units, restarts, several runs, duplicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import NoValues
from lmdiag.facts import header_facts, printed_fact, put_fact
from lmdiag.gather.arranged import Arranged
from lmdiag.gather.axis import placed
from lmdiag.gather.running_totals import differenced
from lmdiag.gather.separate import ranks_of, separate
from lmdiag.gather.series import gather
from lmdiag.gather.writers import taken_apart
from lmdiag.gather.written_alike import averaged
from lmdiag.readers import as_unreadable
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.programs import understood
from lmdiag.run import Run

__all__ = ["run_of", "runs_in"]

LIMIT = "grad_clip"


def runs_in(logs: Iterable[RawLog], name: str) -> list[Run]:
    """Return every run that the logs of one source hold; raise UnreadableLog where there is none."""
    runs: list[Run] = []
    lost = ""
    for raw in logs:
        lost = lost or next((skipped.reason for skipped in raw.skipped), "")
        with as_unreadable(name, raw.format):
            runs += _runs_of_ranks(raw) or _gathered(raw)
    if not runs and lost:
        raise NoValues(f"{name} holds no values that can be read: {lost}", "check that it was copied completely")
    if not runs:
        raise NoValues(f"{name} holds no values", "the run wrote nothing yet, or wrote its metrics elsewhere")
    return runs


def _gathered(raw: RawLog) -> list[Run]:
    return [run for run in map(gather, separate(_arranged(raw))) if run.series]


def _runs_of_ranks(raw: RawLog) -> list[Run]:
    """Return the run of a log that several processes wrote, each under its rank, or their runs where they are several."""
    ranks = ranks_of(raw)
    found = [_gathered(one) for one in ranks.values()]
    if not found:
        return []
    if all(len(runs) == 1 for runs in found):
        from lmdiag.gather.stores import joined_ranks  # few logs tell of ranks

        if len(one := joined_ranks([run for (run,) in found])) == 1:
            return one
    named = zip(ranks, found)
    return [dataclasses.replace(run, name=f"{run.name}#rank={rank}") for rank, runs in named for run in runs]


def run_of(raw: RawLog) -> Run:
    """Return the run that a log of one run holds."""
    return gather(_arranged(raw))


def _arranged(raw: RawLog) -> Arranged:
    """Arrange a log with the facts that the settings of its program state; what the reader found counts more."""
    raw = placed(differenced(understood(raw)))
    config = {**_of_columns(raw), **header_facts(raw.settings), **raw.config}
    return averaged(taken_apart(Arranged(replace(raw, config=config))))


def _of_columns(raw: RawLog) -> dict[str, Any]:
    """Return the limit of the gradient norm where every record states it, and the same one."""
    header: dict[str, Any] = {}
    for name, column in raw.columns.items():
        if printed_fact(name) == LIMIT and len(column.values) and np.ptp(column.values) == 0:
            put_fact(header, LIMIT, float(column.values[0]))
    return header
