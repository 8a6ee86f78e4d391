import numpy as np

from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.windows import centred_median, median

POINTS = 100  # records after a restart that are compared with all before it
LONGEST_WINDOW, LONGEST_PAST = 1000, 100_000
TREND_WINDOW = 15
MARGIN = 20  # records: neighbours resemble each other without any replay


@rule(family="data", needs=("loss",), severity=Severity.WARNING, min_points=3 * POINTS)
def check(run: Run, losses: Series, *, likeness: float = 0.7) -> Findings:
    """After a restart the run sees the same batches again.

    ## What it looks for
    Losses after a restart whose ups and downs repeat those of an earlier stretch, record for record.

    ## How it decides
    The noise of the loss, which is mostly the difficulty of each batch, is what remains after a running median of 15 records, clipped at four
    standard deviations. The noise of up to a thousand records after a restart, or of the later half of them, is correlated with every earlier stretch of the same length;
    `likeness` (0.7) is far beyond chance, whose largest correlation among 100,000 places is 0.45 for 100 records.

    ## Why it matters
    The sampler was not restored: part of the data is seen twice, another part never, and the loss looks better than it is.

    ## False alarms it avoids
    Runs without a restart; an overlap that was overwritten by the resume, which is meant to repeat; restarts at the start of an epoch in the same
    order as the last one, which are said to be that; rounded losses without noise.

    ## What to try
    Save and restore the state of the sampler, or skip the batches already seen; check by logging a hash of the first batch after a resume.

    ## References
    - Bekman, Machine Learning Engineering, chapter on training loss patterns.
    """
    starts = [s.first_step for s in run.segments[1:]]
    if len(losses) < 3 * POINTS:
        yield too_few(len(losses), "finite values of the loss", 3 * POINTS)
        return
    if not starts:
        return
    compared = False
    for step in starts:
        row = int(np.searchsorted(losses.steps, step))
        first = max(0, row - LONGEST_PAST)
        noise = _noise(losses.values[first : row + LONGEST_WINDOW])
        found = _earlier_copy(noise, row - first, likeness)
        compared = compared or found is not None
        if found is None or found[1] < likeness:
            continue
        yield _finding(run, losses, row, first + found[0], *found[1:])
    if not compared:
        yield NotChecked("no restart has enough records before it and after it to compare them")


def _noise(values: np.ndarray) -> np.ndarray:
    left = values - centred_median(values, TREND_WINDOW)
    limit = 4 * MAD_TO_SIGMA * float(median(np.abs(left)))
    return np.clip(left, -limit, limit)


def _earlier_copy(noise: np.ndarray, row: int, likeness: float) -> tuple[int, float, int] | None:
    """Return where before `row` the noise after `row` occurred, their correlation, and the records compared.

    If all of it is not alike, its later half may be: a model that had only begun to learn had other losses on the same batches.
    """
    after, past = noise[row : row + LONGEST_WINDOW], noise[: max(0, row - MARGIN)]
    found = _best_match(after, past)
    late = after[-max(POINTS, len(after) // 2) :]
    if (found is not None and found[1] >= likeness) or len(late) == len(after):
        return found
    skipped = len(after) - len(late)
    again = _best_match(late, past[skipped:])
    return (again[0], again[1], len(late)) if again is not None else found


def _best_match(after: np.ndarray, past: np.ndarray) -> tuple[int, float, int] | None:
    """Return at which row of `past` the correlation with `after` is highest, that correlation, and the records
    compared."""
    n = len(after)
    if n < POINTS or len(past) < n or not after.std() > 0:
        return None
    size = 1 << (len(past) + n).bit_length()
    products = np.fft.irfft(np.fft.rfft(past, size) * np.conj(np.fft.rfft(after - after.mean(), size)), size)
    products = products[: len(past) - n + 1]
    sums, squares = np.cumsum(np.r_[0.0, past]), np.cumsum(np.r_[0.0, past**2])
    mean = (sums[n:] - sums[:-n]) / n
    spread = np.sqrt(np.maximum((squares[n:] - squares[:-n]) / n - mean**2, 1e-12 * after.var()))
    alike = products / (n * spread * after.std())
    best = int(np.argmax(alike))
    return best, float(alike[best]), n


def _finding(run: Run, losses: Series, row: int, copy: int, likeness: float, records: int) -> Finding:
    first, earlier = int(losses.steps[row]), int(losses.steps[copy])
    here, there = run.value_at("epoch", first), run.value_at("epoch", earlier)
    same_order = (
        here is not None
        and there is not None
        and abs((here - there) - round(here - there)) < 0.01
        and here - there > 0.5
    )
    told = ": each epoch has the same order" if same_order else ": the sampler was not restored"
    return Finding(
        f"{records:,} losses after the restart at {run.place(first)} repeat those from {run.place(earlier)} on "
        f"(correlation {likeness:.2f}){told}.",
        first,
        int(losses.steps[min(row + records, len(losses)) - 1]),
        "loss",
        {"likeness": likeness, "copied_from": earlier, "records": records},
        (
            "Restore the sampler with the model; if its state was not saved, skip the batches already seen.",
            "Log a hash of the first batch after each resume.",
        ),
        Severity.INFO if same_order else Severity.WARNING,
    )
