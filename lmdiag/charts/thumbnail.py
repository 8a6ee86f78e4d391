"""The loss of a run, or its reward, as a small SVG, for cards and tables."""

from __future__ import annotations

import numpy as np

from lmdiag.charts.downsampling import extremes
from lmdiag.charts.palette import LIGHT
from lmdiag.charts.traces import OUTLIER_SPANS
from lmdiag.finding import Severity
from lmdiag.run import Run
from lmdiag.task_measures import progress

WIDTH, HEIGHT = 220, 56


def thumbnail(run: Run, colour: str = LIGHT.fifth, points: int = 2 * (WIDTH // 3), mark: int | None = None) -> str:
    """Return an SVG of the run's curve by about so many points, without axes, with a line at the step `mark`; it scales to any size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f'{_line(run, mark)}<path d="{_path(run, points)}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def _line(run: Run, step: int | None) -> str:
    if step is None:
        return ""
    x = (step - run.first_step) / max(run.last_step - run.first_step, 1) * WIDTH
    return f'<path d="M{x:.0f} 0V{HEIGHT}" stroke="{LIGHT.severity(Severity.ERROR)}" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'


def _path(run: Run, points: int) -> str:
    """Return the commands of the path: a new stroke begins after values that are not finite."""
    shown = progress(run)
    if shown is None:
        return ""
    series = shown[1]
    chosen = extremes(series.values, buckets=max(points // 2, 1))
    if not len(chosen):
        return ""
    values = series.values[chosen]
    low, usual = np.quantile(values, [0.0, 0.95])
    top = values.max() if len(values) <= 20 else min(values.max(), usual + OUTLIER_SPANS * (usual - low))
    across = (series.steps[chosen] - run.first_step) / max(run.last_step - run.first_step, 1) * WIDTH
    down = 2 + (HEIGHT - 4) * (1 - (np.minimum(values, top) - low) / ((top - low) or 1.0))
    lost = np.cumsum(~np.isfinite(series.values))[chosen]
    pens = ["M", *("M" if jump else "L" for jump in np.diff(lost) > 0)]
    return " ".join(f"{pen}{x:.0f} {y:.0f}" for pen, x, y in zip(pens, across, down))
