from lmdiag.figures import figure
from lmdiag.finding import (
    INCOMPLETE,
    NO_RATE,
    NOT_FROM_SCRATCH,
    WARMING_UP,
    Finding,
    Findings,
    NotChecked,
    Severity,
    rule,
    too_few,
)
from lmdiag.run import Run, Series
from lmdiag.stats.limits import FROM_SCRATCH
from lmdiag.stats.phases import phases
from lmdiag.stats.windows import median


@rule(family="schedule", needs=("lr", "loss"), severity=Severity.INFO, min_points=20)
def check(run: Run, rates: Series, training: Series, *, high: float = 0.9, steps: int = 200) -> Findings:
    """The learning rate has not decayed at the end of the run.

    ## What it looks for
    A finished run from scratch that ends at its peak rate.

    ## How it decides
    The last rate is `high` of the peak or more, the run is complete by its own plan, has `steps` steps and started above 6 nats. Information: a constant rate
    is a legitimate choice for a run that will go on.

    ## Why it matters
    At a high rate the weights jitter around a better point. A final decay usually gains 0.05 to 0.15 nat within a tenth of the steps.

    ## False alarms it avoids
    Runs that are still going on or whose plan is unknown, fine-tuning, warm-up at the end of a short log.

    ## What to try
    Resume from the last checkpoint and bring the rate to zero, linearly, over 10 to 20% of the steps.

    ## References
    - Hägele et al. 2024, Scaling laws and compute-optimal training beyond fixed training durations, arXiv:2405.18392.
    """
    if run.complete is None:
        yield NotChecked("the log does not say how many steps were planned")
        return
    schedule = phases(rates.steps, rates.values)
    span = run.last_step - run.first_step
    if schedule is None:
        yield NO_RATE
        return
    if schedule.final < high:
        return
    if not run.complete:
        yield INCOMPLETE
        return
    if schedule.still_warming:
        yield WARMING_UP
        return
    if span < steps:
        yield too_few(span, f"{run.unit}s", steps)
        return
    if len(training) < 20:
        yield too_few(len(training), "finite values of the loss", 20)
        return
    if float(median(training.values[:3])) < FROM_SCRATCH:
        yield NOT_FROM_SCRATCH
        return
    decay = max(span // 10, 1)
    yield Finding(
        f"The run ends at {schedule.final:.0%} of its peak learning rate ({figure(schedule.peak, 3)}), without a "
        "decay.",
        schedule.warm_step,
        run.last_step,
        "lr",
        {"peak": schedule.peak, "final_share": schedule.final},
        (
            f"Go on from {run.place(run.last_step)} for {decay:,} to {2 * decay:,} {run.unit}s, with the rate falling "
            "linearly "
            "to zero.",
            "Plan it next time: warm-up, constant rate, decay over the last 10 to 20%.",
        ),
    )
