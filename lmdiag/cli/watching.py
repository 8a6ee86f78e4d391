"""What `lmdiag watch` does at its edges: choose the log, print the changes, and call a command of the user."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

from lmdiag.cli.notices import Notices
from lmdiag.cli.options import wants_color, width
from lmdiag.cli.output import print_line
from lmdiag.cli.streams import say
from lmdiag.errors import UnreadableLog
from lmdiag.finding import fails, severity_of
from lmdiag.reports.phrases import count, visible
from lmdiag.reports.terminal import Style
from lmdiag.run import Run
from lmdiag.sources.addresses import is_url, without_secrets
from lmdiag.sources.source import Source
from lmdiag.task_measures import progress
from lmdiag.watching.changes import Change, as_json, as_text
from lmdiag.watching.watch import logs_below

LONGEST_COMMAND_S = 60


def run_at(address: str) -> Source:
    """Return the run to follow on a tracker's server: the one that was begun last of those that the address names."""
    from lmdiag.trackers import runs_at

    latest, *others = islice(runs_at(address), 2)
    if others:
        say(f"{without_secrets(address)} holds several runs; following {visible(latest.name)}, the last begun")
    return latest


def log_at(path: str) -> str:
    """Return the log to follow: the path itself, or of a folder the log in it that was written to last."""
    if is_url(path):
        hint = "watch follows files of this machine, standard input, and runs on the servers of trackers"
        raise UnreadableLog(f"{without_secrets(path)} is not on this machine", hint)
    if path == "-" or not os.path.isdir(path):
        if path != "-" and not os.path.exists(path):
            if "*" in path:
                hint = "watch follows one log: name it, or the folder that holds it"
                raise UnreadableLog(f"{path} is a pattern", hint)
            say(f"waiting for {path}, which does not exist yet")
        return path
    latest, *others = logs_below(path)
    if others:
        say(f"{path} holds {len(others) + 1} logs; following {latest}, the last written to")
    return str(latest)


class Printer:
    """Reports the changes of one watched log."""

    def __init__(self, log: str, fail_on: str, options: Mapping[str, Any]) -> None:
        self._log, self._fail_on = log, fail_on
        self._command: str | None = options["command"]
        self._dry: bool = options["dry_run"]
        self._notices = Notices(options["notify"], self._dry)
        self._as_json = options["shape"] == "jsonl"
        self._style = Style(width(), wants_color(options["color"]))
        self._run = Run("", {})

    def begins(self, name: str, run: Run) -> None:
        """Print that a run is followed from now on."""
        self._run = run
        shown = progress(run)
        points = count(len(shown[1]), f"value of {shown[0]}", f"values of {shown[0]}") if shown else ""
        self.changed(Change("following", run.last_step, ", ".join(filter(None, [name, run.format, points]))))

    def changed(self, change: Change) -> None:
        """Print a change, and run the command and send the notices for one that fails the gate."""
        if self._as_json:
            print_line(as_json(change, time.strftime("%Y-%m-%dT%H:%M:%S%z"), self._run.name))
        else:
            print_line(as_text(change, time.strftime("%H:%M:%S"), self._style, self._run))
        if not self._calls(change):
            return
        self._notices.send(change, self._run)
        if self._command and self._dry:
            say(f"--dry-run: would run: {self._command}")
        elif self._command:
            self._call(self._command, change)

    def warned(self, words: str) -> None:
        """Print what is wrong with the settings."""
        say(f"warning: {words}")

    def _calls(self, change: Change) -> bool:
        if change.finding is None:
            return change.what in ("crashed", "stalled")
        return change.what in ("new", "graver") and fails(severity_of(change.finding), self._fail_on)

    def _call(self, command: str, change: Change) -> None:
        """Run the command; what a log says reaches it in variables, never as text of the command."""
        facts = {
            "WHAT": change.what,
            "LOG": self._log,
            "STEP": str(change.step),
            "MESSAGE": change.message.replace("\0", ""),
        }
        facts["RULE"] = change.finding.rule if change.finding else ""
        variables = os.environ | {f"LMDIAG_{name}": value for name, value in facts.items()}
        try:
            done = subprocess.run(command, shell=True, env=variables, stdout=sys.stderr, timeout=LONGEST_COMMAND_S)
        except subprocess.TimeoutExpired:
            say(f"warning: --exec took longer than {LONGEST_COMMAND_S} s and was ended")
        else:
            if done.returncode:
                say(f"warning: --exec ended with exit code {done.returncode}")
