"""A watch on one growing log: when to look at it, what has changed, and when the watch is over."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from lmdiag.config import Settings
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import UnreadableLog
from lmdiag.finding import Finding, Key, Severity, fails, keys, severity_of
from lmdiag.judging.baseline import accepted_by
from lmdiag.judging.exit_codes import FAILED
from lmdiag.judging.judged import judge_run
from lmdiag.judging.policy import check_settings, chosen_rules, exit_code
from lmdiag.judging.reading import find
from lmdiag.judging.suppressions import complaints
from lmdiag.reports.phrases import WORDS, count, source_of
from lmdiag.reports.report import Report
from lmdiag.run import Run
from lmdiag.task_measures import progress
from lmdiag.watching.changes import Change, changes
from lmdiag.watching.process import has_ended
from lmdiag.watching.settled import Settled, beginning, earlier

SPARED = 20  # pause this many times the processor time of the last look: at most 5% of a core
OVER, BROKEN = ("completed", "stopped"), ("crashed", "killed")


@dataclass(frozen=True)
class Terms:
    """How to watch: the shortest time between two looks, the time without a record that is a stall, whether the first
    finding that fails the gate ends the watch, the lowest severity that is reported, and the process that writes the log."""

    every_s: float
    stall_s: float | None = None
    until_error: bool = False
    least: Severity = Severity.WARNING
    pid: int | None = None


class Followed(Protocol):
    """The runs of a log that grows: `poll` takes in what was added, `runs` tells what there is now; `changed` is when the
    last was written, in seconds since the epoch."""

    name: str

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more."""

    @property
    def changed(self) -> float: ...

    @property
    def gone(self) -> bool:
        """Whether it was there once, and is no more."""

    def poll(self) -> bool: ...

    def close_line(self) -> bool:
        """Take what is written of a last line for a line, and tell whether there is one."""

    def runs(self) -> list[Run]: ...


class Listener(Protocol):
    """Whoever is told what a watch sees."""

    def begins(self, name: str, run: Run) -> None:
        """Hear that a run is followed from now on."""

    def changed(self, change: Change) -> None:
        """Hear what has changed."""

    def warned(self, words: str) -> None:
        """Hear what is wrong with the settings."""


def logs_below(path: str) -> list[Path]:
    """Return the logs in a folder, the last written to first; raise UnreadableLog where there is none."""
    sources, problems = find([path])
    files = [source.path for source in sources if source.path is not None]
    if not files:
        raise (
            problems[0]
            if problems
            else UnreadableLog(f"there is no log in {path}", "name the file that the run will write")
        )
    return sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)


class Watch:
    """Follows one log; `turn` is called again and again, and returns the exit code when the watch is over."""

    def __init__(self, follower: Followed, settings: Settings, terms: Terms, listener: Listener) -> None:
        check_settings(settings)
        self.every = terms.every_s
        self._terms, self._settings = terms, settings
        self._accepted = accepted_by(settings)
        self._rules = chosen_rules(settings)
        self._follower, self._listener = follower, listener
        self._next_look = 0.0
        self._grown = False  # since the last look
        self._last_record: float | None = None
        self._trouble: UnreadableLog | None = None
        self._runs = 0
        self._begin_run()

    def _begin_run(self) -> None:
        self._diagnosis: Diagnosis | None = None
        self._settled = Settled()
        self._told: dict[Key, Finding] = {}
        self._verdict = self._status = ""
        self._points = 0
        self._records = 0  # at the last look

    def turn(self, now: float) -> int | None:
        """Take in what was added, look at it when it is time, and return the exit code when the watch is over."""
        process_ended = self._terms.pid is not None and has_ended(self._terms.pid)  # before the last of it is read
        age = max(time.time() - self._follower.changed, 0.0)
        if self._last_record is None:
            self._last_record = now - age
        self._grown = self._follower.poll() or self._grown
        over = self._follower.ended or process_ended
        if over or age >= self.every:
            self._grown = self._follower.close_line() or self._grown
        if self._grown and (over or now >= self._next_look):
            self._look(now)
        if self._terms.until_error and self._failed():
            return FAILED
        quiet = not self._grown and age >= self.every
        if over or (quiet and self._run_is_over()):
            return self._end(process_ended=process_ended)
        return (
            self._end(stalled=True) if self._terms.stall_s and now - self._last_record >= self._terms.stall_s else None
        )

    def _run_is_over(self) -> bool:
        """Tell whether the run has ended for good, as far as its log tells; a log that is gone tells no more."""
        if self._diagnosis and self._follower.gone and (self._status in BROKEN or self._diagnosis.run.complete):
            return True
        return self._status in OVER

    def _look(self, now: float) -> None:
        """Judge the log as it is now, and tell what has changed."""
        self._grown = False
        started, cold = time.process_time(), self._diagnosis is None  # the first look loads what it needs
        try:
            self._judge(self._follower.runs(), now)
        except UnreadableLog as error:
            if self._trouble is None and self._diagnosis is None:
                self._listener.changed(Change("waiting", 0, error.message))
            self._trouble = error
        spent = 0.0 if cold else time.process_time() - started
        self._next_look = now + max(self.every, SPARED * spent)

    def _judge(self, runs: list[Run], now: float) -> None:
        """Judge the last run that the log holds."""
        run, first_look = runs[-1], self._runs == 0
        if len(runs) != self._runs:
            self._runs = len(runs)
            self._begin_run()
            self._listener.begins(source_of(run), run)
        points = sum(len(series) for series in run.series.values())
        if points > self._points and not first_look:
            self._last_record = now
        self._points = points
        self._tell_findings(run, over=self._follower.ended)
        self._tell_status(run)

    def _tell_findings(self, run: Run, over: bool = False) -> None:
        shown = progress(run)
        records = len(shown[1]) if shown else run.last_step
        if shown and earlier(records) > self._records:  # it grew much since: what was there already then, stands
            before = beginning(run, int(shown[1].steps[earlier(records) - 1]))
            self._settled.after(earlier(records), self._diagnosed(before).findings)
        self._records = records
        found = self._diagnosed(run)
        settled = self._settled.after(records, found.findings)
        if over or run.status:  # nothing will be taken back any more
            settled = dict(zip(keys(found.findings), found.findings))
        told = {
            key: finding
            for key, finding in settled.items()
            if severity_of(finding) >= self._terms.least and finding.rule != "crashed-run"  # `_tell_status` says so
        }
        causes = {finding.rule for finding in told.values()}
        told = {key: f if f.consequence_of in causes else replace(f, consequence_of=None) for key, f in told.items()}
        self._diagnosis = replace(found, findings=tuple(settled.values()))
        for change in changes(self._told, told, run.last_step):
            self._listener.changed(change)
        self._told = told
        self._tell_verdict(run, self._diagnosis.verdict)

    def _tell_verdict(self, run: Run, verdict: str) -> None:
        if verdict != self._verdict:
            was = f"was {WORDS[self._verdict]}" if self._verdict else "so far"
            self._listener.changed(Change("verdict", run.last_step, was, verdict=verdict))
        self._verdict = verdict

    def _tell_status(self, run: Run) -> None:
        status = run.status
        if status in BROKEN and status != self._status:
            words = [event.message for event in run.events if event.kind in ("exception", "oom", "killed")][-1:]
            self._listener.changed(Change("crashed", run.last_step, ": ".join([f"the run {status}", *words])))
        elif self._status in BROKEN and status not in BROKEN:
            self._listener.changed(Change("resumed", run.last_step, "the run goes on"))
        self._status = status

    def _diagnosed(self, run: Run) -> Diagnosis:
        return judge_run(run, self._settings, self._accepted)[0]

    def _complain(self, run: Run) -> None:
        """Tell which suppressions have expired, or were not needed by the run that has ended."""
        found, suppressed = judge_run(run, self._settings, self._accepted)
        report = Report((found,), suppressed=tuple(suppressed))
        for complaint in complaints(self._settings.suppress, report, datetime.date.today()):
            self._listener.warned(complaint)

    def _failed(self) -> bool:
        failing = any(fails(severity_of(finding), self._settings.fail_on) for finding in self._told.values())
        return failing or self._status in BROKEN

    def _end(self, stalled: bool = False, process_ended: bool = False) -> int:
        """Tell how it ended, and return the exit code."""
        run = self._diagnosis.run if self._diagnosis else None
        step = run.last_step if run else 0
        if run:
            self._tell_findings(run, over=True)
        if stalled and not (run and run.complete):
            why = f": {self._trouble.message}" if self._trouble and run is None else ""
            self._listener.changed(
                Change("stalled", step, f"no new record for {count(round(self._terms.stall_s or 0), 'second')}{why}")
            )
            return FAILED
        if self._diagnosis is None:
            raise self._trouble or UnreadableLog("no data was received", "the run wrote nothing, or wrote elsewhere")
        self._complain(self._diagnosis.run)
        verdict = self._diagnosis.verdict
        unsaid = process_ended and not self._status and not self._diagnosis.run.complete
        how = "the process ended, and the log does not say how" if unsaid else "the run ended"
        self._listener.changed(Change("ended", step, f"{how}: {WORDS[verdict]}", verdict=verdict))
        code = exit_code(Report((self._diagnosis,), (), self._rules, self._settings.fail_on))
        return FAILED if self._status in BROKEN else code
