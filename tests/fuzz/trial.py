"""What must hold for any log, however damaged: checked for one, with the reasons why it does not."""

import contextlib
import io
import json
import math
import time
import warnings
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from lmdiag.cli import main
from lmdiag.diagnose import FAILED, diagnose
from lmdiag.errors import LmdiagError
from lmdiag.gather import runs_in
from lmdiag.readers import read_source, reader_of
from lmdiag.readers.json import lines as jsonl
from lmdiag.reports import FORMATS, render
from lmdiag.reports.report import Report
from lmdiag.sources.pasted import as_printed
from lmdiag.sources.source import Source
from lmdiag.sources.text import text_of

PATIENCE_S = 10.0
LINES = tuple(
    f"lmdiag.readers.{name}"
    for name in ("json.lines", "lmdiag_log", "csv", "lightning", "keras.csv", "wandb.export", "text")
)


def faults(name: str, content: bytes) -> Iterator[str]:
    """Yield what is wrong with how a log is read and judged; nothing for one that is refused with a clear error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what a library warns of would stand between the lines of the report
        yield from _faults(name, content)


def _faults(name: str, content: bytes) -> Iterator[str]:
    started = time.process_time()
    source = Source(name, content=content)
    try:
        logs = read_source(source)
        runs = runs_in(logs, name)
    except LmdiagError as error:
        if "reading it failed" in error.message:
            yield f"not foreseen: {error.message}"
        runs, logs = [], []
    except Exception as error:  # the point of the trial
        yield f"{type(error).__name__} while reading: {error}"
        return
    if logs and reader_of(source) is jsonl:
        yield from _lost_lines(source, logs)
    if logs and runs:
        yield from _bad_accounts(source, logs, runs)
    for run in runs:
        yield from _bad_series(run)
        yield from _bad_diagnosis(run)
    if time.process_time() - started > PATIENCE_S:
        yield f"it took {time.process_time() - started:.0f} s"


def _bad_accounts(source, logs, runs) -> Iterator[str]:
    """Every line of a log of lines is a record, blank, text or lost, and every column of its runs is in the account, once."""
    if any("as if it had been pasted" in note for log in logs for note in log.notes):
        source, _ = as_printed(source)
    of_lines = reader_of(source).__name__.startswith(LINES)
    text = "".join(text_of(source)) if ".text" in reader_of(source).__name__ else source.text
    lines = len(text.removesuffix("\n").split("\n")) if text else 0
    names = set().union(*({*log.columns, *log.texts} for log in logs))
    for run in runs:
        account = run.account
        if of_lines and account.lines != lines:
            yield f"{account.lines} of {lines} lines were counted"
        if not account.reconciled:
            yield f"lines are missing: {account}"
        listed = [column.name for column in account.columns]
        if len(set(listed)) < len(listed):
            yield f"a column is in the account twice: {listed}"
        if len(logs) == 1 and not names <= set(listed):
            yield f"not in the account: {names - set(listed)}"


def _lost_lines(source, logs) -> Iterator[str]:
    """Every line of JSON Lines that is not blank is a record, or counted as skipped."""
    filled = {n for n, line in enumerate(source.text.split("\n"), 1) if line and not line.isspace()}
    read = {int(line) for log in logs for line in (log.lines if log.lines is not None else ())}
    skipped = [s for log in logs for s in log.skipped]
    lost = filled - read - {s.line for s in skipped}
    if len(lost) > sum(s.count for s in skipped if not s.line):
        yield f"lines without record or count: {sorted(lost)[:5]}"


def _bad_series(run) -> Iterator[str]:
    for metric, series in run.series.items():
        if len(series.steps) != len(series.values) or not len(series):
            yield f"{metric} has {len(series.steps)} steps and {len(series.values)} values"
        elif (np.diff(series.steps) <= 0).any():
            yield f"the steps of {metric} do not ascend"


def _bad_diagnosis(run) -> Iterator[str]:
    try:
        diagnosis = diagnose(run)
        written = {name: render(Report((diagnosis,)), name) for name in FORMATS if name != "html"}
        json.loads(written["json"], parse_constant=_refused)
        json.loads(written["sarif"], parse_constant=_refused)
        ElementTree.fromstring(written["junit"])
    except Exception as error:  # the point of the trial
        yield f"{type(error).__name__} while judging: {error}"
        return
    for refusal in diagnosis.not_checked:
        if refusal.why.startswith(FAILED):
            yield f"{refusal.rule}: {refusal.why}"
    for finding in diagnosis.findings:
        if not finding.message or not finding.first_step <= finding.last_step:
            yield f"{finding.rule} found steps {finding.first_step} to {finding.last_step}: {finding.message!r}"
        if any(isinstance(v, float) and math.isnan(v) for v in finding.evidence.values()):
            yield f"{finding.rule} gives NaN for evidence: {dict(finding.evidence)}"


def _refused(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def command_faults(arguments: list[str]) -> Iterator[str]:
    """Yield what is wrong with how the command line ends."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except BaseException as error:  # nothing may leave it
            yield f"{type(error).__name__} left the command line: {error}"
            return
    if code not in (0, 1, 2, 3):
        yield f"exit code {code}"
    if "internal error:" in err.getvalue() + out.getvalue() or "Traceback" in err.getvalue():
        yield f"{arguments}: {err.getvalue()[-300:]} {[line for line in out.getvalue().splitlines() if 'internal' in line]}"
