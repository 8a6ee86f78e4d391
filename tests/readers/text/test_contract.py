"""Damaged logs: only UnreadableLog is ever raised, and what a damaged log still shows is never invented."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import can_read, read
from lmdiag.readers.text.formats import GENERIC
from lmdiag.readers.text.pieces import LONGEST_PIECE, without_colours
from lmdiag.readers.text.recognise import hits
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

SAMPLES = {path.stem: path.read_bytes() for path in (Path(__file__).parents[1] / "samples" / "text").glob("*.log")}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def logs_of(data: bytes) -> list[RawLog]:
    """Read, or return nothing where the reader refuses."""
    try:
        return read(Source("x.log", content=data))
    except UnreadableLog:
        return []


def check_shape(log: RawLog) -> None:
    """Every column names rows that exist, in order, and as many values."""
    assert log.lines is not None
    assert len(log.lines) == log.n_rows
    for name, column in log.columns.items():
        assert len(column.rows) == len(column.values), name
        assert (column.rows[1:] > column.rows[:-1]).all(), name
        assert 0 <= column.rows.min() <= column.rows.max() < log.n_rows, name


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a sample with bytes cut out, put in, doubled, or with lines shuffled."""
    data = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 200)))
        kind = draw(st.sampled_from(["cut", "put", "double", "tear", "shuffle"]))
        if kind == "cut":
            data = data[:start] + data[stop:]
        elif kind == "put":
            noise = draw(
                st.one_of(
                    st.binary(max_size=20),
                    st.sampled_from([b"\x1b[31m", b"\r", b"nan", b"inf", b"1e999", b"|", b"{", b"9" * 400]),
                )
            )
            data = data[:start] + noise + data[start:]
        elif kind == "double":
            data = data[:stop] + data[start:]
        elif kind == "tear":
            data = data[:start]
        else:
            data = b"\n".join(draw(st.permutations(data.split(b"\n"))))
    return data


@FEW
@given(damaged())
def test_damage_raises_nothing_else(data: bytes) -> None:
    for log in logs_of(data):
        check_shape(log)


@FEW
@given(st.binary(max_size=2000))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    can_read("x.log", data)
    logs_of(data)


@FEW
@given(st.text(alphabet="Epoch stepliter loss:=|[](){}/,.%0123456789eE+-naif\n\r\t\x1b[m", max_size=600))
def test_any_words_raise_nothing_else(text: str) -> None:
    for log in logs_of(text.encode()):
        check_shape(log)


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_a_torn_tail_loses_only_the_tail(sample: str) -> None:
    whole = logs_of(SAMPLES[sample])
    lines = SAMPLES[sample].rstrip().split(b"\n")
    torn = logs_of(b"\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    assert sum(log.n_rows for log in torn) >= sum(log.n_rows for log in whole) - 1 > 0


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_noise_between_the_lines_changes_no_value(sample: str) -> None:
    noise = b"\nWARNING: this is chatter of a library without any figures\n"
    quiet, loud = logs_of(SAMPLES[sample]), logs_of(SAMPLES[sample].replace(b"\n", noise))
    assert [log.format for log in quiet] == [log.format for log in loud]
    for before, after in zip(quiet, loud):
        assert list(before.columns) == list(after.columns)
        for name, column in before.columns.items():
            assert np.array_equal(column.values, after.columns[name].values, equal_nan=True), name


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_recognised_by_its_own_format(sample: str) -> None:
    (log,) = logs_of(SAMPLES[sample])
    if log.format != GENERIC.name:
        assert log.format in hits(without_colours(as_text(SAMPLES[sample])))


def cost(line: str) -> float:
    """Return the seconds of CPU that a line takes, at best of five."""

    def once() -> float:
        started = time.process_time()
        logs_of(line.encode())
        return time.process_time() - started

    return min(once() for _ in range(5))


@pytest.mark.parametrize("length", [LONGEST_PIECE // 4, 50_000])  # searched as a whole, and cut into pieces
@pytest.mark.parametrize(
    ("start", "more"),
    [
        ("iter 1: loss ", "1"),
        ("", "a: "),
        ("", "| "),
        ("", "{'loss': "),
        ("Step 1 | ", "x:1 "),
        ("step 1 loss 2.5 ", "a"),
    ],
)
def test_endless_lines_take_time_as_they_are_long(start: str, more: str, length: int) -> None:
    short, long = (cost(start + more * (n // len(more))) for n in (length, 4 * length))
    # Twice what is linear; a pattern that tries every stretch of the line takes sixteen times as long.
    assert long < 8 * short + 0.02


def test_source_code_is_no_record() -> None:
    code = b"import os\nval_loss = 0.0\n    print(f'step {step}: train loss {loss:.4f}, val loss {v:.4f}')\nlr: float = 0.1\n"
    assert logs_of(code) == []


def test_prose_is_no_log() -> None:
    with pytest.raises(UnreadableLog, match="no training record") as refused:
        read(Source("notes.txt", content=b"We trained for 3 epochs and the loss was fine.\nIt took 2 hours.\n"))
    assert "--pattern" in refused.value.hint


def test_nan_is_kept() -> None:
    (log,) = logs_of(b"step 1 loss 2.0\nstep 2 loss nan\nstep 3 loss -inf\nstep 4 loss 1.0\n")
    values = log.columns["loss"].values.tolist()
    assert math.isnan(values[1])
    assert values[2] == -math.inf
