"""`lmdiag watch`: follow a log while it grows, and say what changes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from lmdiag.cli.options import (
    COLOR,
    CONFIGURING,
    FAILING,
    LOG_PATH,
    READING,
    reading_options,
    settings_from,
    with_options,
)
from lmdiag.errors import BadSetting

if TYPE_CHECKING:
    from lmdiag.config import Settings
    from lmdiag.readers.options import ReadOptions
    from lmdiag.watching.watch import Followed, Watch

HELP = """Follow a log while it grows, and say what changes.

That is a new finding, one that is gone, or the verdict.

PATH is a file, which need not exist yet, a folder that holds the log, - for standard input, or the address of a run on the server
of a tracker, such as mlflow://HOST:PORT/EXPERIMENT, which is asked for new values every TIME of --every. Watching ends when the log says
that the run is over, when the process of --pid has ended, or on Ctrl-C. JSON Lines and printed logs are read line by line, each
line once; CSV, JSON documents, TensorBoard and other files and folders are read again when they have grown, using at most 5% of a
core.

\b
Exit codes:
  0  the run ended without a finding at or above --fail-on
  1  at least one such finding, or --stall
  2  usage, configuration, unreadable input, or Ctrl-C
  3  the run ended, and nothing could be judged
"""
POLL_S = 0.5
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@click.command(help=HELP)
@click.argument("path", metavar="PATH", type=LOG_PATH)
@click.option(
    "--every",
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Shortest time between two checks; new lines are read at once.",
)
@click.option("--until-error", is_flag=True, help="Exit with code 1 at the first finding at or above --fail-on.")
@click.option("--stall", metavar="TIME", help="Exit with code 1 when no record has come for this long, such as 30m.")
@click.option(
    "--exec",
    "command",
    metavar="CMD",
    help="Shell command to run for each finding at or above --fail-on, crash or stall.",
)
@click.option(
    "--notify",
    metavar="URL",
    multiple=True,
    envvar="LMDIAG_NOTIFY",
    help="Send a notice of the same to this service, as apprise names it; may be repeated, and set by LMDIAG_NOTIFY.",
)
@click.option("--dry-run", is_flag=True, help="Say what --exec and --notify would do, and do neither.")
@click.option("--pid", metavar="PID", type=click.IntRange(min=1), help="Exit when this process has ended.")
@click.option("--format", "-f", "shape", type=click.Choice(["text", "jsonl"]), default="text", help="What to print.")
@with_options(CONFIGURING, FAILING, READING)
@click.option("--verbose", "-v", is_flag=True, help="Report findings of severity info, too.")
@with_options(COLOR)
def watch(path: str, every: str, stall: str | None, **options: Any) -> int:
    from lmdiag.cli.streams import ignore_closed_output
    from lmdiag.judging.exit_codes import TROUBLE

    stall_s = seconds(stall, "--stall") if stall else None
    watching = watch_on(path, seconds(every, "--every"), stall_s, options)
    try:
        while (code := watching.turn(time.monotonic())) is None:
            time.sleep(min(POLL_S, watching.every))
    except BrokenPipeError:  # nobody reads any more
        ignore_closed_output()
        return TROUBLE
    return code


def watch_on(path: str, every_s: float, stall_s: float | None, options: Mapping[str, Any]) -> Watch:
    """Return the watch on a log that the options of the command ask for."""
    from lmdiag.cli.watching import Printer
    from lmdiag.finding import Severity
    from lmdiag.watching.watch import Terms, Watch

    settings = settings_from(options)
    least = Severity.INFO if options["verbose"] or settings.fail_on == "info" else Severity.WARNING
    if options["pid"] and on_windows():
        raise BadSetting("--pid: Windows does not tell whether a process runs", "leave it out, and give --stall")
    terms = Terms(every_s, stall_s, bool(options["until_error"]), least, options["pid"])
    follower = _follower(path, every_s, settings, reading_options(options))
    return Watch(follower, settings, terms, Printer(follower.name, settings.fail_on, options))


def _follower(path: str, every_s: float, settings: Settings, given: ReadOptions) -> Followed:
    """Return what follows a log: a file of this machine, or a run on the server of a tracker."""
    from lmdiag.cli.watching import log_at, run_at
    from lmdiag.judging.reading import options_for
    from lmdiag.sources.addresses import is_tracked
    from lmdiag.sources.source import Source

    if is_tracked(path):
        from lmdiag.watching.tracked import TrackedFollower

        source = run_at(path)
        return TrackedFollower(source, options_for(source, settings, given), every_s)
    from lmdiag.watching.follower import Follower

    log = log_at(path)
    return Follower(log, options_for(Source(log), settings, given))


def on_windows() -> bool:
    """Tell whether this is Windows, where asking after a process would end it."""
    return os.name == "nt"


def seconds(text: str, option: str) -> float:
    """Return a time given with its unit.

    >>> seconds("30m", "--stall"), seconds("0.5", "--every"), seconds("1h", "--stall")
    (1800.0, 0.5, 3600.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if found is None or not float(found[1]):
        raise BadSetting(f"{option} cannot be {text!r}", "give a time such as 30s, 5m or 2h")
    return float(found[1]) * UNITS[found[2]]
