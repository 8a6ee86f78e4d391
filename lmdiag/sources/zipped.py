"""Single members of a zip archive, by their names, with bounds on what a small archive may become."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lmdiag.errors import UnreadableLog
from lmdiag.sources.decompression import refuse_bomb
from lmdiag.sources.source import Source

MARK = b"PK\x03\x04"
_NAME_AT = 30  # in the header of the first member


def first_member(head: bytes) -> str:
    """Return the name of the first member of a zip archive that begins so, "" for other content."""
    length = int.from_bytes(head[26:28], "little") if head.startswith(MARK) else 0
    return head[_NAME_AT : _NAME_AT + length].decode("utf-8", "replace")


def members(source: Source, names: Sequence[str]) -> dict[str, bytes]:
    """Return the content of those members that the archive has; raise UnreadableLog where it is damaged."""
    found: dict[str, bytes] = {}
    with _opened(source) as archive:
        for member in archive.infolist():
            if member.filename in names:
                refuse_bomb(source.name, member.file_size, member.compress_size)
                found[member.filename] = archive.read(member)
    return found


def names_of(source: Source) -> list[str]:
    """Return the names of all members; raise UnreadableLog where the archive is damaged."""
    with _opened(source) as archive:
        return archive.namelist()


@contextmanager
def _opened(source: Source) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise UnreadableLog(
            f"the zip archive {source.name} is damaged: {error}", "check that it was copied completely"
        ) from error
