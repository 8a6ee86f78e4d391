"""Bytes as they come: compressed, in several encodings, in blocks, in folders."""

import gzip
import random
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source, as_text

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


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("gbk", "第 {} 步 损失: {:.4f}"),
        ("gb18030", "步数 {} 损失 {:.4f}"),
        ("shift_jis", "ステップ {} 損失: {:.4f}"),
        ("euc-jp", "ステップ {} 損失: {:.4f}"),
        ("big5", "步數 {} 損失: {:.4f}"),
        ("euc-kr", "스텝 {} 손실: {:.4f}"),
        ("cp1251", "Шаг {} Потери: {:.4f}"),
        ("koi8-r", "Шаг {} Потери: {:.4f}"),
    ],
)
def test_a_log_in_an_encoding_without_a_mark_is_read_and_the_guess_is_said(encoding, line):
    text = "".join(f"{line.format(step, 3 - 0.01 * step)}\n" for step in range(1, 41))
    source = Source("a.log", content=text.encode(encoding))
    assert source.text == text
    assert b"".join(source.blocks()).decode() == text
    (run,) = runs_of(source)
    assert (len(run["loss"]), run["loss"].values[0]) == (40, 2.99)
    assert [note for note in run.notes if note.startswith("The text is no UTF-8; it was taken for ")]


def test_bytes_that_are_no_text_are_in_no_encoding():
    assert Source("a.bin", content=b"\0\xff" + "损失".encode("gbk")).guessed_encoding == ("", "")
    assert Source("a.log", content="naïve".encode("latin-1")).guessed_encoding == ("", "")
    cut = ("x" * 65_535 + "损失").encode()  # in the middle of a character, where the head ends
    assert Source("a.log", content=cut).guessed_encoding == ("", "")


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


@pytest.mark.parametrize("level", [1, 19])
def test_a_bomb_of_zstandard_is_refused(level):
    zstandard = pytest.importorskip("zstandard")
    with pytest.raises(UnreadableLog, match="unpacks to more than"):
        Source("a.zst", content=zstandard.compress(bytes(1 << 27), level)).data  # noqa: B018


@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, packing):
    for place in ("lines", "source"):
        monkeypatch.setattr(f"lmdiag.sources.{place}.LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.jsonl"
    path.write_bytes(packing(b'{"step": 1}\n' + random.Random(0).randbytes(1 << 21).replace(b"\n", b"a")))
    for read in (lambda source: source.data, lambda source: list(source.blocks(1 << 16))):
        with pytest.raises(UnreadableLog, match="holds a line of more than 1 MiB"):
            read(Source("a.jsonl", path))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: gzip.compress(data[:4000]) + gzip.compress(data[4000:])])
def test_a_packed_log_is_read_in_blocks(tmp_path, pack):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(pack(b"\xef\xbb\xbf" + TEXT.encode() * 5000))
    blocks = list(Source("a", path).blocks(1 << 12))
    assert b"".join(blocks) == TEXT.encode() * 5000
    assert len(blocks) > 1
    assert all(block.endswith(b"\n") for block in blocks)


def test_a_packed_log_of_several_pieces_is_the_log(monkeypatch):
    monkeypatch.setattr("lmdiag.readers.json.typed.PIECE", 1000)
    records = b"".join(b'{"step": %d, "loss": %d.5}\n' % (i, i % 7) for i in range(1, 2000))
    (packed,), (plain,) = (runs_of(Source("a.jsonl", content=c)) for c in (gzip.compress(records), records))
    assert packed["loss"].values.tolist() == plain["loss"].values.tolist()
    assert packed["loss"].lines.tolist() == plain["loss"].lines.tolist()


def test_lines_that_end_with_a_carriage_return_alone():
    text = "step,loss,lr\r" + "".join(f"{s},{5 - s / 10},0.1\r" for s in range(1, 9))
    (run,) = runs_of(Source("a.csv", content=text.encode()))
    assert run["loss"].values.tolist() == [5 - s / 10 for s in range(1, 9)]


# Runs a command and prints its peak memory; from a process of its own, because a child begins with the peak of what forked it.
PEAK = (
    "import resource, subprocess, sys\ncode = subprocess.run(sys.argv[1:]).returncode\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\nsys.exit(code)"
)


@pytest.mark.slow
def test_a_line_of_a_gigabyte_costs_little_and_hides_no_other_log(tmp_path):
    with (tmp_path / "endless.jsonl").open("wb") as file:
        file.write(b'{"step": 1, "loss": 2.5, "note": "')
        file.truncate(10**9)
    (tmp_path / "good.jsonl").write_bytes(b"".join(b'{"step": %d, "loss": 2.5}\n' % i for i in range(1, 60)))
    command = [sys.executable, "-m", "lmdiag", "check", "--isolated", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run([sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert "holds a line of more than 256 MiB" in " ".join(done.stdout.split())
    assert "good.jsonl" in done.stdout
    assert int(done.stderr.split()[-1]) < 1_000_000


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
