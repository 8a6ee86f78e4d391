"""A pytest plugin: `assert_healthy(log)`, and the fixture `lmdiag_check` for tests that train.

    def test_training_is_healthy(tmp_path, lmdiag_check):
        train(log=tmp_path / "run.jsonl")
        lmdiag_check(tmp_path / "run.jsonl")

pytest loads it by itself where lmdiag is installed; it imports the rest of lmdiag when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lmdiag.reports.report import Report
    from lmdiag.run import Run


def assert_healthy(
    log: str | PathLike[str] | Run, *, fail_on: str = "", select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Report:
    """Fail unless every run of a log is free of findings at or above `fail_on`, and at least one could be judged.

    `log` is a file, a folder, a glob or a Run. The settings of the project hold, as for `lmdiag check`; `fail_on`, `select`
    and `ignore` (names of rules and families) replace single ones. Returns the report. The message of the failure lists the
    findings, one a line.
    """
    __tracebackhide__ = True
    from lmdiag.config import load
    from lmdiag.judging.logs import judge, report_on
    from lmdiag.judging.policy import exit_code
    from lmdiag.reports.concise import render

    given: dict[str, Any] = {"fail_on": fail_on, "select": tuple(select), "ignore": tuple(ignore)}
    settings = replace(load(Path.cwd()), **{name: value for name, value in given.items() if value})
    report = judge(str(log), settings) if isinstance(log, str | PathLike) else report_on([log], settings)
    if exit_code(report):
        raise AssertionError(
            f"{log if isinstance(log, str | PathLike) else log.name} is not healthy:\n{render(report)}"
        )
    return report


@pytest.fixture
def lmdiag_check() -> Callable[..., Report]:
    """`assert_healthy` as a fixture."""
    return assert_healthy
