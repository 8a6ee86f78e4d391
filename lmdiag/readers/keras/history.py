"""Keras' `History.history` saved as JSON: an object of lists, one value per epoch."""

from __future__ import annotations

import re
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.json.damaged import closed
from lmdiag.readers.json.document import parsed
from lmdiag.readers.json.printed import repaired
from lmdiag.readers.keras.epochs import by_epoch, is_history
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tables.rows import Rows

FORMAT = "keras-history"
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*[\[{]')


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the document begins as an object whose keys are those of a Keras history, with lists."""
    if not head.lstrip().startswith(b"{") or b"\n{" in head:  # lines of JSON, of which there may be many keys to find
        return False
    keys = [key.decode("utf-8", "replace") for key in _KEY.findall(head)]
    if keys[:1] == ["history"]:
        keys = keys[1:]
    whole = head.rstrip().endswith(b"}")
    return (
        is_history(keys)
        if whole
        else bool(keys) and (keys[0] == "loss" or {"loss", "val_loss"} <= set(keys)) and "log_history" not in keys
    )


def read(source: Source) -> list[RawLog]:
    """Read one row per epoch; `DataFrame.to_json` writes {"0": …} in place of lists."""
    history, damage = _history(source)
    lists = {name: _as_list(values) for name, values in history.items()}
    columns = {name: values for name, values in lists.items() if values is not None}
    length = max((len(values) for values in columns.values()), default=0)
    if not is_history(list(columns)) or not length:
        raise UnreadableLog(
            f"{source.name}: not a Keras history",
            'a history is an object of equally long lists: {"loss": [2.3, …], "val_loss": [2.4, …]}',
        )
    rows = Rows()
    if damage:
        rows.skip(source.text.count("\n") + 1, damage)
    for epoch in range(length):
        rows.add({name: values[epoch] for name, values in columns.items() if epoch < len(values)})
    for name, values in columns.items():
        if len(values) < length:
            rows.skip(0, f'"{name}" has {len(values)} values for {length} epochs; they were taken for the first ones')
    return [by_epoch(rows.log(FORMAT, source.name, source=source.name))]


def _history(source: Source) -> tuple[dict[str, Any], str]:
    """Return the history, and what is wrong with the file: of one that is cut off, the values before the cut."""
    damage = ""
    try:
        document = parsed(source, "a Keras history")
    except UnreadableLog as error:
        document, damage = closed(repaired(source.text)), "the file is cut off or damaged"
        if document is None:
            raise error
    if isinstance(document, dict) and isinstance(document.get("history"), dict):
        document = document["history"]
    return document if isinstance(document, dict) else {}, damage


def _as_list(values: Any) -> list[Any] | None:
    if isinstance(values, dict) and all(key.isdigit() for key in values):
        return [values[key] for key in sorted(values, key=int)]
    return values if isinstance(values, list) else None
