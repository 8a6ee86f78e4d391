import numpy as np

from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run
from lmdiag.stats.windows import median

NEIGHBOURS = 6  # spacings either side that say what is usual there
REGULAR, TOLERANCE = 0.8, 0.02
MOST = 0.1  # share of wide distances from which a log is irregular


@rule(family="integrity", needs=("curve",), severity=Severity.INFO, min_points=20)
def check(run: Run, curve: Curve, *, ratio: float = 3.0) -> Findings:
    """Steps are missing from the log.

    ## What it looks for
    A hole in a log that otherwise writes at regular steps.

    ## How it decides
    A distance between two records of more than `ratio` times the larger of the medians of the six distances before and after it: a log that is written
    ever more rarely has no hole. 80% of those neighbours must agree within 2%.

    ## Why it matters
    What happened in the hole is unknown: an outage, a rotated file, a resume whose steps were lost.

    ## False alarms it avoids
    The first ten steps written one by one, spacing that grows (geometric or by hand), irregular logs.

    ## What to try
    Look for a second log file of the missing steps; give lmdiag the whole folder.

    ## References
    - lmdiag's log format: one record every `log_every` steps.
    """
    # Of all records: a NaN is no hole, nor is a masked loss.
    steps = run.series.get(curve.metric, run.curve[1]).steps if run.curve else np.empty(0)
    apart = np.diff(steps).astype(float)
    holes = _holes(apart, ratio) if apart.max() > ratio * apart.min() else np.empty(0, int)
    if holes is None:
        yield NotChecked(f"the {run.unit}s of the log are irregular")
        return
    if not len(holes):
        return
    usual = float(median(apart))
    missing = float(apart[holes].sum() - usual * len(holes))
    widest = int(holes[np.argmax(apart[holes])])
    first, last = int(steps[widest]), int(steps[widest + 1])
    more = (
        f"; there {'is 1 more gap' if len(holes) == 2 else f'are {len(holes) - 1} more gaps'}" if len(holes) > 1 else ""
    )
    spacing = run.unit if usual == 1 else f"{usual:,.0f} {run.unit}s"
    yield Finding(
        f"No record between {run.place(first)} and {run.place(last)}, in a log with one every {spacing}{more}.",
        int(steps[holes[0]]),
        int(steps[holes[-1] + 1]),
        curve.metric,
        {"holes": len(holes), "missing_steps": missing, "usual_distance": usual, "widest": float(apart[widest])},
        (
            f"Look for another log file of what follows {run.place(first)}, and read both together.",
            "If the run was resumed there, check that its step counter was restored.",
        ),
        steps=tuple(steps[holes][:50].tolist()),
    )


def _holes(apart: np.ndarray, ratio: float) -> np.ndarray | None:
    """Return the indices of distances that stand out from regular ones on both sides, None in an irregular log."""
    inner = apart[1:-1]
    wide = np.flatnonzero(inner > ratio * np.minimum(apart[:-2], apart[2:])) + 1
    if len(wide) > MOST * len(apart):
        return None
    return np.array([i for i in wide.tolist() if 3 <= i < len(apart) - 3 and _stands_out(apart, i, ratio)], dtype=int)


def _stands_out(apart: np.ndarray, at: int, ratio: float) -> bool:
    before, after = apart[max(0, at - NEIGHBOURS) : at], apart[at + 1 : at + 1 + NEIGHBOURS]
    usual = float(max(median(before), median(after)))
    agree = (np.abs(np.concatenate([before, after]) - usual) <= TOLERANCE * usual).mean()
    return bool(apart[at] > ratio * usual and agree >= REGULAR)
