"""The account of a run: what was made of each column of its log, and of the lines."""

from __future__ import annotations

from collections.abc import Iterable

from lmdiag.account import EMPTY, EXTRA, METRIC, NOT_USED, RUN, SETTING, SPLIT, STEP, Account, Column, Skipped, joined
from lmdiag.facts import printed_fact
from lmdiag.gather.arranged import Arranged
from lmdiag.gather.axis import Axis
from lmdiag.gather.translated import Translated
from lmdiag.metrics import METRICS
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.tally import Tally


def account_of(log: Arranged, axis: Axis, notes: Iterable[str], beaten: Iterable[Skipped] = ()) -> Account:
    """Return what became of a log of one run; `notes` are those of the run, with the guesses among them; `beaten` values did not stand."""
    raw, tally = log.raw, log.raw.tally or Tally()
    return Account(
        tally.lines,
        tally.with_records,
        tally.blank,
        tally.text,
        tally.lost,
        raw.n_rows,
        joined((*raw.skipped, *beaten)),
        tuple(_columns(log, axis)),
        tuple(dict.fromkeys([*notes, *log.choices])),
    )


def _columns(log: Arranged, axis: Axis) -> Iterable[Column]:
    """Yield each name that the source has once: columns of numbers, of words, and what the reader left out."""
    raw = log.raw
    made: dict[str, list[Translated]] = {}
    for found in log.columns.values():
        for name in (found.source_name, *found.further):
            made.setdefault(name, []).append(found)
    split_column, _ = log.splits
    for name in dict.fromkeys([*raw.columns, *raw.texts, *raw.unused]):
        n = len(raw.columns[name].rows) if name in raw.columns else len(raw.texts.get(name, ((),))[0])
        if name == raw.run_column:
            yield Column(name, RUN, n)
        elif name == split_column:
            yield Column(name, SPLIT, n)
        elif name in made:
            yield _made(raw, name, n, made[name])
        elif name == axis.column:
            yield Column(name, STEP, n)
        elif name == log.axis.column:
            yield Column(name, NOT_USED, n, why="it starts again during the log")
        elif raw.names.get(name, name) is None and printed_fact(name) in raw.config:
            yield Column(name, SETTING, n)
        elif not n and not raw.unused.get(name):
            yield Column(name, EMPTY)
        else:
            yield Column(name, NOT_USED, n, why=_why_not(raw, name))


def _made(raw: RawLog, name: str, n: int, found: list[Translated]) -> Column:
    first = found[0]
    metrics = tuple(column.metric for column in found)
    why = first.guess or first.rival or raw.unused.get(name, "")
    known = METRICS.get(metrics[0].rpartition("/")[2])
    if known is None:
        setting = printed_fact(name) in raw.config
        return Column(name, SETTING if setting else EXTRA, n, metrics, scale=first.scale, why=why)
    return Column(name, METRIC, n, metrics, known.unit, first.scale, why)


def _why_not(raw: RawLog, name: str) -> str:
    if raw.unused.get(name):
        return raw.unused[name]
    if name not in raw.columns:
        return "it holds words"
    if name in raw.names:
        return f"the format {raw.format} leaves it out"
    return "it sums the training up"
