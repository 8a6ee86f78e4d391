"""How a watch tells news: a line on standard output, and a command of the user for what is bad."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from lmdiag.cli import say
from lmdiag.cli.options import wants_color, width
from lmdiag.cli.output import print_line
from lmdiag.reports.look import Style
from lmdiag.reports.news import News, as_json, as_text
from lmdiag.reports.report import fails, severity_of
from lmdiag.reports.wording import count
from lmdiag.run import Run

LONGEST_COMMAND_S = 60


class Teller:
    """Tells the news of one log."""

    def __init__(self, log: str, fail_on: str, options: Mapping[str, Any]) -> None:
        self._log, self._fail_on = log, fail_on
        self._command: str | None = options["command"]
        self._as_json = options["shape"] == "jsonl"
        self._style = Style(width(), wants_color(options["color"]))
        self._run = ""

    def begin(self, name: str, run: Run) -> None:
        """Tell that a run is followed from now on."""
        self._run = run.name
        points = count(len(run.curve[1]), f"value of {run.curve[0]}", f"values of {run.curve[0]}") if run.curve else ""
        self.tell(News("following", run.last_step, ", ".join(filter(None, [name, run.format, points]))))

    def tell(self, news: News) -> None:
        """Print news, and run the command for what fails the gate."""
        if self._as_json:
            print_line(as_json(news, time.strftime("%Y-%m-%dT%H:%M:%S%z"), self._run))
        else:
            print_line(as_text(news, time.strftime("%H:%M:%S"), self._style))
        if self._command and self._calls(news):
            self._call(self._command, news)

    def _calls(self, news: News) -> bool:
        if news.finding is None:
            return news.what in ("crashed", "stalled")
        return news.what in ("new", "graver") and fails(severity_of(news.finding), self._fail_on)

    def _call(self, command: str, news: News) -> None:
        """Run the command; what a log says reaches it in variables, never as text of the command."""
        facts = {"WHAT": news.what, "LOG": self._log, "STEP": str(news.step), "MESSAGE": news.message.replace("\0", "")}
        facts["RULE"] = news.finding.rule if news.finding else ""
        variables = os.environ | {f"LMDIAG_{name}": value for name, value in facts.items()}
        try:
            done = subprocess.run(command, shell=True, env=variables, stdout=sys.stderr, timeout=LONGEST_COMMAND_S)
        except subprocess.TimeoutExpired:
            say(f"warning: --exec took longer than {LONGEST_COMMAND_S} s and was ended")
        else:
            if done.returncode:
                say(f"warning: --exec ended with exit code {done.returncode}")
