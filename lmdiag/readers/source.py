"""What a reader reads from: a file, an upload, standard input or a folder, decompressed and brought to UTF-8."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, Any

from lmdiag.errors import UnreadableLog

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
LISTED_FILES, LISTED_DEPTH = 1000, 3
LARGEST_UNPACKED = 1 << 32
UNPACKED_BEFORE_SUSPICION = 1 << 26
LARGEST_RATIO = 200  # gzip reaches 1000 on constant bytes and about 20 on logs
LONGEST_LINE = 1 << 28  # a trainer's state of a million records on one line is shorter

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Source:
    """Bytes to read, from a file, an upload or standard input, or a folder; `name` is what the user calls it.

    The bytes are those of the `content`, else of the file at the `path`, else of the one at the `url`. `later` are folders in
    which the run of this folder was resumed, in the order in which they were begun.

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

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder that one reader reads as a whole."""
        return self.content is None and self.path is not None and self.path.is_dir()

    def fresh(self) -> Source:
        """Return the same source without the bytes that were read from it."""
        return replace(self)

    @cached_property
    def packed(self) -> bool:
        """Whether the bytes are compressed with gzip or zstandard."""
        return self._start.startswith((GZIP, ZSTD))

    @cached_property
    def data(self) -> bytes:
        """All bytes, decompressed and otherwise as they are; empty for a folder."""
        if self.is_folder:
            return b""
        if self.packed:
            return b"".join(without_endless_line(self._unpacked(), self.name))
        return self.content if self.content is not None else self._read()

    @cached_property
    def damage(self) -> str:
        """What is known to be missing at the end of a compressed source once its `data` were read; "" if nothing."""
        return ""

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, decompressed and in UTF-8 where they are text: what the readers decide by."""
        if self.is_folder:
            return self._listing
        return as_utf8(with_newlines(self._begin))

    @cached_property
    def utf8(self) -> bytes:
        """All bytes as UTF-8 without byte order mark; lines that end with a carriage return alone get a line feed."""
        return as_utf8(with_newlines(self.data))

    @cached_property
    def text(self) -> str:
        """The whole source as text: UTF-8, else UTF-16 by its mark, else Latin-1; a torn character becomes U+FFFD."""
        return as_text(self.utf8)

    @property
    def size(self) -> int:
        """Bytes on disk, or of the upload."""
        if self.content is not None:
            return len(self.content)
        return self._path.stat().st_size

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yield the source in UTF-8, in blocks of about `size` bytes that end with a line end (but for the last)."""
        mark = len(BOM) if self._begin.startswith(BOM) else 0
        if self._begin[:2] in UTF16 or with_newlines(self._begin) is not self._begin:
            yield from _cut_at_lines(io.BytesIO(self.utf8), size, self.name)
        elif self.packed:
            for block in _whole_lines(without_endless_line(self._unpacked(), self.name), size):
                yield block[mark:]
                mark = 0
        else:
            with self._open() as file:
                file.seek(mark)
                yield from _cut_at_lines(file, size, self.name)

    @property
    def _path(self) -> Path:
        """Where the bytes are on this machine."""
        if self.path is not None and not (self.url and not self.path.exists()):
            return self.path
        return Path(self._copy.name)

    @cached_property
    def _copy(self) -> IO[bytes]:
        from lmdiag.readers.remote import fetched

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
        """Decompress in blocks; a packed file that unpacks to far more than any log would is refused."""
        total = 0
        with self._open() as packed:
            stream = gzip.GzipFile(fileobj=packed) if self._start.startswith(GZIP) else _zstd_stream(packed, self.name)
            # in small pieces, so that little before a damage is lost
            read = getattr(stream, "read1", stream.read)
            try:
                while block := read(1 << 16):
                    total += len(block)
                    self._refuse_bomb(total)
                    yield block
            except UnreadableLog:
                raise
            except Exception as error:  # gzip, zlib and zstandard each raise errors of their own
                if not total:
                    raise UnreadableLog(
                        f"cannot decompress {self.name}: {error}", "check that it was copied completely"
                    ) from error
                self.__dict__["damage"] = (
                    f"the compressed file is damaged after {total:,} bytes of its content: {error}"
                )

    def _refuse_bomb(self, unpacked: int) -> None:
        suspicious = unpacked > UNPACKED_BEFORE_SUSPICION and unpacked > LARGEST_RATIO * max(self.size, 1)
        if suspicious or unpacked > LARGEST_UNPACKED:
            raise UnreadableLog(
                f"{self.name} unpacks to more than {unpacked >> 20} MiB, {unpacked // max(self.size, 1)} times its size",
                "unpack it yourself if you trust it",
            )


def without_endless_line(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the pieces, or raise UnreadableLog at a line longer than any log has: it would fill the memory."""
    since = 0
    for piece in pieces:
        line_end = piece.rfind(b"\n")
        since = len(piece) - line_end - 1 if line_end >= 0 else since + len(piece)
        _refuse_line(since, name)
        yield piece


def _refuse_line(length: int, name: str) -> None:
    if length > LONGEST_LINE:
        raise UnreadableLog(
            f"{name} holds a line of more than {LONGEST_LINE >> 20} MiB", "a log has one record a line: write it anew"
        )


def with_newlines(data: bytes) -> bytes:
    r"""Return text whose lines end with a carriage return alone, as old spreadsheets write them, with line feeds.

    >>> with_newlines(b"step,loss\r1,2.5\r"), with_newlines(b"a\r\n")
    (b'step,loss\n1,2.5\n', b'a\r\n')
    """
    lone = b"\r" in data and b"\n" not in data and b"\0" not in data
    return data.replace(b"\r", b"\n") if lone else data


def as_utf8(data: bytes) -> bytes:
    """Bring text bytes to UTF-8 without byte order mark; bytes without a UTF-16 mark are taken for UTF-8 already."""
    encoding = UTF16.get(data[:2])
    if encoding is None or data[:4] == b"\xff\xfe\x00\x00":
        return data.removeprefix(BOM)
    return data[2:].decode(encoding, "replace").encode("utf-8", "replace")


def as_text(data: bytes) -> str:
    """Decode UTF-8; bytes that are not UTF-8 are Latin-1, unless most of the other non-ASCII characters are good UTF-8.

    >>> as_text("naïve".encode("latin-1")), as_text("损失 naïve".encode()[:-3] + b"ve")
    ('naïve', '损失 na�ve')
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        good = sum(map(text.count, set(text) - {"\ufffd"} - set(map(chr, range(128))))) if broken else 0
        return text if good > broken else data.decode("latin-1")


def _files_below(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.is_dir():
            yield prefix + entry.name
    for entry in entries:
        if depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _files_below(entry, f"{prefix}{entry.name}/", depth - 1)


def _whole_lines(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Join pieces to blocks of about `size` bytes that end with a line end."""
    kept: list[bytes] = []
    length, enough = 0, size
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length < enough:
            continue
        block = b"".join(kept)
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        kept, length = [block[cut:]], len(block) - cut
        enough = max(size, 2 * length)
    if length:
        yield b"".join(kept)


def _cut_at_lines(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    start = file.tell()
    while True:
        file.seek(start + size)  # where the line ends is found first, so that a block is read in one piece
        _refuse_line(len(file.readline(LONGEST_LINE + 1)), name)
        length = file.tell() - start
        file.seek(start)
        block = file.read(length)
        if not block:
            return
        yield block
        start += len(block)


def _zstd_stream(packed: IO[bytes], name: str) -> Any:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(module).ZstdFile(packed)
        except ImportError:
            continue
    try:
        return import_module("zstandard").ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    except ImportError as error:
        raise UnreadableLog(
            f"{name} is compressed with zstandard, which this Python cannot unpack",
            "install `zstandard`, or run `zstd -d` first",
        ) from error
