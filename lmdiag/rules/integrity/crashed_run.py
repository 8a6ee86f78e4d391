from lmdiag.finding import Curve, Finding, Findings, Severity, rule
from lmdiag.run import Run

TELLING = ("exception", "oom", "nan", "communication_error")  # events that say why a run died


@rule(family="integrity", needs=("curve",), severity=Severity.ERROR)
def check(run: Run, curve: Curve) -> Findings:
    """The training program died of an error.

    ## What it looks for
    An end record that says `crashed`, an exit code other than 0, or a traceback, a lack of memory or "Loss is nan, stopping
    training" behind the last record of a printed log.

    ## How it decides
    By what the log says; the last error it names is quoted. A run that was resumed after the crash and went on is not one:
    the last record of how it ended counts.

    ## Why it matters
    The run did not do what was planned, and its last checkpoint is older than its last record.

    ## False alarms it avoids
    Errors that the program survived: records follow them. Jobs that were killed from outside (a time limit, Ctrl-C) are not
    broken but unfinished: see `truncated-run`.

    ## What to try
    Read the last lines of the program's output; mend the error; resume from the last checkpoint.

    ## References
    - lmdiag's log format, the `end` record and the event `exception`.
    """
    if run.status != "crashed":
        return
    planned = float(run.config.get("max_steps") or 0) if run.step_kind == "step" else 0.0
    said = [
        event.message.strip().splitlines()[-1]
        for event in run.events
        if event.kind in TELLING and event.message.strip()
    ]
    where = f"at {run.place(run.last_step)}" + (f" of {planned:,.0f}" if planned else "")
    saved = run.checkpoint_before(run.last_step)
    yield Finding(
        f"The run crashed {where}" + (f": {said[-1].rstrip('.')}." if said else "."),
        run.last_step,
        run.last_step,
        curve.metric,
        {
            "last_step": run.last_step,
            **({"planned_steps": planned, "share": run.last_step / planned} if planned else {}),
        },
        (
            "Read the last lines of the program's output, and mend the error they name.",
            f"Then resume from the checkpoint of {run.place(saved)}."
            if saved
            else "Then resume from the last checkpoint.",
        ),
    )
