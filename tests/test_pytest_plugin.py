"""The pytest plugin, run by pytest on tests of somebody else's project."""

from importlib.metadata import entry_points

import numpy as np
import pytest

import lmdiag
from lmdiag.config import Settings
from lmdiag.errors import BadSetting
from lmdiag.pytest_plugin import assert_healthy
from tests.cli.conftest import falling, write_log

pytest_plugins = ["pytester"]

TESTS = """
def test_good(lmdiag_check):
    assert lmdiag_check("good.jsonl").verdict == "healthy"

def test_bad(lmdiag_check):
    lmdiag_check("bad.jsonl")

def test_accepted(lmdiag_check):
    lmdiag_check("bad.jsonl", ignore=["numerics"])
"""


@pytest.fixture
def logs(tmp_path):
    losses = falling()
    write_log(tmp_path / "good.jsonl", losses)
    losses[300:] = np.nan
    write_log(tmp_path / "bad.jsonl", losses)
    return tmp_path


def test_the_fixture_fails_the_test_with_the_findings(pytester, logs):
    pytester.makepyfile(TESTS)
    for name in ("good", "bad"):
        (pytester.path / f"{name}.jsonl").write_bytes((logs / f"{name}.jsonl").read_bytes())
    installed = any(point.name == "lmdiag" for point in entry_points(group="pytest11"))
    result = pytester.runpytest_subprocess(*([] if installed else ["-p", "lmdiag.pytest_plugin"]))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*bad.jsonl is not healthy:*", "*bad.jsonl:*: error: *301*[[]non-finite-loss]*"])


def test_a_run_in_memory_can_be_asserted(logs):
    assert_healthy(lmdiag.read(logs / "good.jsonl"))
    with pytest.raises(AssertionError, match=r"bad is not healthy:\n.*non-finite-loss"):
        assert_healthy(lmdiag.read(logs / "bad.jsonl"))


def test_a_log_that_cannot_be_judged_or_read_does_not_pass(tmp_path):
    write_log(tmp_path / "short.jsonl", [3.0, 2.0])
    with pytest.raises(AssertionError, match="not judged"):
        assert_healthy(tmp_path / "short.jsonl")
    with pytest.raises(AssertionError, match="there is no file"):
        assert_healthy(tmp_path / "missing.jsonl")


def test_wrong_names_are_refused(logs):
    with pytest.raises(BadSetting, match="loss-spkie"):
        assert_healthy(logs / "good.jsonl", select=["loss-spkie"])


def test_one_name_may_stand_for_a_list_and_a_list_for_one_path(logs):
    assert assert_healthy(logs / "bad.jsonl", ignore="numerics").verdict == "healthy"
    assert len(assert_healthy([logs / "good.jsonl", str(logs / "bad.jsonl")], ignore="numerics").diagnoses) == 2
    with pytest.raises(AssertionError, match=r"good.jsonl, .*bad.jsonl is not healthy"):
        assert_healthy([logs / "good.jsonl", logs / "bad.jsonl"])
    runs = [lmdiag.read(logs / f"{name}.jsonl") for name in ("good", "bad")]
    with pytest.raises(AssertionError, match="good, bad is not healthy"):
        assert_healthy(runs)


@pytest.mark.parametrize("wrong", ["bad", "Error"])
def test_a_severity_that_does_not_exist_is_refused(logs, wrong):
    with pytest.raises(BadSetting, match=wrong):
        assert_healthy(logs / "bad.jsonl", fail_on=wrong)
    with pytest.raises(BadSetting, match=wrong):
        lmdiag.judge(logs / "bad.jsonl", Settings(fail_on=wrong))


@pytest.mark.parametrize("call", [lmdiag.judge, lmdiag.read, lmdiag.read_all, assert_healthy])
@pytest.mark.parametrize("wrong", [None, 5, [5]])
def test_what_is_no_path_is_refused_by_its_type(call, wrong):
    with pytest.raises(TypeError, match="a path"):
        call(wrong)


def test_settings_of_another_type_are_refused(logs):
    with pytest.raises(TypeError, match=r"settings are lmdiag.config.Settings, not dict"):
        lmdiag.judge(logs / "good.jsonl", {"select": ["numerics"]})
