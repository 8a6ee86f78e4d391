"""`lmdiag compare`: is a run worse than the runs before it, or better, beyond noise?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmdiag.cli.options import COLOR, LOG_PATH, READING, names, reading_options, wants_color, width, with_options
from lmdiag.config import load
from lmdiag.errors import BadSetting, LmdiagError

HELP = """Tell whether the last run is worse or better than those before.

Worse is by more than noise and --tolerance, better by more than noise.

\b
Exit codes:
  0  better, or not worse
  1  worse
  2  usage, unreadable input, or runs that cannot be compared
  3  cannot tell: too little data, or too much noise
"""
EXIT_CODES = {"no-regression": 0, "regression": 1, "cannot-tell": 3}


@click.command(help=HELP)
@click.argument("paths", metavar="BASE... CANDIDATE", type=LOG_PATH, nargs=-1, required=True)
@click.option(
    "--tolerance",
    default="1%",
    show_default=True,
    metavar="SHARE",
    help="How much worse the candidate may be and still pass.",
)
@click.option(
    "--metric",
    metavar="NAMES",
    multiple=True,
    help="Metrics to compare; default: training and evaluation loss, of a policy its rewards, of preferences the margin, too.",
)
@click.option("--format", "-f", "shape", type=click.Choice(["text", "json"]), default="text", help="What to print.")
@with_options(READING, COLOR)
def compare(paths: tuple[str, ...], tolerance: str, metric: tuple[str, ...], shape: str, **options: Any) -> int:
    from lmdiag.cli.output import print_result
    from lmdiag.compare import compare as compare_runs
    from lmdiag.compare import verdict_of
    from lmdiag.reports.comparison import as_json, as_text
    from lmdiag.reports.terminal import Style

    if len(paths) < 2:
        raise click.UsageError("give at least one baseline and the candidate", click.get_current_context())
    share = parsed_share(tolerance)
    *baselines, candidate = (run for path in paths for run in _runs_at(path, options, path is paths[-1]))
    found = compare_runs(baselines, candidate, tolerance=share, metrics=names(metric))
    if shape == "json":
        print_result(as_json(found, baselines, candidate))
    else:
        print_result(as_text(found, baselines, candidate, Style(width(), wants_color(options["color"]))))
    return EXIT_CODES[verdict_of(found)]


def _runs_at(path: str, options: dict[str, Any], is_candidate: bool) -> list[Any]:
    """Return the runs at a path; the candidate is one run, a baseline may be a folder of many."""
    from lmdiag.cli.progress import Progress
    from lmdiag.judging.judged import unreadable
    from lmdiag.judging.reading import read_runs

    with Progress("logs read") as progress:
        runs, problems = read_runs([path], reading_options(options), progress.tell, load(Path.cwd()))
    if problems:
        problem = unreadable(*problems[0])
        raise LmdiagError(f"{problem.source}: {problem.error}", problem.hint)
    if is_candidate and len(runs) > 1:
        raise LmdiagError(f"{path} holds {len(runs)} runs, but the candidate is one run", "name the file of one run")
    return runs


def parsed_share(text: str) -> float:
    """Return a share given in percent or as a number.

    >>> parsed_share("1.5%"), parsed_share("0.02")
    (0.015, 0.02)
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise BadSetting(f"--tolerance cannot be {text!r}", "give a share such as 1% or 0.01")
    return value
