"""Which sources hold text, and that text, in blocks of whole lines where it is large."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

WHOLE = 1 << 23  # bytes of a log that is read at once; larger ones are read block by block
BLOCK = 1 << 22
HEAD = 1 << 14
_HOLE = re.compile(rb"^\0+|\0{16,}")  # where a file was emptied that its program goes on writing to


def text_of(source: Source) -> Iterator[str]:
    """Yield the text of a source in blocks of whole lines; UTF-16 that lost its byte order mark is recognised by its zero bytes.

    >>> next(text_of(Source("a.log", content="step 1 loss 2.5".encode("utf-16-le"))))
    'step 1 loss 2.5'
    """
    start = _HOLE.sub(b"", source.head[:1024])
    if start.count(0) > len(start) // 4:
        little = start[1::2].count(0) > start[::2].count(0)
        yield source.data.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    elif source.packed or source.size <= WHOLE:
        yield source.text
    else:
        yield from map(as_text, source.blocks(BLOCK))


def beginnings(source: Source) -> str:
    """Return the text of a source, of a large one the first block and the beginnings of the others."""
    if source.packed or source.size <= WHOLE:
        return next(text_of(source), "")
    blocks = source.blocks(BLOCK)
    return as_text(next(blocks, b"")) + "".join(
        as_text(block[: block.rfind(b"\n", 0, HEAD)]) + "\n" for block in blocks
    )


def is_text(head: bytes) -> bool:
    """Tell whether bytes are text: few control characters, and zero bytes only as UTF-16 has them, or in long runs."""
    head = _HOLE.sub(b"", head)
    controls = sum(head.count(bytes([byte])) for byte in (*range(1, 7), *range(14, 27)))
    zeros = head.count(0)
    return bool(head.strip()) and controls * 100 <= len(head) and (not zeros or 0.3 < zeros / len(head) < 0.6)


def is_program(name: str) -> bool:
    """Tell whether a file is called like the source of a program, which may show what a log looks like.

    >>> is_program("trainers/loop.py"), is_program("loop.py.log")
    (True, False)
    """
    return name.lower().endswith((".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".cu", ".rs", ".go", ".java", ".js", ".ts"))
