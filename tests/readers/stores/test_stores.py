"""Every store that a real library wrote is read as one run that holds what was logged, to the last value."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from lmdiag.judging.reading import read_runs
from tests.readers.stores.curve import CASES, CONFIG, STEPS, expected

STORES = Path(__file__).parent
NAMES = sorted(path.parent.name for path in STORES.glob("*/write.py"))
LOGS = sorted(path for path in STORES.glob("*/log/*"))
CLOCKS = {"time", "elapsed_s"}  # of the libraries: when they were handed the values


def kept(store: str, case: str) -> dict[str, dict[int, float]]:
    """What was logged, as far as the store keeps it: its `kept.py` says what becomes of a value, None where it is lost."""
    logged = expected(case)
    if not (STORES / store / "kept.py").exists():
        return logged
    keep = importlib.import_module(f"tests.readers.stores.{store}.kept").kept
    of_store = {
        metric: {step: keep(metric, step, v) for step, v in values.items()} for metric, values in logged.items()
    }
    without = {metric: {s: v for s, v in values.items() if v is not None} for metric, values in of_store.items()}
    return {metric: values for metric, values in without.items() if values}


def ids(path: Path) -> str:
    return f"{path.parts[-3]}-{path.name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_run_was_written(name):
    assert STORES / name / "log" / "whole" in LOGS


@pytest.mark.parametrize("log", LOGS, ids=ids)
def test_one_run_with_every_value(log):
    (run,), problems = read_runs([log])
    assert problems == []
    assert run.skipped == ()
    found = {
        name: dict(zip(s.steps.tolist(), s.values.tolist())) for name, s in run.series.items() if name not in CLOCKS
    }
    wanted = kept(log.parts[-3], log.name)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_equal(found[name], values, name)


@pytest.mark.parametrize("log", LOGS, ids=ids)
def test_its_settings_and_its_plan(log):
    (run,), _ = read_runs([log])
    assert (run.step_kind, run.planned_steps) == ("step", STEPS)
    assert {name: float(run.config["config"][name]) for name in CONFIG} == CONFIG


@pytest.mark.parametrize("log", LOGS, ids=ids)
def test_the_clock_goes_on_with_the_steps(log):
    (run,), _ = read_runs([log])
    assert all((np.diff(run[name].values) >= 0).all() for name in CLOCKS & run.series.keys())


@pytest.mark.parametrize("log", [log for log in LOGS if log.name == "resumed"], ids=ids)
def test_a_resumed_run_tells_where(log):
    (run,), _ = read_runs([log])
    assert [(s.first_step, s.last_step) for s in run.segments] == [(part.first, part.last) for part in CASES["resumed"]]


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told_or_harmless(name, tmp_path):
    """Each file of a store is emptied, cut in the middle, and overwritten there."""
    shutil.copytree(STORES / name / "log" / "whole", tmp_path / "log")
    for path in [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]:
        whole = path.read_bytes()
        half = len(whole) // 2
        for damaged in (b"", whole[:half], whole[:half] + b"\xff\x00{[9" + whole[half + 5 :]):
            path.write_bytes(damaged)
            runs, problems = read_runs([tmp_path / "log"])
            assert not any("reading it failed" in problem.message for _, problem in problems)
            assert len(runs) <= 1
        path.write_bytes(whole)
