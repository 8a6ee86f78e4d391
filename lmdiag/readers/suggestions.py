"""What to say of a log whose loss nobody recognises: the columns or numbers it has, and the option that would read it."""

from __future__ import annotations

import shlex

from lmdiag.errors import LmdiagError
from lmdiag.readers.options import ReadOptions, listed
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.slots import kinds_of_lines, likely_columns
from lmdiag.sources.source import Source

SHOWN = 100  # characters of an example


def as_typed(options: ReadOptions) -> str:
    """Return the options of the command line that say how to read a log.

    >>> as_typed(ReadOptions(mapping={"loss": "train cost", "step": "it"}))
    "--map loss='train cost' --map step=it"
    """
    words = [f"--map {metric}={shlex.quote(_quoted(column))}" for metric, column in options.mapping.items()]
    words += [f"--reader {shlex.quote(options.reader)}"] if options.reader else []
    words += [f"--pattern {shlex.quote(options.pattern)}"] if options.pattern else []
    return " ".join(words)


def _quoted(column: str) -> str:
    """Return the name of a column in quotes where a comma or an edge of it would be taken for another thing."""
    return f'"{column}"' if "," in column or column != column.strip() else column


def map_options(raw: RawLog) -> str:
    """Return the options that name a likely loss of a log, and a likely step where none is called one; "" if there is none."""
    return as_typed(ReadOptions(mapping=likely_columns(raw)))


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
    return _of_lines(source.head)


def _of_lines(head: bytes) -> tuple[str, str]:
    """Describe the commonest kind of lines with numbers, and the pattern that reads two of them."""
    kind = next(iter(kinds_of_lines(head)), None)
    if kind is None or "loss" not in kind.likely:
        return "", ""
    metrics = {name: metric for metric, name in kind.likely.items()}
    shown = ", ".join(
        f"{word}{f' ({metrics[name]}?)' if name in metrics else ''}" for name, word in kind.first[0].items()
    )
    return (
        f"{kind.rows} of its first lines are like {kind.example[:SHOWN]!r}, with the numbers {shown}",
        f"say which are step and loss: {as_typed(kind.options(kind.likely))}",
    )
