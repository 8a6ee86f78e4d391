import numpy as np

from lmdiag.finding import NO_STEP_TIME, Finding, Findings, Severity, rule, too_few
from lmdiag.pace import is_clock
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.windows import block_medians, median

SETTLED = 0.05
FAST_ENOUGH = 1e-3  # seconds; a wait below a millisecond is the noise of any loop
RECORDS = 30
STRETCHES, IN_EACH = 40, 5  # parts of the run, each of which waits or does not, and records in one at least
A_STRETCH, ALL = 0.1, 0.9  # of the parts in a row: a stretch, and the whole run
LONG = 0.25  # of the time of the run


@rule(family="throughput", needs=("data_time_s", "step_time_s"), severity=Severity.INFO, min_points=10)
def check(run: Run, waits: Series, times: Series, *, smallest: float = 0.2, warning: float = 0.33) -> Findings:
    """Steps wait for data.

    ## What it looks for
    Steps that spend a good part of their time waiting for the next batch.

    ## How it decides
    The median share of the waiting time in the step time, without the first 5% of the records, is `smallest` or more; a warning from `warning` on, where the waits make the run half as
    long again, with 30 records. Where waiting takes longer than the step, the log counts them apart, and the share is that of their sum. Waits below a millisecond
    are never reported. Where a stretch of the run waits, of the forty parts of which a tenth or more in a row wait for `smallest` of their time, and the rest for less than half of that, the share is that of
    the stretch, what it costs that of the run, and a warning needs a quarter of the run's time.

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
    whole = whole + apart * wait
    first, stop = _stretch(wait / whole, smallest) or (0, len(wait))
    part, inside = slice(first, stop), stop - first < len(wait)
    share = float(median(wait[part] / whole[part]))
    if share < smallest or median(wait[part]) < FAST_ENOUGH:
        return
    time_share = float(whole[part].sum() / whole.sum())
    of_run = share * time_share if inside else share
    over = stop < len(wait)
    began, ended = (run.place(int(shared[row])) for row in (first, stop - 1))
    when = (f"From {began} to {ended}, " if over else f"From {began} on, ") if inside else ""
    yield Finding(
        f"{when}{share:.0%} of a step {'was' if over else 'is'} spent waiting for data (medians: {median(wait[part]):.3g} s of "
        f"{median(whole[part]):.3g} s): without the wait the run would be {1 / max(1 - of_run, 0.01):.2g} times as fast.",
        int(shared[first]),
        int(shared[stop - 1]),
        "data_time_s",
        {
            "share": share,
            "wait_s": float(median(wait[part])),
            "records": stop - first,
            "logged_wait_s": float(wait[part].sum()),
            **({"share_of_run": of_run} if inside else {}),
        },
        (
            "Raise the workers of the data loader and its prefetch factor; pin memory.",
            "Tokenise and pack once, before training; read from a local disk.",
            "To be sure, train some steps on the same batch: if that is no faster, the loader is not the cause.",
        ),
        Severity.WARNING if share >= warning and stop - first >= RECORDS and time_share >= LONG else Severity.INFO,
    )


def _stretch(shares: np.ndarray, least: float) -> tuple[int, int] | None:
    """Return the first row of the longest stretch that waits for data and the row behind it; None where the rest waits as well, or nothing does."""
    levels, starts = block_medians(shares, min(STRETCHES, len(shares) // IN_EACH))
    edges = np.flatnonzero(np.diff(np.r_[False, levels >= least, False]))
    if not len(edges):
        return None
    longest = int(np.argmax(edges[1::2] - edges[::2]))
    first, stop = int(edges[2 * longest]), int(edges[2 * longest + 1])
    if not A_STRETCH * len(levels) <= stop - first < ALL * len(levels):
        return None
    if float(median(np.r_[levels[:first], levels[stop:]])) >= least / 2:
        return None
    places = np.append(starts, len(shares))
    before, after = int(places[max(first - 1, 0)]), int(places[min(stop + 1, len(levels))])
    middle = (int(places[first]) + int(places[stop]) + 1) // 2
    idle = shares < least
    begins = before + _in_front(idle[before:middle], int(places[first]) - before)
    ends = after - _in_front(idle[middle:after][::-1], after - int(places[stop]))
    return begins, ends


def _in_front(idle: np.ndarray, usual: int) -> int:
    """Return how many rows pass until most do not idle any more: the row, near the `usual` one, that parts them best."""
    parted = np.cumsum(np.r_[0, np.where(idle, 1, -1)])
    near = parted[: 2 * usual + 1]
    return int(np.argmax(near))
