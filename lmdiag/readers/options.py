"""What the user says about a log that the log does not say itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lmdiag.errors import BadSetting, nearest
from lmdiag.metrics import spelling
from lmdiag.readers.rawlog import RawLog


@dataclass(frozen=True)
class ReadOptions:
    """How to read: the reader to use, which column stands for which metric, and a pattern for lines of text.

    `mapping` is {canonical name or "step": name in the log}; `pattern` a regular expression with named groups.
    """

    reader: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""


def mapped(raw: RawLog, mapping: Mapping[str, str]) -> RawLog:
    """Return the log with the columns named as the user wants; a name it does not hold is a BadSetting."""
    if not mapping:
        return raw
    for source_name in mapping.values():
        if source_name not in raw.columns:
            raise BadSetting(
                f'{raw.name} has no column of numbers "{source_name}"', nearest(source_name, list(raw.columns))
            )
    wanted = {source_name: metric for metric, source_name in mapping.items() if metric != "step"}
    others = [name for name in raw.columns if name not in wanted]
    displaced = {name: None for name in others if (raw.names.get(name) or spelling(name).name) in wanted.values()}
    return replace(raw, names={**raw.names, **displaced, **wanted}, step_column=mapping.get("step", raw.step_column))
