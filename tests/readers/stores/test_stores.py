"""Every store that a real library wrote is read as one run that holds what was logged, to the last value."""

import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lmdiag.config import Settings
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import read_runs
from lmdiag.reports.phrases import source_of
from tests.readers.stores.curve import CASES, CONFIG, STEPS, expected

STORES = Path(__file__).parent
NAMES = sorted(path.parent.name for path in STORES.glob("*/write.py"))
LOGS = sorted(log for log in STORES.glob("*/log/*") if log.is_dir())
CLOCKS = {"time", "elapsed_s"}  # of the libraries: when they were handed the values


def losses_of(log: Path) -> ModuleType | None:
    """The `kept.py` of a store that does not keep all that it is given."""
    store = log.parts[-3]
    there = (STORES / store / "kept.py").exists()
    return importlib.import_module(f"tests.readers.stores.{store}.kept") if there else None


def kept(log: Path) -> dict[str, dict[int, float]]:
    """What was logged, as far as the store keeps it: `kept(metric, step, value)` is None for a value that is lost.

    Where a library computes what it logs, `logged(case)` is what it told the program.
    """
    logged = getattr(losses_of(log), "logged", expected)(case_of(log))
    keep = getattr(losses_of(log), "kept", lambda metric, step, value: value)
    of_store = {name: {step: keep(name, step, v) for step, v in values.items()} for name, values in logged.items()}
    there = {name: {step: v for step, v in values.items() if v is not None} for name, values in of_store.items()}
    return {name: values for name, values in there.items() if values}


def case_of(log: Path) -> str:
    return log.name.partition("-")[0]


def named(log: Path) -> str:
    return f"{log.parts[-3]}-{log.name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_run_was_written(name):
    assert "whole" in [case_of(log) for log in LOGS if log.parts[-3] == name]


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_one_run_with_every_value(log):
    (run,), problems = read_runs([log])
    assert problems == []
    found = {name: dict(zip(s.steps.tolist(), s.values.tolist())) for name, s in run.series.items()}
    found = {name: values for name, values in found.items() if name not in CLOCKS}
    wanted = kept(log)
    if log.name in getattr(losses_of(log), "ENDS_LOST", ()):  # with the process that was killed
        wanted = {name: dict(list(values.items())[: len(found[name])]) for name, values in wanted.items()}
        assert min(map(len, wanted.values())) > 0
    else:
        assert sum(skipped.count for skipped in run.skipped) == getattr(losses_of(log), "UNNAMED", 0)
    assert found.keys() - getattr(losses_of(log), "OWN", ()) == wanted.keys()  # what the library adds of its own
    for name, values in wanted.items():
        np.testing.assert_equal(found[name], values, name)


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_a_report_on_one_run_and_nothing_that_could_not_be_read(log):
    report = judge([log], Settings())
    assert (len(report.diagnoses), report.unreadable) == (1, ())


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_its_place_is_named_once(log):
    (run,), _ = read_runs([log])
    assert source_of(run).count(str(log)) == 1


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_its_settings_and_its_plan(log):
    (run,), _ = read_runs([log])
    if log.name in getattr(losses_of(log), "SETTINGS_LOST", ()):
        assert (run.step_kind, run.planned_steps, run.config) == ("step", 0, {})
        return
    own = losses_of(log)
    wanted = getattr(own, "STEP_KIND", "step"), getattr(own, "PLANNED", STEPS), getattr(own, "SETTINGS", CONFIG)
    stated = run.config | run.config.get("config", {})
    found = {name: float(stated[name]) for name in wanted[2]}
    assert (run.step_kind, run.planned_steps, found) == wanted


@pytest.mark.parametrize("log", LOGS, ids=named)
def test_the_clock_goes_on_with_the_steps(log):
    (run,), _ = read_runs([log])
    assert all((np.diff(run[name].values) >= 0).all() for name in CLOCKS & run.series.keys())


@pytest.mark.parametrize("log", [log for log in LOGS if case_of(log) == "resumed"], ids=named)
def test_a_resumed_run_tells_where(log):
    (run,), _ = read_runs([log])
    if getattr(losses_of(log), "WRITES_OVER", False):  # what was logged before at a step that comes again
        assert [(s.first_step, s.last_step) for s in run.segments] == [(1, STEPS)]
        return
    assert [(s.first_step, s.last_step) for s in run.segments] == [(part.first, part.last) for part in CASES["resumed"]]


@pytest.mark.parametrize("log", [log for log in LOGS if case_of(log) == "killed"], ids=named)
def test_a_killed_run_is_not_taken_for_a_completed_one(log):
    (run,), _ = read_runs([log])
    assert "completed" not in [event.fields.get("status") for event in run.events]


@pytest.mark.parametrize("log", [log for log in LOGS if case_of(log) == "whole"], ids=named)
def test_damage_is_told_or_harmless(log, tmp_path):
    """Each file of a store is emptied, cut in the middle, and overwritten there."""
    shutil.copytree(log, tmp_path / "log")
    for path in [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]:
        whole = path.read_bytes()
        half = len(whole) // 2
        for damaged in (b"", whole[:half], whole[:half] + b"\xff\x00{[9" + whole[half + 5 :]):
            path.write_bytes(damaged)
            runs, problems = read_runs([tmp_path / "log"])
            assert not any("reading it failed" in problem.message for _, problem in problems)
            assert len(runs) <= getattr(losses_of(log), "STORES", 1)
        path.write_bytes(whole)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "1" + "0" * 400, "null"], ids=lambda word: word[:6])
@pytest.mark.parametrize("log", [log for log in LOGS if case_of(log) == "whole"], ids=named)
def test_numbers_that_cannot_be_are_told_or_harmless(log, number, tmp_path):
    """In each file of text, the numbers behind a colon, a comma, a tab, a bar or a bracket are such, all of them or every tenth."""
    shutil.copytree(log, tmp_path / "log")
    for path in [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]:
        whole = path.read_bytes()
        if b"\0" in whole:
            continue
        for every in (1, 10):
            count = itertools.count()
            path.write_bytes(
                re.sub(
                    rb"(?<=[:=,\t|\[] |.[:=,\t|\[])\d+(?:\.\d+)?",
                    lambda found, every=every, count=count: found[0] if next(count) % every else number.encode(),
                    whole,
                )
            )
            _, problems = read_runs([tmp_path / "log"])
            assert not any("reading it failed" in problem.message for _, problem in problems)
        path.write_bytes(whole)


STEPS_IN_TEXT = {  # where a store writes the first step of a metric
    "clearml/log/whole": ("metrics.jsonl", r'"iter": (1),'),
    "comet/log/killed": ("messages.json", r'"metricName":"train_epoch".*?"step":(1)}'),
    "dvclive/log/whole": ("train/loss.tsv", r"\n(1)\t"),
    "labml/log/whole": ("log.jsonl", r'"loss": \[\[(1),'),
    "neptune/log/whole": ("data-1.log", r'"step": (1),'),
    "polyaxon/log/whole": ("train__loss.plx", r"\n(1)\|"),
    "sacred/log/whole": ("metrics.json", r'"steps": \[\s*(10),'),
    "swanlab/log/killed-local": ("logs/1/1000.log", r'"index": (1),'),
}


@pytest.mark.parametrize("step", ["9" * 25, "1" + "0" * 400, "9223372036854775808"], ids=["long", "endless", "2**63"])
@pytest.mark.parametrize("log", STEPS_IN_TEXT)
def test_a_step_that_is_too_large_to_be_one_is_counted_as_lost(log, step, tmp_path):
    shutil.copytree(STORES / log, tmp_path / "log")
    file, pattern = STEPS_IN_TEXT[log]
    (path,) = (path for path in tmp_path.rglob("*") if path.as_posix().endswith(f"/{file}"))
    match = re.search(pattern, path.read_text())
    assert match
    (whole,), _ = read_runs([tmp_path / "log"])
    path.write_text(path.read_text()[: match.start(1)] + step + path.read_text()[match.end(1) :])
    (run,), problems = read_runs([tmp_path / "log"])
    assert problems == []
    assert sum(skipped.count for skipped in run.skipped) == 1
    values, of_whole = (sum(len(r.series[name].values) for name in r.series.keys() - CLOCKS) for r in (run, whole))
    assert values == of_whole - 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("log", [log for log in LOGS if log.is_dir() and case_of(log) == "whole"], ids=named)
def test_a_pipe_beside_the_files_is_not_waited_for(log, tmp_path):
    folder = shutil.copytree(log, tmp_path / log.name)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        os.mkfifo(path.with_name(f"{path.stem}9{path.suffix}"))
    reading = subprocess.run(
        [sys.executable, "-m", "lmdiag", "check", "-q", folder], timeout=60, capture_output=True, text=True
    )
    assert "internal error" not in reading.stdout + reading.stderr
    assert reading.returncode in (0, 1)
