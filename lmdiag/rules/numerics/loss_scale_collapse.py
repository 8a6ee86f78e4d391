import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import NO_SCALE, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Event, Run, Series
from lmdiag.stats.windows import median

SEARCH = 0.05  # share of the records in which a scaler may look for its first scale
FALL = 256.0  # times that a scale is smaller in the end, eight halvings: fewer may be the search of one that starts low
FALL_STEPS, FALL_RECORDS = 100, 10
SKIP_WARNING = 0.05
FEWEST = 5  # loss scales, or records before the messages
SEARCH_SKIPS = 32  # halvings from 2^32, the largest first scale in use, down to 1


@rule(family="numerics", needs=("loss_scale",), severity=Severity.ERROR)
def check(run: Run, scales: Series, *, gone: float = 1.0, halvings: int = 5) -> Findings:
    """The fp16 loss scale collapses.

    ## What it looks for
    A dynamic loss scale that is halved again and again and does not recover.

    ## How it decides
    An error when the last records stand at `gone` or below, and at no more than 1/256 of the largest scale, which is eight halvings: every step overflows, and none is taken. A warning when it ends
    `halvings` halvings below its median and came down as many within 100 steps (or ten records), the first 5% of the records apart, in which the scaler
    searches; or when more than 5% of the updates were
    skipped after that, not counting 32: so many halvings lead from 2^32, the largest first scale in use, down to 1.
    Where the messages behind the last record tell of eight halvings in a row, they are a warning, and an error when they lead to `gone` or below.
    An error as well when the program says that its scale is at the smallest that it takes, as fairseq and DeepSpeed do before they give up, and no record follows.

    ## Why it matters
    Steps that overflow are skipped: the run does not train. A falling scale is often the first sign of a divergence.

    ## False alarms it avoids
    The search at the start (from 2^32 or 2^16 downwards), the occasional halving, the slow fall over a long run as gradients grow, a constant scale of 1 that bf16 runs log, a run that was resumed without a scale.

    ## What to try
    Train in bf16, which needs no scale. Otherwise look for the overflow: attention logits, the last layer, a too large learning rate.

    ## References
    - Micikevicius et al. 2018, Mixed precision training, arXiv:1710.03740, section 3.2.
    - Zhang et al. 2022, OPT, arXiv:2205.01068, section 2.5: a falling scale announced divergences.
    """
    scales = scales.at(scales.values > 0)
    if said := [event for event in run.events if event.kind == "smallest_scale"]:
        yield _as_said(run, scales, said[-1])
        return
    if halved := _halved_at_the_end(run):
        yield _of_messages(run, halved, gone)
        return
    if len(scales) < FEWEST:
        yield too_few(len(scales), "loss scales above 0", FEWEST)
        return
    settled = scales.at(slice(int(SEARCH * len(scales)), None))
    usual, end = float(median(settled.values)), float(settled.values[-2:].max())
    still = not _given_up_in_a_restart(run, scales)
    lost = still and end <= gone and float(scales.values.max()) >= FALL * end
    fallen = still and end * 2.0**halvings <= usual and _at_once(settled, 2.0**halvings)
    since = int(settled.steps[0])
    skipped, updates = _skipped(run, since)
    share = float(np.clip((skipped - SEARCH_SKIPS) / max(updates, 1), 0.0, 1.0))
    if not (lost or fallen or share > SKIP_WARNING):
        if scales.values.max() < 1:
            yield NO_SCALE
        return
    onset = _onset(scales if lost else settled, end) if lost or fallen else since
    start = figure(float(scales.values.max()), 5) if lost else f"a median of {figure(usual, 5)}"
    low = f"{figure(float(scales.values[-1]), 2)}{', as good as 0' if lost else ''}"
    shrank = f"The loss scale fell from {start} to {low}, from {run.place(onset)} on"
    message = shrank if lost or fallen else "The loss scaler keeps overflowing"
    skipped, updates = _skipped(run, onset - 1)
    yield Finding(
        message
        + (f"; {skipped:,} of the {updates:,} updates from {run.place(onset)} on were skipped." if skipped else "."),
        onset,
        int(scales.steps[-1]),
        "loss_scale",
        {
            "usual": usual,
            "end": end,
            "largest": float(scales.values.max()),
            **({"skipped_share": skipped / updates} if skipped else {}),
        },
        (
            advice.bf16(run),
            advice.rewind(run, onset),
            "Look for what overflows there: attention logits, the output layer.",
            "If the scale falls together with a rising gradient norm, lower the learning rate.",
        ),
        Severity.ERROR if lost else Severity.WARNING,
    )


def _halved_at_the_end(run: Run) -> list[float]:
    """Return the scales that eight or more messages behind the last record tell, each half of the one before or less."""
    if "loss" not in run or len(run["loss"]) < FEWEST:
        return []
    scales: list[float] = []
    for event in run.events:
        scale = float(event.fields.get("loss_scale", 0.0)) if event.kind == "skipped_step" else 0.0
        if scale <= 0 or event.step != run.last_step or scale in scales[-1:]:
            continue
        scales = [*scales, scale] if not scales or scale <= scales[-1] / 2 else [scale]
    return scales if len(scales) >= 2 and 2 * scales[0] >= FALL * scales[-1] else []


def _of_messages(run: Run, halved: list[float], gone: float) -> Finding:
    step = run.last_step
    return Finding(
        f"The loss scale was halved {len(halved)} times behind the last record, at {run.place(step)}, down to {figure(halved[-1], 2)}, and did not recover.",
        step,
        step,
        "loss_scale",
        {"largest": 2 * halved[0], "end": halved[-1], "halvings": float(len(halved))},
        (
            advice.bf16(run),
            advice.rewind(run, step),
            "Look for what overflows there: attention logits, the output layer.",
        ),
        Severity.ERROR if halved[-1] <= gone else Severity.WARNING,
    )


def _as_said(run: Run, scales: Series, event: Event) -> Finding:
    step = run.last_step
    told = len(scales) >= FEWEST
    onset = _onset(scales, float(scales.values[-1])) if told else step
    return Finding(
        f"The program gave up behind the last record, at {run.place(step)}, as its loss scale can fall no further: {event.message}",
        onset,
        step,
        "loss_scale",
        {"largest": float(scales.values.max())} if told else {},
        (
            advice.bf16(run),
            advice.rewind(run, onset),
            "Look for what overflows there: attention logits, the output layer.",
            "If the gradient norm rose as the scale fell, lower the learning rate.",
        ),
        Severity.ERROR,
    )


def _given_up_in_a_restart(run: Run, scales: Series) -> bool:
    """Tell whether a run was resumed and went on without a scale, as in bf16, for as long as ten of its records."""
    return len(run.segments) > 1 and run.last_step - scales.steps[-1] > FALL_RECORDS * median(np.diff(scales.steps))


def _at_once(scales: Series, factor: float) -> bool:
    """Tell whether the scale came down by a factor within 100 steps or ten records, whichever is longer."""
    if len(scales) < 2 * FALL_RECORDS:
        return False
    lag = max(FALL_RECORDS, round(FALL_STEPS / max(float(median(np.diff(scales.steps))), 1.0)))
    return bool((scales.values[:-lag] >= factor * scales.values[lag:]).any())


def _onset(scales: Series, end: float) -> int:
    """Return the step at which the scale began to fall, record after record, to near its end."""
    high = np.flatnonzero(scales.values > max(end, 0.5) * 4)
    if not len(high):
        return int(scales.steps[0])
    down = min(int(high[-1]) + 1, len(scales) - 1)
    stays = np.flatnonzero(np.diff(scales.values[: down + 1]) >= 0)
    begin = int(stays[-1]) + 2 if len(stays) else 1  # behind the last record that did not fall
    return int(scales.steps[min(begin, down)])


def _skipped(run: Run, after: int) -> tuple[int, int]:
    """Return how many updates were skipped since a step, and of how many; zeros where the log does not say."""
    if "skipped" not in run or run.step_kind != "step" or run.last_step <= after:
        return 0, 0
    skipped = run["skipped"].finite
    return round(float(skipped.values[skipped.steps > after].sum())), run.last_step - after
