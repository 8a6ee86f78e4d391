"""Bytes of text -> UTF-8, whatever encoding and line ends they were written with."""

from __future__ import annotations

UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
BOM = b"\xef\xbb\xbf"


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
