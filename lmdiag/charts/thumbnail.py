"""The loss of a run as a small SVG, for cards and tables."""

from __future__ import annotations

import numpy as np

from lmdiag.charts.downsampling import extremes
from lmdiag.charts.palette import LIGHT
from lmdiag.charts.traces import OUTLIER_SPANS
from lmdiag.run import Run

WIDTH, HEIGHT = 220, 56


def thumbnail(run: Run, colour: str = LIGHT.fifth) -> str:
    """Return an SVG of the run's curve, without axes; it scales to any size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f'<path d="{_path(run)}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def _path(run: Run) -> str:
    """Return the commands of the path: a new stroke begins after values that are not finite."""
    if run.curve is None:
        return ""
    series = run.curve[1]
    chosen = extremes(series.values, buckets=WIDTH // 3)
    if not len(chosen):
        return ""
    values = series.values[chosen]
    low, usual = np.quantile(values, [0.0, 0.95])
    top = values.max() if len(values) <= 20 else min(values.max(), usual + OUTLIER_SPANS * (usual - low))
    across = (series.steps[chosen] - run.first_step) / max(run.last_step - run.first_step, 1) * WIDTH
    down = 2 + (HEIGHT - 4) * (1 - (np.minimum(values, top) - low) / ((top - low) or 1.0))
    lost = np.cumsum(~np.isfinite(series.values))[chosen]
    pens = ["M", *("M" if jump else "L" for jump in np.diff(lost) > 0)]
    return " ".join(f"{pen}{x:.1f} {y:.1f}" for pen, x, y in zip(pens, across, down))
