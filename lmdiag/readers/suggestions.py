"""What to say of a log whose loss nobody recognises: the columns or numbers it has, and the option that would read it."""

from __future__ import annotations

import re
import shlex

import numpy as np

from lmdiag.errors import LmdiagError
from lmdiag.naming import is_step_name, spelling
from lmdiag.readers.options import listed
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.sources.source import Source

FEWEST_LINES = 3
SHOWN = 100  # characters of an example
LOOKED_AT = 1 << 16
_LIKE_A_LOSS = re.compile(r"loss|cost|nll|entropy|objective|criterion|error|perplex|ppl", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_UNIT = re.compile(r"(?:ms|[smh%])(?![a-zA-Z])")
_ANY_NUMBER = r"[-+.\deE]+"


def map_options(raw: RawLog) -> str:
    """Return the options that name a likely loss of a log, and a likely step where none is called one; "" if there is none."""
    counters = [name for name, column in raw.columns.items() if is_step_name(name) or _counts(column, raw.n_rows)]
    able = [name for name in raw.columns if name not in counters and not spelling(name).known]
    if not able:
        return ""
    loss = max(able, key=lambda name: (bool(_LIKE_A_LOSS.search(name)), len(raw.columns[name].rows)))
    options = f"--map loss={shlex.quote(loss)}"
    if counters and not raw.step_column and not any(map(is_step_name, raw.columns)):
        options += f" --map step={shlex.quote(counters[0])}"
    return options


def _counts(column: Column, n_rows: int) -> bool:
    values = column.values
    return bool(
        len(values) == n_rows > 1
        and np.isfinite(values).all()
        and (values == np.rint(values)).all()
        and (np.diff(values) > 0).all()
    )


def suggestion(source: Source) -> tuple[str, str]:
    """Return what a file that no reader knows holds, and the option to read it with; ("", "") where nothing can be said."""
    from lmdiag.readers.csv import table
    from lmdiag.sources.text import is_text

    if not is_text(source.head):
        return "", ""
    if table.table_names(source.name, source.head):
        try:
            (raw,) = table.read(source)
        except LmdiagError:
            return "", ""
        options = map_options(raw)
        names = listed([*raw.columns, *raw.texts])
        return (f"it is a table with the columns {names}", f"say which is the loss: {options}") if options else ("", "")
    return _slots(source.head)


def _slots(head: bytes) -> tuple[str, str]:
    """Describe the commonest kind of lines with numbers, and the pattern that reads two of them."""
    from lmdiag.readers.text.pieces import pieces, without_colours
    from lmdiag.sources.decoding import as_text

    examples: dict[tuple[str, ...], list[str]] = {}
    for _, piece in pieces(without_colours(as_text(head[:LOOKED_AT]))):
        skeleton = tuple(_NUMBER.split(piece)[:-1])  # what stands behind the last number may differ
        if skeleton:
            examples.setdefault(skeleton, []).append(piece)
    if not examples:
        return "", ""
    skeleton, lines = max(examples.items(), key=lambda kind: len(kind[1]))
    if len(lines) < FEWEST_LINES:
        return "", ""
    numbers = np.array([[float(word) for word in _NUMBER.findall(line)] for line in lines])
    named = _named(numbers, skeleton)
    if "loss" not in named:
        return "", ""
    first, last = min(named.values()), max(named.values())
    names = {place: name for name, place in named.items()}
    pattern = ""
    for place in range(first, last + 1):
        between = re.escape(skeleton[place].lstrip() if place == first else skeleton[place])
        pattern += re.sub(r"(?:\\\s)+", r"\\s+", between)
        pattern += rf"(?P<{names[place]}>{_ANY_NUMBER})" if place in names else _ANY_NUMBER
    shown = ", ".join(
        f"{word}{f' ({names[k]}?)' if k in names else ''}" for k, word in enumerate(_NUMBER.findall(lines[0]))
    )
    return (
        f"{len(lines)} of its first lines are like {lines[0][:SHOWN]!r}, with the numbers {shown}",
        f"say which are step and loss: --pattern {shlex.quote(pattern)}",
    )


def _named(numbers: np.ndarray, skeleton: tuple[str, ...]) -> dict[str, int]:
    """Return which number of a line may be the step, and which the loss."""
    whole = (numbers == np.rint(numbers)).all(axis=0)
    ascending = (numbers[1:] > numbers[:-1]).all(axis=0)
    losses = np.flatnonzero(~whole & ~ascending)
    plain = [not _UNIT.match(behind) for behind in (*skeleton[1:], "")]
    steps = np.flatnonzero(whole & ascending & plain)
    found = {"loss": int(losses[0])} if len(losses) else {}
    return found | ({"step": int(steps[0])} if len(steps) else {})
