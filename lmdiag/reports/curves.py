"""The curves of a run as rows of text over the same steps: loss, evaluation, and the metrics of the findings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from lmdiag.diagnose import Diagnosis
from lmdiag.reports.phrases import number, visible
from lmdiag.reports.sparkline import columns, sparkline
from lmdiag.run import Run, Series
from lmdiag.task_measures import DRAWN

MOST_CURVES = 4
CLOCKS = ("time", "elapsed_s")  # a straight line that shows nothing
FEWEST_POINTS = 3


class CurveRow(Struct, frozen=True):
    """One curve in a line of text: its name, first and last value, and the bars between."""

    metric: str
    first: str
    bars: str
    last: str


def curve_rows(diagnosis: Diagnosis, width: int) -> list[CurveRow]:
    """Return the curves worth a line, `width` characters wide, over the same steps."""
    run = diagnosis.run
    chosen = list(dict(_worth_showing(diagnosis)).items())[:MOST_CURVES]
    return [
        CurveRow(
            metric=visible(metric),
            first=number(float(series.values[0])),
            bars=sparkline(series, width, run.first_step, run.last_step),
            last=number(float(series.values[-1])),
        )
        for metric, series in chosen
    ]


def _worth_showing(diagnosis: Diagnosis) -> Iterator[tuple[str, Series]]:
    run = diagnosis.run
    about = [finding.metric for finding in diagnosis.findings if finding.metric not in CLOCKS]
    found = [(metric, run[metric]) for metric in about if metric in run]
    losses = [curve for curve in (run.curve, run.evaluation) if curve is not None]
    last = losses if run.kind == "reinforcement" else []  # the loss of a policy shows nothing
    of_method = [(name, run[name]) for name in DRAWN.get(run.kind, ()) if name in run]
    for curve in (*of_method, *([] if last else losses), *found, *last):
        if len(curve[1]) >= FEWEST_POINTS:
            yield curve


def marks(run: Run, first_steps: list[int], width: int) -> str:
    """Return a line with the numbers 1 to 9 of the findings, each under the step where it begins.

    A number whose place is taken moves to the nearest free one.

    >>> import numpy as np
    >>> marks(Run("a", {"loss": Series(np.arange(100), np.ones(100))}), [0, 50, 51, 99], 10)
    '1    23  4'
    """
    line = [" "] * width
    for rank, column in enumerate(columns(np.array(first_steps[:9]), width, run.first_step, run.last_step), 1):
        free = [c for c in range(width) if line[c] == " "]
        line[min(free, key=lambda c: (abs(c - column), -c))] = str(rank)
    return "".join(line).rstrip()
