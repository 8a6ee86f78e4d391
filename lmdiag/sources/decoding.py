"""Bytes of text -> UTF-8, whatever encoding and line ends they were written with."""

from __future__ import annotations

import codecs

UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
BOM = b"\xef\xbb\xbf"
# Encodings that have no mark, told by the bytes of a word without which such a log would not be read anyway: a loss.
LOSS_WORDS = {
    "gb18030": ("损失",),
    "big5": ("損失",),
    "cp932": ("損失",),
    "euc-jp": ("損失",),
    "cp949": ("손실",),
    "cp1251": ("отери", "отеря", "трати"),
    "koi8-r": ("отери", "отеря"),
}


def with_newlines(data: bytes) -> bytes:
    r"""Return text whose lines end with a carriage return alone, as old spreadsheets write them, with line feeds.

    >>> with_newlines(b"step,loss\r1,2.5\r"), with_newlines(b"a\r\n")
    (b'step,loss\n1,2.5\n', b'a\r\n')
    """
    lone = b"\r" in data and b"\n" not in data and b"\0" not in data
    return data.replace(b"\r", b"\n") if lone else data


def guessed_encoding(start: bytes) -> tuple[str, str]:
    """Return in which encoding a text is that is no UTF-8, and the word for a loss that shows it; empty where none does.

    >>> guessed_encoding("第 1 步 损失: 2.5".encode("gbk")), guessed_encoding("损失 naïve".encode())
    (('gb18030', '损失'), ('', ''))
    """
    if start[:2] in UTF16 or b"\0" in start:  # marked, or no text
        return "", ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut
    except UnicodeDecodeError:
        found = ((name, word) for name, words in LOSS_WORDS.items() for word in words if word.encode(name) in start)
        return next(found, ("", ""))
    return "", ""


def as_utf8(data: bytes, guessed: str = "") -> bytes:
    """Bring text bytes to UTF-8 without byte order mark: from UTF-16 with its mark, from the encoding that was guessed, else
    they are taken for UTF-8 already."""
    if guessed:
        return data.decode(guessed, "replace").encode("utf-8", "replace")
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
