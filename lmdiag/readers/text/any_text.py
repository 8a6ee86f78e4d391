"""Any text: printed logs of which the first bytes told nothing, and those whose records the user describes by a pattern."""

from __future__ import annotations

import re

from lmdiag.errors import BadSetting
from lmdiag.readers.growing import Growing
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text.line_format import LineFormat, Shape
from lmdiag.readers.text.reading import TextReading, read_blocks
from lmdiag.readers.text.recognise import begin, read
from lmdiag.sources.source import Source
from lmdiag.sources.text import is_program, is_text, text_of

__all__ = ["begin", "can_read", "read"]


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the bytes are text; whether it holds records shows only when all of it is read."""
    return not name.endswith("/") and not is_program(name) and is_text(head)


def read_pattern(source: Source, pattern: str) -> list[RawLog]:
    """Read every piece of text that a regular expression of the user fits; its named groups are the columns.

    >>> log, = read_pattern(Source("a.log", content=b"at 10 we lost 2.5"), r"at (?P<step>\\d+) we lost (?P<loss>[\\d.]+)")
    >>> log.columns["loss"].values.tolist()
    [2.5]
    """
    return read_blocks(pattern_format(pattern), source.name, text_of(source))


def begin_pattern(name: str, start: str, pattern: str) -> Growing:
    """Return a reading by the pattern of a log that lines can be added to."""
    return TextReading(pattern_format(pattern), name, start)


def pattern_format(pattern: str) -> LineFormat:
    """Return the format whose records are what a regular expression of the user fits.

    Raises `BadSetting` for a pattern that is not a valid regular expression or names nothing to read.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadSetting(
            f"the pattern {pattern!r} is not a valid regular expression: {error}", "check its brackets and groups"
        ) from error
    if not compiled.groupindex:
        raise BadSetting(
            f"the pattern {pattern!r} names no columns", "write the number as a named group: (?P<loss>[\\d.]+)"
        )
    return LineFormat("pattern", "Pattern of the user", (Shape("", compiled),))
