"""Bytes of a printed log -> clean pieces of text, before any format is considered.

A piece is what stood between two line breaks, carriage returns or backspaces: a progress bar redraws itself with those,
and a record often hides behind it. Colours and launcher prefixes (`[rank0]:`, timestamps, logger names) are taken off.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.readers.tables.tally import Tally
from lmdiag.readers.text.margins import has_margins, without_margins
from lmdiag.readers.text.patterns import lazy
from lmdiag.sources.source import Source

LONGEST_PIECE = 8192  # characters; longer ones are cut, so that no pattern can run away on them

_ANSI = lazy(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
_DIFF = lazy(r"\x1b\[31m[^\x1b\n]*\x1b\[m(?=\x1b\[32m)")
_REDRAW = lazy(r"[\r\x08]+")
_LEVEL = r"(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL|debug|info|warning|error)"
_PREFIX = lazy(
    r"\s*(?:"
    r"\[(?:rank|default|Rank |RANK )\s?(?P<rank>\d+)\]:?"
    r"|\[\d+,(?P<mpi>\d+)\]<std(?:out|err)>:"
    r"|(?P<srun>\d{1,5}):(?=\s)"
    r"|\(\w+ pid=\d+[^)]*\)"
    r"|[Rr]ank (?P<said>\d+)(?=\s*[:|])|(?:worker|node|host|gpu|rank)-?\d+:(?=\s)|rank\d+(?:\[[^\]]*\])+:"
    r"|\[?\d{4}[-/]\d\d[-/]\d\d[T _]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"|\[?\d\d[/-]\d\d(?:[/-]\d{2,4})?[ ,]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?: [AP]M)?"
    r"|\[?\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: [AP]M)?\]?"
    r"|\d\d:\d\d(?= [A-Z\[])|\(\w+:\d+\)"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ [\w./-]+:\d+\]"
    rf"|\[{_LEVEL}(?:\s*\|[^\]]*)?\]|{_LEVEL}(?::[\w.]+)?(?=[\s:\]|-])"
    r"|\[[\w./-]+:\d+(?::\w+)?\]|\[Rank \d+\]|\[[A-Za-z][\w.-]*\](?=\s*(?:\[|\d{4}-|-\s|INFO))|\[titan\]|\[NeMo \w"
    r"|[\w.<>-]+:[\w.<>-]+:\d+(?=\s)|[A-Za-z_][\w.-]*\.py:\d+:?"
    r"|(?!(?i:train|val|eval|test|dev|epoch|step|iter|loss|batch))[A-Za-z_][\w.]*(?= (?:-|») )"
    r"|[-|»>:,\]]+(?=\s)"
    r")"
)


def text_of(source: Source) -> str:
    """Return the text of a source; UTF-16 that lost its byte order mark is recognised by its zero bytes.

    >>> text_of(Source("a.log", content="step 1 loss 2.5".encode("utf-16-le")))
    'step 1 loss 2.5'
    """
    start = source.head[:1024]
    if start.count(0) > len(start) // 4:
        little = start[1::2].count(0) > start[::2].count(0)
        return source.data.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    return source.text


def is_coloured_diff(text: str) -> bool:
    """Tell whether the text is a coloured word diff of two logs: a red value with a green one right behind it."""
    return "\x1b[31m" in text and _DIFF.search(text) is not None


def without_colours(text: str) -> str:
    """Remove terminal control sequences; of a coloured word diff only the new values stay.

    >>> without_colours("loss: \\x1b[31m6.79\\x1b[m\\x1b[32m6.78\\x1b[m")
    'loss: 6.78'
    """
    if "\x1b" not in text:
        return text
    return _ANSI.sub("", _DIFF.sub("", text))


def pieces(text: str, first_line: int = 1, tally: Tally | None = None) -> Iterator[tuple[int, str]]:
    """Yield (line number, piece) for every piece that is not blank, cut to `LONGEST_PIECE` characters; blank lines are counted.

    >>> list(pieces("a\\rb\\n\\nc"))
    [(1, 'a'), (1, 'b'), (3, 'c')]
    """
    redrawn = "\r" in text or "\x08" in text
    blank = 0
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(without_margins(lines) if has_margins(text) else lines, first_line):
        if redrawn and ("\r" in line or "\x08" in line):
            parts = [piece for piece in _REDRAW.split(line) if piece and not piece.isspace()]
            for piece in parts:
                yield number, piece[:LONGEST_PIECE]
            blank += not parts
        elif line and not line.isspace():
            yield number, line if len(line) <= LONGEST_PIECE else line[:LONGEST_PIECE]
        else:
            blank += 1
    if tally:
        tally.blank += blank


def payload(piece: str) -> tuple[str, int | None]:
    """Take launcher and logger prefixes off a piece; return what is left and the rank they named.

    >>> payload("[rank3]:[titan] 2026-02-03 10:11:12,131 - root - INFO - step: 10  loss: 7.0")
    ('step: 10  loss: 7.0', 3)
    """
    at, rank = 0, None
    while match := _PREFIX.match(piece, at):
        found = match["rank"] or match["mpi"] or match["said"] or (match["srun"] if at == 0 else None)
        rank = int(found) if found and rank is None else rank
        at = match.end()
    return piece[at:].strip(), rank
