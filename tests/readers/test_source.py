"""Bytes as they come: compressed, in several encodings, in blocks, in folders."""

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.readers import runs_of
from lmdiag.readers.source import Source, as_text

TEXT = '{"step": 1, "loss": 2.5, "note": "naïve 损失"}\n{"step": 2, "loss": 1.5}\n'


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT.encode("utf-16")),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-be", "gzip", "gzip of utf-16"],
)
def test_the_same_text_in_any_wrapping(content):
    source = Source("a", content=content)
    assert source.text == TEXT
    assert source.head == TEXT.encode()
    assert b"".join(source.blocks(16)) == TEXT.encode()


def test_zstandard(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(TEXT.encode()))
    assert Source("a", path).text == TEXT


def test_latin_1_is_told_from_torn_utf_8():
    assert as_text("naïve".encode("latin-1")) == "naïve"
    assert as_text("损失损失".encode()[:-1]) == "损失损\ufffd"


def test_a_file_is_read_in_blocks_that_end_with_a_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode() * 50)
    blocks = list(Source("a", path).blocks(300))
    assert b"".join(blocks) == TEXT.encode() * 50
    assert len(blocks) > 5
    assert all(block.endswith(b"\n") for block in blocks)


def test_a_packed_bomb_is_refused():
    bomb = gzip.compress(bytes(1 << 27))
    with pytest.raises(UnreadableLog, match="unpacks to more than"):
        Source("a.gz", content=bomb).data  # noqa: B018


def test_a_damaged_package_gives_what_is_whole_and_says_so():
    records = b"".join(b'{"step": %d, "loss": %d.%d}\n' % (i, i % 7, i * i % 9973) for i in range(20000))
    content = gzip.compress(records)
    (run,) = runs_of(Source("a.jsonl.gz", content=content[: len(content) // 2]))
    assert 1000 < len(run["loss"]) < 20000
    assert any("compressed file is damaged" in piece.reason for piece in run.skipped)


def test_a_missing_file_is_an_error_for_the_user(tmp_path):
    with pytest.raises(UnreadableLog, match="cannot read"):
        Source("b", tmp_path / "b").data  # noqa: B018


def test_the_head_of_a_folder_lists_its_files(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "b").touch()
    (tmp_path / "a").touch()
    source = Source("x/", tmp_path)
    assert (source.is_folder, source.head, source.data) == (True, b"\na\ntrain/b\n", b"")


@given(st.binary() | st.binary().map(b"\x1f\x8b".__add__) | st.binary().map(b"\x28\xb5\x2f\xfd".__add__))
def test_any_bytes_are_text_or_an_error_for_the_user(content):
    with suppress(UnreadableLog):
        assert isinstance(Source("a", content=content).text, str)
