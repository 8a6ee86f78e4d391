"""Sockeye's file `metrics`: one line for each checkpoint, `3<TAB>epoch=0<TAB>perplexity-train=57.9<TAB>perplexity-val=51.5`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lmdiag.naming import spelling
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tables.rows import Rows

FORMAT = "sockeye-metrics"
_ROW = re.compile(rb"\d+(?:\t[\w./-]+=[^\t\r\n]*){2,}\s")
_SET = re.compile(rb"-(?:train|val)=")
_UPDATES = re.compile(r"Checkpoint \[(\d+)\]\tUpdates=(\d+)")
_NAMES = {"time-elapsed": "elapsed_s", "max-gpu-memory": "mem_bytes"}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the first line is a checkpoint with what it measured on the training and validation sets."""
    first = head[: head.find(b"\n") + 1] or head + b"\n"
    return first[:1].isdigit() and _ROW.match(first) is not None and _SET.search(first) is not None


def read(source: Source) -> list[RawLog]:
    """Read every checkpoint; how many updates were done by then is told by the file `log` beside this one."""
    beside = source.path.with_name("log") if source.path else None
    log = beside.read_text("utf-8", "replace") if beside is not None and beside.is_file() else ""
    updates = dict(_UPDATES.findall(log))
    rows = Rows()
    rows.tally.count_lines(source.text)
    for number, line in enumerate(source.text.splitlines(), 1):
        checkpoint, *cells = line.split("\t")
        values = dict(cell.partition("=")[::2] for cell in cells if "=" in cell)
        if not line.strip():
            rows.tally.blank += 1
        elif checkpoint.isdigit() and values:
            counted = {"updates": updates[checkpoint]} if checkpoint in updates else {}
            rows.add({"checkpoint": checkpoint, **counted, **values}, number)
            rows.tally.with_records += 1
        else:
            rows.skip(number, "no checkpoint with its measures")
            rows.tally.lost += 1
    complete = len(rows.numbers.get("updates", ())) == len(rows)
    conventions = {"step_column": "updates"} if complete else {"step_column": "checkpoint", "step_kind": "record"}
    note = (
        () if complete else ("Checkpoints are counted: there is no file log beside this one that tells the updates.",)
    )
    names = _names(rows.numbers)
    return [rows.log(FORMAT, source.name, source=source.name, names=names, notes=note, units={"max-gpu-memory": "MB"}, **conventions)]  # fmt: skip


def _names(columns: Iterable[str]) -> dict[str, str | None]:
    """Return the metrics of `perplexity-train`, `perplexity-val` and the like."""
    names: dict[str, str | None] = dict(_NAMES)
    for column in columns:
        measure, _, split = column.rpartition("-")
        if split in ("train", "val"):
            names[column] = spelling(measure).name if split == "train" else f"val/{spelling(measure).name}"
    return names
