"""A pytest plugin: `assert_healthy(log)`, and the fixture `lmdiag_check` for tests that train.

    def test_training_is_healthy(tmp_path, lmdiag_check):
        train(log=tmp_path / "run.jsonl")
        lmdiag_check(tmp_path / "run.jsonl")

pytest loads it by itself where lmdiag is installed; it imports the rest of lmdiag when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lmdiag.reports.report import Report
    from lmdiag.run import Run


def assert_healthy(
    log: str | PathLike[str] | Run, *, fail_on: str = "error", select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Report:
    """Fail unless every run of a log is free of findings at or above `fail_on`, and at least one could be judged.

    `log` is a file, a folder, a glob or a Run; `select` and `ignore` take names of rules and families, as on the command
    line. Returns the report. The message of the failure lists the findings, one a line.
    """
    __tracebackhide__ = True
    from lmdiag.cli.gate import exit_code
    from lmdiag.reports.concise import render

    report = _report(log, fail_on, tuple(select), tuple(ignore))
    if exit_code(report):
        raise AssertionError(
            f"{log if isinstance(log, str | PathLike) else log.name} is not healthy:\n{render(report)}"
        )
    return report


def _report(log: str | PathLike[str] | Run, fail_on: str, select: tuple[str, ...], ignore: tuple[str, ...]) -> Report:
    from lmdiag.cli.gate import check_settings, chosen_rules, judge
    from lmdiag.cli.reading import read_runs
    from lmdiag.config import Settings
    from lmdiag.readers.options import ReadOptions
    from lmdiag.reports.report import Report

    settings = Settings(select=select, ignore=ignore, fail_on=fail_on)
    check_settings(settings)
    runs, unreadable = read_runs([str(log)], ReadOptions()) if isinstance(log, str | PathLike) else ([log], [])
    diagnoses = tuple(judge(run, settings) for run in runs)
    return Report(diagnoses, tuple(unreadable), chosen_rules(settings), fail_on)


@pytest.fixture
def lmdiag_check() -> Callable[..., Report]:
    """`assert_healthy` as a fixture."""
    return assert_healthy
