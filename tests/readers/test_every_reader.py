"""What holds for every reader in READERS, the next one included."""

import inspect
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers import HOLD_LOGS, OF_PRINTS, READERS, as_unreadable, read_source, reader_named, reader_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.sources.source import Source
from tests.readers.sample_logs import FOLDERS, LOSSES, PAGES, SAMPLES, UNNAMED

DOCUMENTS = Path(__file__).parents[2] / "docs" / "formats"
BY_FILE = [name for name in READERS if name not in FOLDERS]


def module(name):
    return reader_named(name)


def read_with(name, source):
    return module(name).read(source, *([read_source] if name in HOLD_LOGS else []))


def source(name):
    file, content = SAMPLES[name]
    return Source(file, content=content)


def test_every_reader_has_a_sample():
    assert set(SAMPLES) | FOLDERS == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_its_format_has_a_page(name):
    assert (DOCUMENTS / f"{PAGES[name]}.md").read_text().startswith("# ")


@pytest.mark.parametrize("name", READERS)
def test_it_keeps_the_contract(name):
    reader = module(name)
    assert list(inspect.signature(reader.can_read).parameters) == ["name", "head"]
    more = ["read_part"] if name in HOLD_LOGS else ["counter"] if name in OF_PRINTS else []
    assert list(inspect.signature(reader.read).parameters) == ["source", *more]
    assert inspect.getdoc(reader)
    assert reader.can_read("", b"") is False
    assert reader.can_read("empty/", b"\n\n") is False


@pytest.mark.parametrize("name", BY_FILE)
def test_its_sample_is_recognised_as_its_own(name):
    assert reader_of(source(name)) is module(name)
    assert [module(name).can_read(source(name).name, source(name).head) for _ in range(2)] == [True, True]


@pytest.mark.parametrize("name", BY_FILE)
def test_the_values_are_those_written(name):
    (run,) = runs_of(source(name))
    np.testing.assert_allclose(run["loss"].values, LOSSES, rtol=1e-6)
    assert (np.diff(run["loss"].steps) > 0).all()
    assert sum(skipped.count for skipped in run.skipped) == UNNAMED.get(name, 0)
    assert run.format


@pytest.mark.parametrize("name", BY_FILE)
def test_what_it_returns_fits_together(name):
    for raw in read_with(name, source(name)):
        assert isinstance(raw, RawLog)
        for column in raw.columns.values():
            assert len(column.rows) == len(column.values)
            assert (np.diff(column.rows) > 0).all()
            assert 0 <= column.rows[0] <= column.rows[-1] < raw.n_rows
        assert raw.lines is None or len(raw.lines) == raw.n_rows


def damaged(content, cut, at, junk, keep):
    at = int(at * len(content))
    content = content[:at] + junk + content[at + (0 if keep else len(junk)) :]
    return content[: int(cut * len(content))] if cut < 0.9 else content


@pytest.mark.parametrize("name", BY_FILE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cut=st.floats(0, 1.0),
    at=st.floats(0, 1.0),
    junk=st.binary(max_size=40) | st.sampled_from([b"\0" * 20, b"{", b'"', b"\n", b",", b"nan", b"1e999", b"[[[["]),
    keep=st.booleans(),
)
def test_damage_is_an_error_for_the_user_or_none(name, cut, at, junk, keep):
    file, content = SAMPLES[name]
    broken = Source(file, content=damaged(content, cut, at, junk, keep))
    with suppress(UnreadableLog):
        assert all(isinstance(log, RawLog) for log in read_with(name, broken))


@pytest.mark.parametrize("name", BY_FILE)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cut=st.floats(0, 1.0), at=st.floats(0, 1.0), junk=st.binary(max_size=20), keep=st.booleans())
def test_damage_never_gets_past_the_errors_of_the_whole_way(name, cut, at, junk, keep):
    file, content = SAMPLES[name]
    runs, said = [], ""
    try:
        runs = runs_of(Source(file, content=damaged(content, cut, at, junk, keep)))
    except UnreadableLog as error:
        said = error.message
    assert "reading it failed" not in said
    assert all(len(run["loss"]) <= 60 for run in runs if "loss" in run)


def test_binary_and_other_text_belongs_to_nobody():
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(200), b"PK\x03\x04" + bytes(200), b"MZ\x90\0\x03\0\0\0"):
        assert reader_of(Source("a.bin", content=content)) is None


def test_a_part_that_may_not_be_read_is_named():
    with (
        pytest.raises(UnreadableLog, match="cannot read run/flags: Permission denied"),
        as_unreadable("run/", "guild"),
    ):
        raise PermissionError(13, "Permission denied", "run/flags")
