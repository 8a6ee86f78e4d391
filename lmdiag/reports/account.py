"""The account of a log in words: one line of what matters, or all of it, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmdiag.account import EMPTY, EXTRA, METRIC, RUN, SETTING, SPLIT, STEP, Account, Column, Skipped, joined
from lmdiag.reports.phrases import count, number
from lmdiag.run import Run
from lmdiag.strict_json import plain

TEXT = 0.1  # with more than this share of lines that are text, it is said how many hold records
NAMED = 3  # so many columns are named in one line
SAID = {
    EXTRA: "Kept under their own names, as lmdiag does not know them",
    SETTING: "Settings",
    STEP: "Counts the steps",
    RUN: "Tells runs or their processes apart",
    SPLIT: "Tells evaluations from training",
    EMPTY: "Without a value",
}


def left_out(run: Run) -> tuple[Skipped, ...]:
    """Return what of a source was not read, those of one reason together."""
    return joined(run.skipped)


def account_line(account: Account) -> str:
    """Write in one line how much of a log was read and what was not used; "" of a run without an account.

    >>> account_line(Account(304, 300, 0, 1, 3, 300, columns=(Column("loss", "metric"), Column("note", "not used"))))
    'Read 301 of 304 lines; 2 columns, 1 not used: note.'
    """
    if not account.columns:
        return ""
    parts = []
    if account.lines:
        read = account.lines - account.lost
        parts.append(f"{read:,} of {account.lines:,} lines" if account.lost else f"all {count(read, 'line')}")
        if account.text > TEXT * account.lines:
            parts[0] += f", of which {account.with_records:,} hold records"
    else:
        parts.append(count(account.rows, "row"))
    unused = account.not_used
    named = ", ".join(column.name for column in unused[:NAMED])
    more = f" and {len(unused) - NAMED:,} more" if len(unused) > NAMED else ""
    parts.append(
        count(len(account.columns), "column") + (f", {len(unused):,} not used: {named}{more}" if unused else "")
    )
    return f"Read {'; '.join(parts)}."


def account_lines(run: Run) -> Iterator[str]:
    """Write all of an account but the notes of the run: the lines, each column, and what was chosen between columns."""
    account = run.account
    if account.lines:
        kinds = (
            ("with records", account.with_records),
            ("of text", account.text),
            ("blank", account.blank),
            ("lost", account.lost),
        )
        said = ", ".join(f"{n:,} {kind}" for kind, n in kinds if n)
        yield f"{count(account.lines, 'line')}: {said}; {count(account.rows, 'row')} in this run."
    plainly = [column.name for column in account.columns if column.use == METRIC and _as_it_is(column)]
    if plainly:
        yield f"Metrics under their own names: {_listed(plainly)}."
    for column in account.columns:
        if column.use == METRIC and not _as_it_is(column):
            yield f'"{column.name}" is {_metric(column)}.'
    for use, said in SAID.items():
        names = [column.name for column in account.columns if column.use == use]
        if names:
            yield f"{said}: {_listed(names)}."
    for column in account.not_used:
        yield f'Not used: "{column.name}": {column.why}.'
    yield from (f"{guess}." for guess in account.guesses if guess not in run.notes)


def _as_it_is(column: Column) -> bool:
    return column.metrics == (column.name,) and column.scale == 1


def _metric(column: Column) -> str:
    unit = f" in {column.unit}" if column.unit else ""
    scale = f", values times {number(column.scale)}" if column.scale != 1 else ""
    return f"{' and '.join(column.metrics)}{unit}{scale}"


def _listed(names: list[str]) -> str:
    """Name all, but of the layers of a model only how many there are."""
    shown = [name for name in names if not name.startswith("layers/")]
    hidden = len(names) - len(shown)
    return ", ".join([*shown, f"{hidden:,} of single layers"] if hidden else shown)


def account_entry(account: Account) -> dict[str, Any]:
    """Return an account as plain data."""
    return {
        "lines": {
            "all": account.lines,
            "with_records": account.with_records,
            "blank": account.blank,
            "text": account.text,
            "lost": account.lost,
        },
        "rows": account.rows,
        "dropped": [{"reason": d.reason, "count": d.count, "unit": d.unit, "line": d.line} for d in account.dropped],
        "columns": [
            {
                "name": column.name,
                "use": column.use,
                "metrics": list(column.metrics),
                "unit": column.unit,
                "scale": plain(column.scale),
                "values": column.values,
                "why": column.why,
            }
            for column in account.columns
        ],
        "guesses": list(account.guesses),
    }
