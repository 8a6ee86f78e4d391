"""The answers to what an agent asks, as plain data; they reach no log outside the places that were named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from lmdiag.config import load
from lmdiag.errors import BadSetting, LmdiagError, nearest
from lmdiag.finding import Rule
from lmdiag.judging.judged import TEXT, unreadable
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import groups_at, read_runs
from lmdiag.reports.entries import worst_first
from lmdiag.reports.json import document
from lmdiag.run import Run
from lmdiag.sources.addresses import without_secrets
from lmdiag.stats.extremes import extreme_rows
from lmdiag.strict_json import plain

MOST_RUNS, MOST_LOGS, MOST_POINTS = 50, 1000, 2000  # of one answer: who asks has a context to fill


@dataclass(frozen=True)
class Places:
    """The files, folders and addresses that may be read."""

    named: tuple[str, ...]

    def allowed(self, path: str) -> str:
        """Return a path to read; raise LmdiagError for one outside, be it by `..` or by a link.

        A relative path is one of the working directory, else one of a named folder.
        """
        if "://" in path:
            return self._allowed_address(path)
        below = [os.path.join(place, path) for place in self.named if "://" not in place]
        # no pattern: it could match a link; and not `-`, which is what the client writes
        asked = next((p for p in [path, *below] if p != "-" and os.path.exists(p) and self._holds(p)), "")
        if not asked:
            raise self._outside(path)
        if os.path.isdir(asked):
            self._refuse_links(asked)
        return asked

    def _allowed_address(self, asked: str) -> str:
        """Return an address below a named one, whose secrets it need not have."""
        for place in (place for place in self.named if "://" in place):
            for known in (place, without_secrets(place)):
                rest = asked[len(known.rstrip("/")) :]
                if asked == known or (asked.startswith(known.rstrip("/")) and rest.startswith("/") and _is_plain(rest)):
                    return place if asked == known else place.rstrip("/") + rest
        raise self._outside(asked)

    def _holds(self, path: str) -> bool:
        real = Path(path).resolve()
        roots = [Path(place).resolve() for place in self.named if "://" not in place]
        return any(real == root or root in real.parents for root in roots)

    def _refuse_links(self, folder: str) -> None:
        for below, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = os.path.join(below, name)
                if os.path.islink(path) and not self._holds(path):
                    raise LmdiagError(
                        f"{path} is a link to another place", "only the places named at the start are read"
                    )

    def _outside(self, path: str) -> LmdiagError:
        named = ", ".join(map(without_secrets, self.named))
        return LmdiagError(f"there is no {without_secrets(path)} below {named}", "ask list_logs for the logs there")


def _is_plain(path: str) -> bool:
    """Tell whether a path of an address leads down only: no dots, no query, nor such a thing behind percent signs.

    >>> _is_plain("/a/b.jsonl"), _is_plain("/a/%2e%2e/b"), _is_plain("/a/..?x")
    (True, False, False)
    """
    while (plain := unquote(path)) != path:
        path = plain
    return not set("?#\\") & set(path) and not {".", ".."} & set(path.split("/"))


def logs(places: Places) -> dict[str, Any]:
    """Return the logs that the places hold, and what was passed over."""
    groups, problems = groups_at([places.allowed(place) for place in places.named], load(Path.cwd()))
    names = [without_secrets(source.name) for group in groups for source in group.sources]
    return {
        "logs": names[:MOST_LOGS],
        "more": max(len(names) - MOST_LOGS, 0),
        "passed_over": [{"source": name, "why": why} for group in groups for name, why in group.passed_over][
            :MOST_LOGS
        ],
        "problems": [_problem(*problem) for problem in problems],
    }


def check(places: Places, paths: Sequence[str], full: bool = False) -> dict[str, Any]:
    """Return the report on logs, the worst runs first; what was read of each line and column only if `full`."""
    if not paths:
        raise BadSetting("no path was given", "ask list_logs for the logs there are")
    report = judge([places.allowed(path) for path in paths], keep=TEXT)
    ordered = worst_first(report.diagnoses)
    found = document(replace(report, diagnoses=tuple(ordered[:MOST_RUNS])))
    found |= {"verdict": report.verdict, "more_runs": max(len(ordered) - MOST_RUNS, 0)}
    for run in found["runs"] if not full else ():
        del run["account"]
        run["not_checked"] = len(run["not_checked"])
    return found


def explain(name: str, rules: Sequence[Rule], entry: Any) -> dict[str, Any]:
    """Return what a rule looks for, how it decides and what to try."""
    found = {rule.name: rule for rule in rules}
    if name not in found:
        raise BadSetting(f"there is no rule {name!r}", nearest(name, list(found)))
    return dict(entry(found[name]))


def compare(places: Places, baselines: Sequence[str], candidate: str, tolerance: float) -> dict[str, Any]:
    """Return whether a run is worse or better than others, beyond noise."""
    import json

    from lmdiag.compare import compare as compare_runs
    from lmdiag.reports.comparison import as_json

    if not baselines or not 0 <= tolerance < 1:
        raise BadSetting("give at least one baseline, and a tolerance from 0 to below 1", "such as 0.01")
    before = [run for path in baselines for run in _runs(places, path)]
    (last,) = _one(places, candidate)
    found = compare_runs(before, last, tolerance=tolerance, metrics=())
    return dict(json.loads(as_json(found, before, last)))


def curve(
    places: Places, path: str, metric: str, points: int, first_step: int | None, last_step: int | None
) -> dict[str, Any]:
    """Return some values of a metric: both ends, and the lowest and the highest of each stretch, so that no spike is lost."""
    (run,) = _one(places, path)
    if metric not in run:
        raise LmdiagError(f"{path} has no metric {metric!r}", nearest(metric, list(run)) or f"it has {', '.join(run)}")
    series = run[metric]
    chosen = np.ones(len(series), bool)
    if first_step is not None:
        chosen &= series.steps >= first_step
    if last_step is not None:
        chosen &= series.steps <= last_step
    part = series.at(np.flatnonzero(chosen))
    wanted = min(max(points, 2), MOST_POINTS)
    rows = extreme_rows(np.where(np.isfinite(part.values), part.values, np.inf), max(wanted // 2 - 1, 1))
    return {
        "run": run.name,
        "metric": metric,
        "metrics": list(run),
        "counts": run.step_kind,
        "values": len(part),
        "steps": part.steps[rows].tolist(),
        "curve": plain(part.values[rows].tolist()),
    }


def _one(places: Places, path: str) -> list[Run]:
    runs = _runs(places, path)
    if len(runs) > 1:
        raise LmdiagError(f"{path} holds {len(runs)} runs", f"name the file of one: {runs[0].source}")
    return runs


def _runs(places: Places, path: str) -> list[Run]:
    runs, problems = read_runs([places.allowed(path)], settings=load(Path.cwd()))
    if problems and not runs:
        problem = _problem(*problems[0])
        raise LmdiagError(f"{problem['source']}: {problem['error']}", problem["hint"])
    return runs


def _problem(name: str, error: LmdiagError) -> dict[str, str]:
    found = unreadable(name, error)
    return {"source": found.source, "error": found.error, "hint": found.hint}
