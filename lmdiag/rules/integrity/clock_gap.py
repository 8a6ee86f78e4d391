import numpy as np

from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median

BACKWARDS = 1.0  # seconds; clocks are corrected by less


@rule(family="integrity", needs=("time",), severity=Severity.INFO, min_points=10)
def check(run: Run, clock: Series, *, gap_s: float = 1800.0, ratio: float = 20.0) -> Findings:
    """The clock stands still or goes back between two records.

    ## What it looks for
    Long silences in the log, and times that go backwards.

    ## How it decides
    Two neighbouring records are more than `gap_s` seconds and `ratio` times the median distance apart, or the later one is more than a second earlier.
    Information only: a run that waited is not a sick run. The message says whether the run was resumed there.

    ## Why it matters
    The hours of a hang, a queue or a lost machine are paid for, and speeds computed over them are wrong.

    ## False alarms it avoids
    Records written rarely (the median sets the scale), evaluations and checkpoints of less than half an hour.

    ## What to try
    Look at the job's log at that hour: a hang in communication, a full disk, a pre-empted machine. Set a time-out for collectives.

    ## References
    - Amazon SageMaker Debugger, rule StalledTraining: 1,800 seconds.
    """
    if len(clock) < 10:
        yield too_few(len(clock), "finite readings of the clock", 10)
        return
    apart = np.diff(clock.values)
    if apart.max() <= gap_s and apart.min() >= -BACKWARDS:
        return
    usual = float(median(apart))
    silent = np.flatnonzero(apart > max(gap_s, ratio * usual))
    back = np.flatnonzero(apart < -BACKWARDS)
    if len(silent):
        worst = int(silent[np.argmax(apart[silent])])
        lost = float((apart[silent] - usual).sum())
        resumed = any(clock.steps[worst] <= s.first_step <= clock.steps[worst + 1] for s in run.segments[1:])
        why = "where the run was resumed" if resumed else "without a restart in the log: it hung or was suspended"
        more = f", the longest of {len(silent)} silences" if len(silent) > 1 else ""
        yield Finding(
            f"Nothing was logged for {_duration(float(apart[worst]))} after {run.place(int(clock.steps[worst]))}, "
            f"{why}{more}.",
            int(clock.steps[silent[0]]),
            int(clock.steps[silent[-1] + 1]),
            "time",
            {"longest_s": float(apart[worst]), "lost_s": lost, "usual_s": usual, "silences": len(silent)},
            (
                f"Look at the job's own log after {run.place(int(clock.steps[worst]))}.",
                "Set a time-out for collective operations, so that a hang ends the job.",
            ),
            steps=tuple(clock.steps[silent][:50].tolist()),
        )
    if len(back):
        step = int(clock.steps[back[0] + 1])
        yield Finding(
            f"The clock goes back by {_duration(float(-apart[back[0]]))} at {run.place(step)}.",
            step,
            int(clock.steps[back[-1] + 1]),
            "time",
            {"times": len(back), "largest_s": float(-apart[back].min())},
            (f"Check whether logs of two machines or two runs were joined; speeds across this {run.unit} are wrong.",),
        )


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} hours"
        if seconds >= 3600
        else f"{seconds / 60:.0f} minutes"
        if seconds >= 120
        else f"{seconds:.0f} s"
    )
