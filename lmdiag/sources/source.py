"""What a reader reads from: a file, an upload, standard input or a folder, decompressed and brought to UTF-8."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import IO

from msgspec import Struct

from lmdiag.errors import UnreadableLog
from lmdiag.sources.addresses import is_tracked, without_secrets
from lmdiag.sources.decoding import BOM, UTF16, as_text, as_utf8, guessed_encoding, with_newlines
from lmdiag.sources.lines import LONGEST_LINE, cut_at_lines, whole_lines, without_endless_line

PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip, zstandard
HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
LISTED_FILES, LISTED_DEPTH = 1000, 4


class Reading:
    """What was noticed while a source was read: `damage` says what is missing at the end of a compressed one."""

    damage: str = ""


@dataclass(frozen=True)
class Source:
    """Bytes to read, from a file, an upload or standard input, or a folder; `name` is what the user calls it.

    The bytes are those of the `content`, else of the file at the `path`, else of the one at the `url`. `later` are folders in
    which the run of this folder was resumed, in the order in which they were begun; `older` are files that were cut off this
    one, the oldest first; `beside` are other sources of the same folder that may hold parts of the same run. `met` tells of one that was met in a folder, and not named.

    The `head` of a folder is the list of its files, one relative path a line, framed by line ends, and its `name` ends
    with `/`: a reader of folders decides by these, as a reader of files decides by the first bytes.

    >>> source = Source("a.jsonl", content=b'\\xef\\xbb\\xbf{"step": 1}')
    >>> source.head, source.text
    (b'{"step": 1}', '{"step": 1}')
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    url: str = ""
    later: tuple[Path, ...] = ()
    older: tuple[Path, ...] = ()
    met: bool = False
    beside: tuple[Source, ...] = ()
    reading: Reading = field(default_factory=Reading, compare=False, repr=False)

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder that one reader reads as a whole."""
        return self.content is None and self.path is not None and self.path.is_dir()

    @property
    def tracked(self) -> bool:
        """Whether it is on the server of a tracker, as one run or as those that an address names."""
        return is_tracked(self.url)

    @property
    def parts(self) -> tuple[Source, ...]:
        """This source alone, and each of those beside it."""
        return (replace(self, beside=()), *self.beside) if self.beside else (self,)

    def fresh(self) -> Source:
        """Return the same source without the bytes that were read from it."""
        return replace(self, reading=Reading(), beside=tuple(source.fresh() for source in self.beside))

    @cached_property
    def packed(self) -> bool:
        """Whether the bytes are compressed with gzip or zstandard."""
        return self._start.startswith(PACKED)

    @cached_property
    def data(self) -> bytes:
        """All bytes, decompressed and otherwise as they are; empty for a folder."""
        if self.is_folder:
            return b""
        if self.packed:
            return b"".join(without_endless_line(self._unpacked(), self.name))
        return self.content if self.content is not None else self._read()

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, decompressed and in UTF-8 where they are text: what the readers decide by."""
        if self.is_folder:
            return self._listing
        return as_utf8(with_newlines(self._begin), self.guessed_encoding[0])

    @cached_property
    def guessed_encoding(self) -> tuple[str, str]:
        """The encoding of a text that is neither UTF-8 nor UTF-16, and the word that shows it; empty where none does."""
        return ("", "") if self.is_folder else guessed_encoding(self._begin)

    @cached_property
    def utf8(self) -> bytes:
        """All bytes as UTF-8 without byte order mark; lines that end with a carriage return alone get a line feed."""
        return as_utf8(with_newlines(self.data), self.guessed_encoding[0])

    @cached_property
    def text(self) -> str:
        """The whole source as text: UTF-8, else UTF-16 by its mark, else as guessed, else Latin-1; a torn character becomes U+FFFD."""
        text = as_text(self.utf8)
        if self.content is None:  # who has read the text seldom asks for the bytes, and these can be read again
            for name in ("utf8", "data"):
                self.__dict__.pop(name, None)
        return text

    @property
    def size(self) -> int:
        """Bytes on disk, or of the upload."""
        if self.content is not None:
            return len(self.content)
        return self._path.stat().st_size

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yield the source in UTF-8, in blocks of about `size` bytes that end with a line end (but for the last)."""
        mark = len(BOM) if self._begin.startswith(BOM) else 0
        if self._begin[:2] in UTF16 or self.guessed_encoding[0] or with_newlines(self._begin) is not self._begin:
            yield from cut_at_lines(io.BytesIO(self.utf8), size, self.name)
        elif self.packed:
            for block in whole_lines(without_endless_line(self._unpacked(), self.name), size):
                yield block[mark:]
                mark = 0
        elif self.size <= size:
            yield from filter(None, [self._read()[mark:]])
        else:
            with self._open() as file:
                file.seek(mark)
                yield from cut_at_lines(file, size, self.name)

    @property
    def _path(self) -> Path:
        """Where the bytes are on this machine."""
        if self.path is not None and not (self.url and not self.path.exists()):
            return self.path
        return Path(self._copy.name)

    @cached_property
    def _copy(self) -> IO[bytes]:
        from lmdiag.sources.remote_files import fetched

        return fetched(self.url)

    @cached_property
    def _start(self) -> bytes:
        if self.content is not None:
            return self.content[:HEAD_BYTES]
        return b"" if self.is_folder else self._read(HEAD_BYTES)

    def _open(self) -> IO[bytes]:
        if self.content is not None:
            return io.BytesIO(self.content)
        try:
            return self._path.open("rb")
        except OSError as error:
            raise UnreadableLog(
                f"cannot read {self.name}: {error.strerror}", "check that it exists and may be read"
            ) from error

    def _read(self, size: int = -1) -> bytes:
        try:
            with self._open() as file:
                if size >= 0 or self.size <= LONGEST_LINE:
                    return file.read(size)
                return b"".join(without_endless_line(iter(partial(file.read, BLOCK_BYTES), b""), self.name))
        except OSError as error:
            raise UnreadableLog(
                f"cannot read {self.name}: {error.strerror or error}", "check that it exists and may be read"
            ) from error

    @cached_property
    def _listing(self) -> bytes:
        return ("\n" + "\n".join(islice(_files_below(self._path, "", LISTED_DEPTH), LISTED_FILES)) + "\n").encode(
            "utf-8", "replace"
        )

    @cached_property
    def _begin(self) -> bytes:
        """The first bytes, decompressed and otherwise as they are."""
        if not self.packed:
            return self._start
        head = b""
        for block in self._unpacked():
            head += block
            if len(head) >= HEAD_BYTES:
                break
        return head[:HEAD_BYTES]

    def _unpacked(self) -> Iterator[bytes]:
        from lmdiag.sources.decompression import unpacked  # most logs are not packed

        with self._open() as packed:
            yield from unpacked(packed, self.name, self.size, self._damaged)

    def _damaged(self, damage: str) -> None:
        self.reading.damage = damage


class Folder(Struct, frozen=True):
    """A folder of this machine to look into; of a copy, the `address` it was copied from and {path in it: URL}."""

    path: Path
    address: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, source: Source) -> Source:
        """Return a source that was found in the folder under the name that the user knows it by."""
        if not self.address:
            return source
        inside = source.name.removeprefix(self.path.as_posix()).strip("/")
        where = f"{self.address}/{inside}".rstrip("/") + "/" * source.is_folder
        return replace(source, name=without_secrets(where), url=self.urls.get(inside, where))


def _files_below(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_file():  # and no pipe, for which its reader would wait
            yield prefix + entry.name
    for entry in entries:
        if depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _files_below(entry, f"{prefix}{entry.name}/", depth - 1)
