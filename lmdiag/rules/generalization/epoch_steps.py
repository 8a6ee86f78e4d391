import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import along
from lmdiag.stats.noise import MAD_TO_SIGMA, median_difference_error, scatter
from lmdiag.stats.windows import every_window, median

RECORDS_PER_EPOCH, MOST_EPOCHS = 10, 200
LEAST_DROP, LEAST_ERRORS = 0.05, 6.0
SHRINKS = -0.5  # power of the place in the epoch: -1 for means since it began, 0 for losses of single records


@rule(family="generalization", needs=("loss", "epoch"), severity=Severity.INFO, min_points=30)
def check(run: Run, losses: Series, epochs: Series) -> Findings:
    """Training loss drops where a new epoch begins.

    ## What it looks for
    The staircase of a model that recognises text it has seen: flat within an epoch, a step down at its end.

    ## How it decides
    At each epoch's end, the median of up to twenty records before and after is compared, less the slope within the epoch and on either side of the end.
    Half of the ends or more, and two if there are two, must show a drop of 5% of the level at six standard errors, taken from the same comparison at all other places of the curve, and not below
    what the noise of the records gives.

    ## Why it matters
    The size of the step is how much was memorised in one pass. It is no fault: the evaluation decides whether it hurts.

    ## False alarms it avoids
    The steep start, epochs of fewer than ten records, noise, drops elsewhere in the epoch; means since the epoch began, as Keras and many loops log
    them, which drop at its end by themselves, and are told by how much steadier they get in its course.

    ## What to try
    Nothing while the evaluation improves. If it does not, fewer epochs or more data.

    ## References
    - Komatsuzaki 2019, One epoch is all you need, arXiv:1906.06669.
    """
    if len(losses) < 30:
        yield too_few(len(losses), "finite values of the loss", 30)
        return
    if len(epochs) < 2:
        yield too_few(len(epochs), "finite values of the epoch", 2)
        return
    at = along(losses.steps, epochs.steps, epochs.values)
    first, last = np.floor(at[0]) + 1, np.floor(at[-1]) + 1
    per_epoch = len(losses) / max(float(at[-1] - at[0]), 1e-9)
    if last <= first:
        yield NotChecked("no epoch ends within the log")
        return
    if last - first > MOST_EPOCHS:
        yield NotChecked(f"more than {MOST_EPOCHS} epochs end within the log")
        return
    if per_epoch < RECORDS_PER_EPOCH:
        yield too_few(int(per_epoch), "records per epoch", RECORDS_PER_EPOCH)
        return
    ends = np.arange(first, last)
    width = int(np.clip(per_epoch // 4, 3, 20))
    rows = np.searchsorted(at, ends)
    rows = rows[(rows >= width) & (rows <= len(losses) - width)]
    drops, error = _drops(losses.values, rows, width) if len(rows) else (np.empty(0), np.inf)
    if not np.isfinite(error):
        yield NotChecked("too few records beside the ends of the epochs to compare them with")
        return
    level = np.array([median(losses.values[r - width : r]) for r in rows])
    clear = (drops >= LEAST_DROP * level) & (drops >= LEAST_ERRORS * error)
    if clear.sum() < max(min(2, len(rows)), 0.5 * len(rows)):
        return
    if _since_the_epoch_began(np.split(losses.values, np.searchsorted(at, ends))):
        yield NotChecked(
            "the losses move less and less in each epoch, as means since it began do: these drop at its end by themselves"
        )
        return
    typical, share = float(median(drops[clear])), float(median(drops[clear] / level[clear]))
    yield Finding(
        f"The training loss drops by {figure(typical, 2)} ({share:.0%}) at "
        f"{int(clear.sum())} of {len(rows)} epoch ends: the model has memorised part of the text.",
        int(losses.steps[rows[clear][0]]),
        int(losses.steps[rows[clear][-1]]),
        "loss",
        {"drop": typical, "drop_share": share, "epoch_ends": len(rows), "with_drop": int(clear.sum())},
        ("Nothing to do while the evaluation improves; if it does not, fewer epochs or more data.",),
        steps=tuple(int(s) for s in losses.steps[rows[clear]]),
    )


def _since_the_epoch_began(epochs: list[np.ndarray]) -> bool:
    """Tell whether the losses of each epoch move less and less from record to record, as a mean of ever more of them does."""
    moves = np.concatenate([np.abs(np.diff(losses, 2)) for losses in epochs])
    sizes = np.log(np.maximum(moves, max(float(moves.mean()) / 10, 1e-300)))  # of rounded losses many are 0
    places = np.log(np.concatenate([np.arange(3, len(losses) + 1) for losses in epochs]))
    slope: float = np.polyfit(places, sizes, 1)[0]
    return slope < SHRINKS


def _drops(values: np.ndarray, rows: np.ndarray, width: int) -> tuple[np.ndarray, float]:
    """Return the drop at each row, less the usual one over the same distance, and how far such differences scatter
    elsewhere: by the noise at least, for few of them may lie together by chance."""
    starts = np.arange(width, len(values) - width + 1, max(1, width // 2))
    place = np.searchsorted(rows, starts)
    before, after = rows[np.maximum(place - 1, 0)], rows[np.minimum(place, len(rows) - 1)]
    away = np.minimum(np.abs(starts - before), np.abs(starts - after)) >= 2 * width
    elsewhere = starts[away & (starts > len(values) // 10)]
    if len(elsewhere) < 4:
        return np.zeros(len(rows)), np.inf
    usual = _differences(values, elsewhere[:: len(elsewhere) // 400 + 1], width)
    middle = float(median(usual))
    least = median_difference_error(scatter(values), 0.0, width, width)
    error = max(MAD_TO_SIGMA * float(median(np.abs(usual - middle))), least, 1e-12)
    return _differences(values, rows, width) - np.maximum(middle, _slope(values, rows, width)), error


def _slope(values: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """Return what the same differences are on either side of each row, in the mean of both: more than at the row itself where the curve bends up."""
    before, after = (np.clip(rows + off, width, len(values) - width) for off in (-2 * width, 2 * width))
    slopes = [np.where(abs(at - rows) >= 2 * width, _differences(values, at, width), 0.0) for at in (before, after)]
    return 0.5 * (slopes[0] + slopes[1])


def _differences(values: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
    """Return by how much the median of the values before each row is above the median of those from it on."""
    windows = every_window(values, width)
    return median(windows[rows - width]) - median(windows[rows])
