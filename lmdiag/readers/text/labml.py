"""What labml draws on the screen: a line for each step, which repeats what was not measured anew."""

from __future__ import annotations

import re

import numpy as np

from lmdiag.naming import evaluation_set, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text.line_format import NOTHING, LineFormat, Shape, shaped
from lmdiag.readers.text.plans import Record

_NAMED = lazy(rf"([A-Za-z][\w.]*): +({NUM})(?=\s|$)")
_LINE = lazy(rf"^\s*(?P<step>\d[\d,]*): {{2,}}(?P<rest>[A-Za-z][\w.]*: +{NUM}(?:\s.*)?)$")


def _drawn(match: re.Match[str], text: str) -> Record:
    values = {name: number(word) for name, word in _NAMED.findall(match["rest"])}
    return {STEP: number(match["step"].replace(",", "")), **values}, NOTHING


def _settle(table: Table) -> None:
    """Keep of what belongs to an evaluation the values that differ from those drawn before."""
    for name in [name for name in table.columns if evaluation_set(spelling(name).name) not in ("", "train")]:
        rows, values = (np.asarray(part) for part in table.columns[name])
        cells = np.full(len(table.lines), np.nan)
        fresh = np.r_[True, values[1:] != values[:-1]]
        cells[rows[fresh]] = values[fresh]
        table.put(name, cells)


LABML = LineFormat(
    "labml",
    "labml",
    shaped(Shape(":  ", _LINE, parse=_drawn), settle=_settle),
    ((":  ", _LINE),),
)
