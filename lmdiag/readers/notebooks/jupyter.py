"""Jupyter notebooks that were saved with their output: what a cell printed, and the tables that trainers draw in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.naming import is_step_name, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.json.document import parsed
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.run import Skipped
from lmdiag.sources.source import Source

ReadPart = Callable[[Source], list[RawLog]]

_METHODS = {
    **{name: name for name in ("sft", "dpo", "orpo", "cpo", "kto", "simpo", "grpo", "rloo", "ppo", "distillation")},
    "reward": "reward-model",
    "ppov2": "ppo",
    "gkd": "distillation",
    "onlinedpo": "dpo",
    "xpo": "dpo",
    "nashmd": "dpo",
}
_NAMED = "|".join(_METHODS)
_TRAINER = lazy(rf"(?im)^(?!\s*def\b)[^#\n]*?\b(?:(?:unsloth)?({_NAMED})trainer|train_(?:with_)?({_NAMED}))\s*\(")
_ROUNDED = 1e-6  # the tables of the Trainer show six decimals
ANY_TEXT, OF_A_POLICY = (
    "key-value text",
    ("reward", "sequence_kl"),
)  # a reward alone is that of a response that was tried out
FEWEST_RECORDS = 3  # a cell that prints a loss once or twice tries something out


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a JSON object of cells."""
    start = head.lstrip()
    return start.startswith(b"{") and (b'"cell_type"' in head or name.endswith(".ipynb"))


def read(source: Source, read_part: ReadPart) -> list[RawLog]:
    """Read every cell of which the output is a log, each as a run of its own, named after the number beside it."""
    found: list[RawLog] = []
    for method, printed, drawn in _parts(source):
        logs = [raw for part in printed for raw in _logs(source, part, read_part)]
        tables = [raw for part in drawn for raw in _logs(source, part, read_part)]
        found += [replace(raw, method=raw.method or method) for raw in _told_once(logs, tables)]
    logs = [raw for raw in found if _records(raw) >= FEWEST_RECORDS] or sorted(found, key=_records)[-1:]
    if not logs:
        raise UnreadableLog(
            f"{source.name} is a notebook in which no output is a log",
            "run it, and save it with its output; output that was cleared cannot be read",
        )
    kept = {raw.name for raw in logs}
    others = ", ".join(raw.name.partition("#")[2] for raw in found if raw.name not in kept)
    if others:
        note = f"Left out: {others}, which hold a loss or two."
        logs[0] = replace(logs[0], notes=(*logs[0].notes, note))
    return logs if len(logs) > 1 else [replace(logs[0], name=source.name)]


def _parts(source: Source) -> Iterator[tuple[str, list[Source], list[Source]]]:
    """Yield what each cell printed, and the tables that it drew, as sources of their own, named after the cell.

    Before them stands the method of the trainer that was made last: its table may hold the loss alone, and that of a policy
    is no loss that must fall.
    """
    method = ""
    for number, cell in enumerate(_cells(source), 1):
        made = _TRAINER.findall(_joined(cell.get("source", cell.get("input"))))
        method = _METHODS["".join(made[-1]).lower()] if made else method
        count = cell.get("execution_count", cell.get("prompt_number"))
        label = f"In[{count}]" if count else f"cell {number}"
        outputs = [output for output in cell.get("outputs") or () if isinstance(output, dict)]
        printed = "\n".join(filter(None, map(_printed, outputs)))
        drawn = [table for output in outputs for table in _tables(_html(output))]
        names = [label if place == 1 else f"{label} table {place}" for place in range(1, len(drawn) + 1)]
        yield (
            method,
            [Source(label, content=printed.encode())] if printed.strip() else [],
            [Source(f"{name}.tsv", content=table.encode()) for name, table in zip(names, drawn)],
        )


def _cells(source: Source) -> Iterator[dict[str, Any]]:
    document = parsed(source, "a notebook")
    sheets = document.get("worksheets") or [document] if isinstance(document, dict) else []  # worksheets: before 2015
    for sheet in sheets:
        for cell in sheet.get("cells") or () if isinstance(sheet, dict) else ():
            if isinstance(cell, dict) and cell.get("cell_type") == "code":
                yield cell


def _printed(output: dict[str, Any]) -> str:
    """Return what went to standard output or standard error, and the traceback that ended the cell."""
    if output.get("output_type") == "stream":
        return _joined(output.get("text"))
    return "\n".join(map(str, output.get("traceback") or ())) if output.get("output_type") == "error" else ""


def _html(output: dict[str, Any]) -> str:
    data = output.get("data")
    return _joined(data.get("text/html") if isinstance(data, dict) else output.get("html"))


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(map(str, text)) if isinstance(text, list) else ""


def _logs(source: Source, part: Source, read_part: ReadPart) -> list[RawLog]:
    """Return the logs of one part; most cells print no log at all, which is no loss."""
    label = part.name.removesuffix(".tsv")
    try:
        return [_of_cell(source, label, raw) for raw in read_part(part) if _records(raw)]
    except UnreadableLog:
        return []


def _of_cell(source: Source, label: str, raw: RawLog) -> RawLog:
    """Return a log without the line numbers, which are those of the cell's output and in no file."""
    skipped = tuple(Skipped(0, f"{label}: {s.reason}", s.count, s.unit) for s in raw.skipped)
    _, _, run = raw.name.partition("#")
    name = f"{source.name}#{label}#{run}" if run else f"{source.name}#{label}"
    return replace(raw, name=name, source=source.name, lines=None, skipped=skipped)


def _told_once(printed: list[RawLog], drawn: list[RawLog]) -> list[RawLog]:
    """Return the logs of a cell without the tables of which it printed every number, mostly with more beside them."""
    logs: list[RawLog] = []
    tables = list(drawn)
    for log in printed:
        others = [table for table in tables if not _shows(log, table)]
        if len(others) < len(tables):
            label = log.name.split("#")[1]
            log = replace(log, notes=(*log.notes, f"{label} also shows these losses in a table, which is left out."))
        logs, tables = [*logs, log], others
    return [log for log in logs if not any(_beside(log, table) for table in tables)] + [
        _joined_with(table, [log for log in logs if _beside(log, table)]) for table in tables
    ]


def _beside(log: RawLog, table: RawLog) -> bool:
    """Tell whether a cell printed other measures at the steps of its table, as a callback prints the reward beside the loss."""
    printed, drawn = _steps(log), _steps(table)
    if printed is None or drawn is None or log.texts or table.texts:
        return False
    if len(printed.rows) < log.n_rows or len(drawn.rows) < table.n_rows:
        return False
    ascend = all((np.diff(steps.values) > 0).all() for steps in (printed, drawn))
    measures = {spelling(name).name for name in table.columns if not is_step_name(name)}
    apart = measures.isdisjoint(spelling(name).name for name in log.columns)
    return ascend and apart and bool(np.isin(drawn.values, printed.values).all())


def _joined_with(table: RawLog, printed: list[RawLog]) -> RawLog:
    """Return a table with the columns that the cell printed at its steps, and at others, which become rows of their own."""
    for log in printed:
        told, drawn = _steps(log), _steps(table)
        assert told is not None
        assert drawn is not None
        rows = np.searchsorted(told.values, drawn.values)
        columns = {name: Column(rows[c.rows], c.values) for name, c in table.columns.items() if c is not drawn}
        others = ", ".join(name for name in log.columns if not is_step_name(name))
        note = f"{others}: printed by the same cell at the steps of its table."
        table = replace(
            table, columns={**columns, **log.columns}, n_rows=log.n_rows, lines=None, notes=(*table.notes, note)
        )
    return table


def _shows(log: RawLog, table: RawLog) -> bool:
    """Tell whether each column of a table stands in a log; but epochs, which the table of the Trainer rounds."""
    return all(
        any(_stand_in(column.values, printed.values) for printed in log.columns.values())
        for name, column in table.columns.items()
        if name != "Epoch"
    )


def _stand_in(values: np.ndarray, printed: np.ndarray) -> bool:
    """Tell whether each value is among those that were printed."""
    ordered = np.sort(printed)
    at = np.searchsorted(ordered, values - _ROUNDED).clip(max=len(ordered) - 1)
    return np.allclose(ordered[at], values, rtol=0, atol=_ROUNDED, equal_nan=True)


def _records(raw: RawLog) -> int:
    """Return how many records of the log hold a loss, or what a policy is judged by: text of no known format must have steps for that."""
    sure = raw.format != ANY_TEXT or _steps(raw) is not None
    told = [
        c
        for name, c in raw.columns.items()
        if (metric := spelling(raw.names.get(name) or name).name).endswith("loss") or (sure and metric in OF_A_POLICY)
    ]
    return max((len(column.rows) for column in told), default=0)


def _steps(raw: RawLog) -> Column | None:
    return next((column for name, column in raw.columns.items() if is_step_name(name)), None)


def _tables(html: str) -> list[str]:
    if "<table" not in html:
        return []
    from lmdiag.readers.notebooks.html_tables import (
        tables,  # most logs are asked whether they are notebooks, and are none
    )

    return tables(html)
