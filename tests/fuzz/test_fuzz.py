"""Damaged logs and odd command lines: never a traceback, a hang, or a loss that is not counted; `python -m tests.fuzz` tries 10,000."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmdiag.cli import COMMANDS
from lmdiag.reports import FORMATS
from tests.fuzz.mutations import corpus, mutated
from tests.fuzz.trial import command_faults, faults

QUICK, BATCH = 300, 50


def test_the_undamaged_logs_keep_all_promises():
    assert [(name, fault) for name, content in corpus() for fault in faults(name, content)] == []


def test_a_broken_promise_is_seen(monkeypatch):
    name, content = corpus()[0]
    monkeypatch.setattr("lmdiag.gather.gather", lambda log: 1 / 0)
    assert [fault.partition(":")[0] for fault in faults(name, content)] == ["not foreseen"]
    monkeypatch.setattr("lmdiag.readers.lmdiag_log.reader.can_read", lambda name, head: 1 / 0)
    assert [fault.partition(":")[0] for fault in faults(name, content)] == ["ZeroDivisionError while reading"]


@pytest.mark.parametrize("first", range(0, QUICK, BATCH))
def test_damaged_logs(first):
    wrong = [(seed, fault) for seed in range(first, first + BATCH) for fault in faults(*mutated(seed))]
    assert wrong == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.log", "a.json", "trainer_state.json"])
def test_any_bytes(name, content):
    assert list(faults(name, content)) == []


OPTIONS = st.sampled_from(
    [
        *("--select=spikes", "--select=nonsense", "--ignore=all", "--fail-on=info", "--fail-on=x", "--exit-zero", "--isolated"),
        *(f"--format={name}" for name in (*FORMATS, "parquet", "")),
        *("--reader=csv-table", "--reader=x", "--map=loss=step", "--map=x", "--pattern=(?P<loss>\\d+)", "--pattern=(", "--pattern="),
        *("--jobs=0", "--jobs=x", "--config=a=b", "--config=rules.plateau.window=-1", "--config=nowhere.toml", "--color=always"),
        *("-v", "-q", "-vq", "--", "-", "--output=json", "--output=x=y", "--baseline=none.json", "--show-settings", "\0", "-\udcff"),
    ]
)  # fmt: skip


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    command=st.sampled_from(
        ["check", "check", "check", "report", "baseline", "rules", "explain", "schema", "compare", "x"]
    ),
    options=st.lists(OPTIONS, max_size=4),
    paths=st.lists(
        st.sampled_from(["a.jsonl", "b.csv", "missing", "", ".", "*", "**", "[", "nothing://x", "a\nb"]), max_size=3
    ),
)
def test_any_command_line(tmp_path, monkeypatch, command, options, paths):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"step 1 loss 2\n")))
    for name, content in (corpus()[0], corpus()[13]):
        (tmp_path / name).write_bytes(content)
    assert list(command_faults([command, *options, *paths])) == []


def test_every_command_has_help():
    assert [fault for command in COMMANDS for fault in command_faults([command, "--help"])] == []
