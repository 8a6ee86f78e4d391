"""A pytest plugin: `assert_healthy(log)`, and the fixture `lmdiag_check` for tests that train.

    def test_training_is_healthy(tmp_path, lmdiag_check):
        train(log=tmp_path / "run.jsonl")
        lmdiag_check(tmp_path / "run.jsonl")

pytest loads it by itself where lmdiag is installed; it imports the rest of lmdiag when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

if TYPE_CHECKING:
    from lmdiag.reports.report import Report
    from lmdiag.run import Run


def assert_healthy(
    log: str | PathLike[str] | Run | Iterable[str | PathLike[str] | Run],
    *,
    fail_on: str = "",
    select: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
) -> Report:
    """Fail unless every run of a log is free of findings at or above `fail_on`, and at least one could be judged.

    `log` is a file, a folder, a glob, a Run, or a list of files, folders and globs, or of Runs. The settings of the project hold, as for `lmdiag check`; `fail_on`, `select`
    and `ignore` (names of rules and families) replace single ones. Returns the report. The message of the failure lists the
    findings, one a line.
    """
    __tracebackhide__ = True
    from lmdiag.config import load
    from lmdiag.judging.logs import judge, report_on
    from lmdiag.judging.policy import exit_code
    from lmdiag.reports.concise import render
    from lmdiag.run import Run

    given: dict[str, Any] = {"fail_on": fail_on, "select": _names(select), "ignore": _names(ignore)}
    settings = replace(load(Path.cwd()), **{name: value for name, value in given.items() if value})
    logs: list[Any] = list(log) if isinstance(log, Iterable) and not isinstance(log, str | Run) else [log]
    in_memory = bool(logs) and all(isinstance(one, Run) for one in logs)
    report = report_on(logs, settings) if in_memory else judge(logs, settings)
    if exit_code(report):
        named = ", ".join(one.name if isinstance(one, Run) else str(one) for one in logs)
        raise AssertionError(f"{named} is not healthy:\n{render(report)}")
    return report


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(filter(None, [given] if isinstance(given, str) else given))


@pytest.fixture
def lmdiag_check() -> Callable[..., Report]:
    """`assert_healthy` as a fixture."""
    return assert_healthy
