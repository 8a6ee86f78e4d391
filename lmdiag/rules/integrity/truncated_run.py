import numpy as np

from lmdiag.figures import percent
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run
from lmdiag.stats.windows import median


@rule(family="integrity", needs=("curve",), severity=Severity.INFO)
def check(run: Run, curve: Curve, *, complete_share: float = 0.98) -> Findings:
    """The log ends before the run did.

    ## What it looks for
    A last step short of the planned number of steps, or an end record that says killed. Runs that died of an error are
    `crashed-run`.

    ## How it decides
    The last logged step is under `complete_share` of `max_steps`, and so would be the next one at the log's spacing. A run that says it stopped on purpose (early stopping, a wall-clock
    limit) is complete.

    ## Why it matters
    Convergence, forecast and the comparison with other runs must not be judged on a prefix. If nobody stopped the job, it
    died.

    ## False alarms it avoids
    Announced totals that were never meant to be reached, evaluations after training, the last record missing by rounding.

    ## What to try
    If the job should have gone on, look at its last lines and at the scheduler's log (time limit, memory). Resume from
    the last checkpoint.

    ## References
    - lmdiag's log format, `max_steps` and the `end` record.
    """
    status = run.status
    planned = run.planned_steps
    share = run.last_step / planned if planned > 0 else 0.0
    from_zero = run.steps_done - run.last_step
    steps = run.curve[1].steps if run.curve else np.empty(0)
    next_step = run.last_step + (float(median(np.diff(steps[-20:]))) if len(steps) > 1 else 0.0)
    if status in ("completed", "stopped", "crashed"):
        return
    if status == "killed":
        message = f"The run was killed at {run.place(run.last_step)}"
        message += f" of the planned {planned:,.0f} ({percent(share)})." if planned else "."
    elif planned and run.steps_done < complete_share * planned and next_step + from_zero <= planned:
        message = f"The log ends at {run.place(run.last_step)} of the planned {planned:,.0f} ({percent(share)}): "
        message += "the run is still going, or was stopped."
    elif not planned:
        yield NotChecked("the log does not say how many steps were planned")
        return
    else:
        return
    yield Finding(
        message,
        run.last_step,
        run.last_step,
        curve.metric,
        {"last_step": run.last_step, **({"planned_steps": planned, "share": share} if planned else {})},
        (
            "If the job should still be running, look at its last lines and at the time and memory limits.",
            "Then resume it from its last checkpoint.",
            "Do not judge convergence yet.",
        ),
    )
