from lmdiag.finding import NO_STEP_TIME, Finding, Findings, Severity, rule, too_few
from lmdiag.pace import is_clock
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.windows import median

SETTLED = 0.05
FAST_ENOUGH = 1e-3  # seconds; a wait below a millisecond is the noise of any loop
RECORDS = 30


@rule(family="throughput", needs=("data_time_s", "step_time_s"), severity=Severity.INFO, min_points=10)
def check(run: Run, waits: Series, times: Series, *, smallest: float = 0.2, warning: float = 0.33) -> Findings:
    """Steps wait for data.

    ## What it looks for
    Steps that spend a good part of their time waiting for the next batch.

    ## How it decides
    The median share of the waiting time in the step time, without the first 5% of the records, is `smallest` or more; a warning from `warning` on, where the waits make the run half as
    long again, with 30 records. Where waiting takes longer than the step, the log counts them apart, and the share is that of their sum. Waits below a millisecond
    are never reported.

    ## Why it matters
    The device idles for that share of the time: it is the cheapest speed-up there is.

    ## False alarms it avoids
    The first batches, which fill the buffers; single slow batches (median); loops of a few milliseconds.

    ## What to try
    More loader workers, pinned memory and a larger prefetch factor; tokenise before training; data on a local disk.

    ## References
    - PyTorch, Performance tuning guide: enable asynchronous data loading.
    """
    left, right = shared_steps(waits.steps, times.steps)
    shared, wait, whole = waits.steps[left], waits.values[left], times.values[right]
    good = whole > 0
    good[: int(SETTLED * len(good))] = False
    shared, wait, whole = shared[good], wait[good], whole[good]
    if len(wait) < 10:
        yield too_few(len(wait), "records with a wait beside a step time above 0", 10)
        return
    if is_clock(whole):
        yield NO_STEP_TIME
        return
    apart = bool(median(wait) > median(whole))
    share = float(median(wait / (whole + wait if apart else whole)))
    if share < smallest or median(wait) < FAST_ENOUGH:
        return
    total = float(wait.sum())
    yield Finding(
        f"{share:.0%} of a step is spent waiting for data (medians: {median(wait):.3g} s of "
        f"{median(whole + apart * wait):.3g} s): without the wait the run would be {1 / max(1 - share, 0.01):.2g} times as fast.",
        int(shared[0]),
        int(shared[-1]),
        "data_time_s",
        {"share": share, "wait_s": float(median(wait)), "records": len(wait), "logged_wait_s": total},
        (
            "Raise the workers of the data loader and its prefetch factor; pin memory.",
            "Tokenise and pack once, before training; read from a local disk.",
            "To be sure, train some steps on the same batch: if that is no faster, the loader is not the cause.",
        ),
        Severity.WARNING if share >= warning and len(wait) >= RECORDS else Severity.INFO,
    )
