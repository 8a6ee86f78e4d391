"""A watch on one growing log: when to look at it, and when the watch is over."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmdiag.cli import say
from lmdiag.cli.accepted import without_accepted
from lmdiag.cli.diagnosing import accepted_by, checked_settings
from lmdiag.cli.gate import FAILED, chosen_rules, exit_code, judge
from lmdiag.cli.reading import reading_options
from lmdiag.cli.telling import Teller
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import UnreadableLog
from lmdiag.finding import Finding, Severity
from lmdiag.follow import Follower
from lmdiag.readers import find
from lmdiag.reports.news import News, changes
from lmdiag.reports.places import relative_path
from lmdiag.reports.report import Report, fails, severity_of
from lmdiag.reports.wording import WORDS, count, source_of
from lmdiag.run import Run
from lmdiag.standing import Key, Standing, beginning, earlier, keyed

SPARED = 20  # times as long as a look took, there is no other: at most a twentieth of one processor
OVER, BROKEN = ("completed", "stopped"), ("crashed", "killed")


def log_at(path: str) -> str:
    """Return the log to follow: the path itself, or of a folder the log in it that was written to last."""
    if "://" in path:
        raise UnreadableLog(f"{path} is not on this machine", "watch follows files of this machine and standard input.")
    if path == "-" or not Path(path).is_dir():
        if path != "-" and not Path(path).exists():
            say(f"waiting for {path}, which does not exist yet")
        return path
    sources, problems = find([path])
    files = [source.path for source in sources if source.path is not None]
    if not files:
        raise problems[0] if problems else UnreadableLog(f"there is no log in {path}", "name the file to come.")
    latest = max(files, key=lambda file: file.stat().st_mtime)
    if len(files) > 1:
        say(f"{path} holds {len(files)} logs; following {latest}, the last written to")
    return str(latest)


class Watch:
    """Follows one log; `turn` is called again and again, and returns the exit code when the watch is over."""

    def __init__(self, path: str, every: float, stall: float | None, options: Mapping[str, Any]) -> None:
        self.every, self._stall = every, stall
        self._settings = checked_settings(options)
        self._accepted = accepted_by(self._settings, datetime.date.today())
        self._rules = chosen_rules(self._settings)
        self._until_error = bool(options["until_error"])
        fail_on = self._settings.fail_on
        self._least = Severity.INFO if options["verbose"] or fail_on == "info" else Severity.WARNING
        self._follower = Follower(path, reading_options(options))
        self._teller = Teller(self._follower.name, fail_on, options)
        self._next_look = 0.0
        self._grown = False  # since the last look
        self._last_record: float | None = None
        self._trouble: UnreadableLog | None = None
        self._runs = 0
        self._begin_run()

    def _begin_run(self) -> None:
        self._diagnosis: Diagnosis | None = None
        self._standing = Standing()
        self._told: dict[Key, Finding] = {}
        self._verdict = self._status = ""
        self._points = 0
        self._records = 0  # at the last look

    def turn(self, now: float) -> int | None:
        """Take in what was added, look at it when it is time, and return the exit code when the watch is over."""
        age = max(time.time() - self._follower.changed, 0.0)
        if self._last_record is None:
            self._last_record = now - age
        self._grown = self._follower.poll() or self._grown
        if self._grown and (self._follower.ended or now >= self._next_look):
            self._look(now)
        if self._until_error and self._failed():
            return FAILED
        quiet = not self._grown and age >= self.every
        if self._follower.ended or (quiet and self._status in OVER):
            return self._end()
        return self._end(stalled=True) if self._stall and now - self._last_record >= self._stall else None

    def _look(self, now: float) -> None:
        """Judge the log as it is now, and tell what is new."""
        self._grown = False
        started = time.perf_counter()
        try:
            self._judge(self._follower.runs(), now)
        except UnreadableLog as error:
            if self._trouble is None and self._diagnosis is None:
                self._teller.tell(News("waiting", 0, error.message))
            self._trouble = error
        self._next_look = now + max(self.every, SPARED * (time.perf_counter() - started))

    def _judge(self, runs: list[Run], now: float) -> None:
        """Judge the last run that the log holds."""
        run, first_look = runs[-1], self._runs == 0
        if len(runs) != self._runs:
            self._runs = len(runs)
            self._begin_run()
            self._teller.begin(source_of(run), run)
        points = sum(len(series) for series in run.series.values())
        if points > self._points and not first_look:
            self._last_record = now
        self._points = points
        self._tell_findings(run, over=self._follower.ended)
        self._tell_status(run)

    def _tell_findings(self, run: Run, over: bool = False) -> None:
        records = len(run.curve[1]) if run.curve else run.last_step
        if run.curve and earlier(records) > self._records:  # it grew much since: what was there already then, stands
            before = beginning(run, int(run.curve[1].steps[earlier(records) - 1]))
            self._standing.after(earlier(records), self._diagnosed(before).findings)
        self._records = records
        found = self._diagnosed(run)
        standing = self._standing.after(records, found.findings)
        if over or _status(run):  # nothing will be taken back any more
            standing = dict(keyed(found.findings))
        told = {key: finding for key, finding in standing.items() if severity_of(finding) >= self._least}
        causes = {finding.rule for finding in told.values()}
        told = {key: f if f.consequence_of in causes else replace(f, consequence_of=None) for key, f in told.items()}
        self._diagnosis = replace(found, findings=tuple(standing.values()))
        for news in changes(self._told, told, run.last_step):
            self._teller.tell(news)
        self._told = told
        self._tell_verdict(run, self._diagnosis.verdict)

    def _tell_verdict(self, run: Run, verdict: str) -> None:
        if verdict != self._verdict:
            was = f"was {WORDS[self._verdict]}" if self._verdict else "so far"
            self._teller.tell(News("verdict", run.last_step, was, verdict=verdict))
        self._verdict = verdict

    def _tell_status(self, run: Run) -> None:
        status = _status(run)
        if status in BROKEN and status != self._status:
            words = [event.message for event in run.events if event.kind in ("exception", "oom", "killed")][-1:]
            self._teller.tell(News("crashed", run.last_step, ": ".join([f"the run {status}", *words])))
        elif self._status in BROKEN and status not in BROKEN:
            self._teller.tell(News("resumed", run.last_step, "the run goes on"))
        self._status = status

    def _diagnosed(self, run: Run) -> Diagnosis:
        diagnosis = judge(run, self._settings.for_path(relative_path(run.source)))
        return without_accepted(diagnosis, self._accepted)[0]

    def _failed(self) -> bool:
        failing = any(fails(severity_of(finding), self._settings.fail_on) for finding in self._told.values())
        return failing or self._status in BROKEN

    def _end(self, stalled: bool = False) -> int:
        """Tell how it ended, and return the exit code."""
        run = self._diagnosis.run if self._diagnosis else None
        step = run.last_step if run else 0
        if stalled and run:
            self._tell_findings(run, over=True)
        if stalled and not (run and run.complete):
            why = f": {self._trouble.message}" if self._trouble and run is None else ""
            self._teller.tell(
                News("stalled", step, f"no new record for {count(round(self._stall or 0), 'second')}{why}")
            )
            return FAILED
        if self._diagnosis is None:
            raise self._trouble or UnreadableLog("nothing came", "the run wrote nothing, or wrote elsewhere")
        verdict = self._diagnosis.verdict
        self._teller.tell(News("ended", step, f"the run ended: {WORDS[verdict]}", verdict=verdict))
        code = exit_code(Report((self._diagnosis,), (), self._rules, self._settings.fail_on))
        return FAILED if self._status in BROKEN else code


def _status(run: Run) -> str:
    """Return how the run ended (`completed`, `stopped`, `crashed`, `killed`), "" while it goes on."""
    for event in reversed(run.events):
        if event.kind in ("end", "restart"):
            return str(event.fields.get("status", "")) if event.kind == "end" else ""
    return ""
