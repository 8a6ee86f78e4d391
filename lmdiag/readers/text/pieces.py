"""Bytes of a printed log -> clean pieces of text, before any format is considered.

A piece is what stood between two line breaks, carriage returns or backspaces: a progress bar redraws itself with those,
and a record often hides behind it. Colours and launcher prefixes (`[rank0]:`, timestamps, logger names) are taken off.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.patterns import lazy
from lmdiag.readers.tables.tally import Tally
from lmdiag.readers.text.record_lines import records_in

LONGEST_PIECE = 8192  # characters; longer ones are cut, so that no pattern can run away on them

_ANSI = lazy(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
_DIFF = lazy(r"\x1b\[31m[^\x1b\n]*\x1b\[m(?=\x1b\[32m)")
_BETWEEN_DICTIONARIES = lazy(r"(?<=\})[\s,]*(?=\{)")
_BROKEN = lazy(r""", ?\n\s*['"]""")  # a dictionary that goes on in the next line
_OPENS = lazy(r"""\{\s*(?:'[\w/ .-]+'|"[\w/ .-]+"):.*,\s*$""")
_GOES_ON = lazy(r"""\s*(?:'[^']+'|"[^"]+"):.*[,}]\s*$""")
_REDRAW = lazy(r"[\r\x08]+")
# A line of rich's `RichHandler`, with the file at the right margin.
_MARGIN = lazy(
    r"(?m)^(?P<before>(?:\[[^\]\n]*\])? *(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +)(?P<said>\S.*?)(?<! ) ++(?P<file>[\w.-]+\.py:\d+) *$"
)
_FRAME = lazy(r'(?<=\S)(?=\s*File "[^"\n]+", line \d+, in )|(?<=", line )(\d+, in \S+)(?=\s{2,})')
_RAISED = lazy(r"(?<=[)\]'\"])\s*(?=(?:\w+\.)*\w*(?:Error|Exception|Interrupt): )")
NEAR = 4  # lines that another process may have printed within such a message


def is_coloured_diff(text: str) -> bool:
    """Tell whether the text is a coloured word diff of two logs: a red value with a green one right behind it."""
    return "\x1b[31m" in text and _DIFF.search(text) is not None


def without_colours(text: str) -> str:
    """Remove terminal control sequences; of a coloured word diff only the new values stay.

    >>> without_colours("loss: \\x1b[31m6.79\\x1b[m\\x1b[32m6.78\\x1b[m")
    'loss: 6.78'
    """
    if "\0" in text:  # in place of what was cut off, or is written from elsewhere
        text = text.replace("\0", "")
    if "\x1b" not in text:
        return text
    return _ANSI.sub("", _DIFF.sub("", text))


def _is_wrapped(text: str) -> bool:
    return ".py:" in text and _MARGIN.search(text) is not None


def _goes_on(text: str) -> bool:
    return "{" in text and (",\n" in text or ", \n" in text) and _BROKEN.search(text) is not None


def are_lines(text: str) -> bool:
    """Tell whether each piece of a text is a line of it: nothing is redrawn, wrapped, or goes on in the next line."""
    return not (
        "\r" in text or "\x08" in text or ("#" in text and "#015" in text) or _is_wrapped(text) or _goes_on(text)
    )


def pieces(text: str, first_line: int = 1, tally: Tally | None = None) -> Iterator[tuple[int, str]]:
    """Yield (line number, piece) for every piece that is not blank, cut to `LONGEST_PIECE` characters; blank lines are counted.

    >>> list(pieces("a\\rb\\n\\nc"))
    [(1, 'a'), (1, 'b'), (3, 'c')]
    """
    if "#015" in text:
        text = text.replace("#015", "\r")  # as SageMaker writes it
    redrawn = "\r" in text or "\x08" in text
    blank = 0
    lines = text.removesuffix("\n").split("\n") if text else []
    if _is_wrapped(text):
        lines = without_margins(lines)
    if _goes_on(text):
        lines = with_whole_dictionaries(lines)
    for number, line in enumerate(lines, first_line):
        split = [line]
        if redrawn and ("\r" in line or "\x08" in line):
            split = line.split("\r") if "\x08" not in line else _REDRAW.split(line)
        if line.count('File "') > 1 and "Error" in line:
            split = _frames(line)
        parts = [piece for piece in split if piece and not piece.isspace()]
        for piece in parts:
            if len(piece) <= LONGEST_PIECE:
                yield number, piece
            else:
                yield from ((number, short) for short in _shortened(piece))
        blank += not parts
    if tally:
        tally.blank += blank


def _frames(line: str) -> list[str]:
    """Return the lines of a traceback that lost its line breaks.

    >>> _frames('  File "a.py", line 7, in <module>    run()  File "b.py", line 9, in run    raise ValueError("no")ValueError: no')
    ['  File "a.py", line 7, in <module>', '    run()', '  File "b.py", line 9, in run', '    raise ValueError("no")', 'ValueError: no']
    """
    framed = _FRAME.sub(lambda match: f"{match[1] or ''}\n", line)
    return _RAISED.sub("\n", framed).split("\n")


def with_whole_dictionaries(lines: list[str]) -> list[str]:
    """Join the lines of a dictionary; a blank line is left where it stood, so that lines keep their numbers.

    >>> with_whole_dictionaries(["{'loss': 2.5,", " 'step': 3}", "done"])
    ["{'loss': 2.5, 'step': 3}", '', 'done']
    """
    joined = list(lines)
    first = -1
    for k, line in enumerate(lines):
        if first >= 0 and _GOES_ON.match(line):
            joined[first] = f"{joined[first].rstrip()} {line.strip()}"
            joined[k] = ""
        else:
            first = k if _OPENS.search(line) else -1
        if first >= 0 and joined[first].count("{") <= joined[first].count("}"):
            first = -1
    return joined


def without_margins(lines: list[str]) -> list[str]:
    """Join what rich wrapped at the width of a terminal to the line it began on, without the file at the right margin.

    A blank line is left where it stood, so that lines keep their numbers. A further line that would have had room on
    the line above is one of the message itself, and stays.

    >>> without_margins(["INFO     step=1 loss=2.5   a.py:7", "         grad_norm=0.25", "done"])
    ['INFO     step=1 loss=2.5 grad_norm=0.25', '', 'done']
    """
    joined = list(lines)
    first, last, column, width, above = -1, 0, 0, 0, ""
    for k, line in enumerate(lines):
        if ".py:" in line and (found := _MARGIN.match(line)):
            first, last, column, above = k, k, found.end("before"), found["said"]
            width = found.start("file") - 1 - column
            joined[k] = found["before"] + above
            continue
        part = line[column:].rstrip()
        if first < 0 or not part or part[0].isspace() or not line[:column].isspace():
            first = first if k - last < NEAR else -1
            continue
        room = width - len(above) - 1
        if len(part.partition(" ")[0]) > room:
            broken = len(above) == width and " " not in above  # a word that is longer than a line
            joined[first] += part if broken else f" {part}"
            joined[k] = ""
        else:
            first = k
        above, last = part, k
    return joined


def _shortened(line: str) -> list[str]:
    """Return the records of a line that is longer than any record, cut where none can be told apart."""
    records = _BETWEEN_DICTIONARIES.split(line) if line.count("}") > 1 else records_in(line)
    return [record[:LONGEST_PIECE] for record in records if record and not record.isspace()]
