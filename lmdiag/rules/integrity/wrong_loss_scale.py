import math

import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import BEGINS_LATER, NOT_TEXT, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LARGEST_UNIFORM, LEARNS, MOST_EVALUATIONS
from lmdiag.stats.progress import Progress, progress
from lmdiag.stats.windows import median, medians_around, quantile, rolling_median

NEVER = 16.0  # nats per token: no model stays there
WHOLE = 0.06  # distance from a whole number
BITS, BITS_TOLERANCE = 1.4427, 0.05
MOST_TIMES = 512  # of accumulation steps, where the ratio to the evaluation is exact
MOST_STEPS = 16  # accumulation steps a factor is guessed to be
USUAL_VOCABULARIES = (30522, 32000, 49152, 50257, 50304, 50265, 64000, 100277, 128256, 151936, 152064, 250002, 256000)
# A multiple of ln V this exact is chance in one of ten runs: it needs the header to be a sum
MOST_NAMED, EXACT = 8, 1.5e-3
LEAST_TIMES, STEADY, MOVED = 1.8, 0.1, 0.05  # of the evaluation; spread of that ratio; by how much the evaluation fell
EVALUATIONS = 3
FELL = 0.2  # of the evaluation: by how much it fell beside a training loss that is a part of it; harder text is evaluated more often than easier
SETTLED_TIMES = 8.0  # of the evaluation, in the last half alone: earlier, averages of training lag behind a fast fall
COSTS, SMOOTHED = 0.25, 5  # of the run, spent above the uniform guess; records of the median that tells
SMALLER_START = "The initialisation is too large: look at the scale of the embedding and output weights."
SAME, PLAUSIBLE = 1.3, 1.0  # ratio of the first losses; nats per token at the end


@rule(family="integrity", needs=("curve",), severity=Severity.INFO, min_points=5)
def check(run: Run, curve: Curve, *, smallest: float = 1.3, warning: float = 1.8) -> Findings:
    """Loss starts far above the uniform guess: it is a multiple of nats per token, or the initialisation is too large.

    ## What it looks for
    A loss that starts far above the logarithm of the vocabulary size, the loss of the uniform guess.

    ## How it decides
    The start is the larger of the first loss and the median of the first three. The first test that holds counts.

    | test | asks for | what is said |
    |---|---|---|
    | multiple of the evaluation | training loss 1.8 times the evaluation or more at every evaluation, the ratio steady within 10% while the evaluation falls by 5%, or within 2% of a whole number; or 8 times it and as steady in the last half of the evaluations, where an average over steps no longer lags behind a fall | warning: two sets of text differ by what they are, and the ratio moves as both are learnt; a factor does not |
    | part of the evaluation | training loss 1 / 1.8 of the evaluation or less, as steady, while that falls by 20%, or by 5% and the ratio is 1 over a whole number within 2% | warning: what is learned by heart leaves the evaluation ever further behind, and an untrained model knows all text equally badly |
    | log that begins later | above 16 nats throughout | information |
    | start over ln V | `smallest` (1.3) or more; where the log does not say V, a start and an end above 13 nats | information: if the loss comes below ln V later, the initialisation was too large; a warning where that took a quarter of the run; if it stays above, the nearest whole number is named (a sum over accumulation steps), unless the header says another one |
    | the same, surely a factor | from `warning` (1.8) on, the loss stays above ln V, the first losses agree within 30%, the run clearly learns (rank trend, a tenth of its start), and its end divided by the factor is 1 nat or more | warning: a mean in nats per token cannot do all that, whatever the initialisation |

    Where the first loss itself is near or below ln V, the loss rose in the first steps, which `early-instability` and `lr-too-high` judge. A start that is 2 to 8 times the
    logarithm of a vocabulary in use, to 0.15%, names both. A loss in bits (1.44 times) looks like that of a large initialisation;
    `perplexity-mismatch` tells the two apart.

    ## Why it matters
    A loss summed over accumulation steps usually means gradients summed over them as well: the learning rate is effectively larger, and no
    comparison with other runs or forecasts holds.

    ## False alarms it avoids
    Label smoothing and auxiliary losses (below 1.1), fine-tuning, logs that start later.

    ## What to try
    Divide the loss by the number of accumulation steps, or by the number of target tokens of the whole batch.

    ## References
    - Hugging Face 2024, Fixing gradient accumulation (num_items_in_batch).
    """
    metric, losses = curve
    if run.objective not in ("causal-lm", "masked-lm"):
        yield NOT_TEXT
        return
    if len(losses) < 5:
        yield too_few(len(losses), "finite values of the loss", 5)
        return
    scaled = _times_the_evaluation(run, metric, losses) or _part_of_the_evaluation(run, metric, losses)
    if scaled:
        yield scaled
        return
    start = float(losses.values[0])
    first = max(start, float(median(losses.values[:3])))
    vocabulary = _vocabulary(run)
    uniform = math.log(vocabulary) if vocabulary else LARGEST_UNIFORM
    ratio = first / uniform
    if not holds_start(run, losses):
        if run.step_kind == "step" and quantile(losses.values, 0.1) > NEVER and first > NEVER:
            yield _far_too_high(run, metric, losses)
        else:
            yield BEGINS_LATER
        return
    if start / uniform < (smallest if vocabulary else 1.0):
        return  # or the loss rose in the first steps, of which others tell
    seen = progress(losses.values)
    stays = seen.end > 1.05 * uniform
    if not vocabulary and not stays:
        return
    learns = seen.rank_trend < LEARNS and seen.start - seen.end > 0.1 * seen.start and seen.end >= PLAUSIBLE * ratio
    sure = (
        bool(vocabulary)
        and ratio >= warning
        and stays
        and learns
        and float(np.ptp(np.log(losses.values[:3]))) < np.log(SAME)
    )
    told = f"{_starts(start, first, run, uniform, vocabulary, stays)}; the median of its last quarter is {figure(seen.end)}"
    below = None if stays else _below(run, losses, uniform)
    late = below is not None and below[1] >= COSTS
    if late and below is not None:
        told += f", and the loss came below that guess only at {run.place(below[0])}, {below[1]:.0%} into the run"
    yield Finding(
        f"{told}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        _evidence(first, uniform, ratio, seen),
        _advice(run) if stays else (SMALLER_START, *_advice(run)[:1]),
        Severity.WARNING if sure or late else Severity.INFO,
    )


def _below(run: Run, losses: Series, uniform: float) -> tuple[int, float]:
    """Return the step at which the loss came below the uniform guess for good, by its rolling medians, and the share of the run until then."""
    above = np.flatnonzero(rolling_median(losses.values, SMOOTHED) > uniform)
    step = int(losses.steps[min(int(above[-1]) + 1 + SMOOTHED // 2, len(losses) - 1)]) if len(above) else run.first_step
    return step, (step - run.first_step) / max(run.last_step - run.first_step, 1)


def _times_the_evaluation(run: Run, metric: str, losses: Series) -> Finding | None:
    """Tell of a training loss that is the same multiple of the evaluation all along."""
    evaluations = _evaluations(run, metric)
    if evaluations is None:
        return None
    ratios = medians_around(evaluations.steps, losses.steps, losses.values)[0] / evaluations.values
    moved = _fell(evaluations) >= MOVED
    if not _steady(ratios, LEAST_TIMES, moved):
        ratios = ratios[-max(EVALUATIONS, len(ratios) // 2) :]
        if not (moved and _steady(ratios, SETTLED_TIMES, moved)):
            return None
    ratio, steps = float(median(ratios)), _accumulation(run)
    whole, of = round(ratio), "every one of" if len(ratios) == len(evaluations) else "each of the last"
    named = (steps == 0 and len(ratios) == len(evaluations)) or steps == whole
    summed = named and whole <= MOST_TIMES and _is_whole(ratio)
    return _against(
        run,
        losses,
        evaluations,
        ratios,
        f"{figure(ratio, 3)} times the evaluation at {of} {len(ratios)} evaluations{f', as if summed over {whole} accumulation steps' if summed else ''}",
        _advice(run)[:2],
    )


def _part_of_the_evaluation(run: Run, metric: str, losses: Series) -> Finding | None:
    """Tell of a training loss that is the same part of the evaluation all along."""
    evaluations = _evaluations(run, metric)
    if evaluations is None or (losses.values <= 0).any():
        return None
    ratios = medians_around(evaluations.steps, losses.steps, losses.values)[0] / evaluations.values
    divided, fell = float(1 / median(ratios)), _fell(evaluations)
    if not _steady(1 / ratios, LEAST_TIMES, fell >= MOVED) or fell < (MOVED if _is_whole(divided) else FELL):
        return None
    steps, whole = _accumulation(run), round(divided)
    by = (
        f", as if divided by {whole if steps else f'about {whole}'}"
        if steps in (0, whole) and whole <= MOST_TIMES and _is_whole(divided)
        else ""
    )
    return _against(
        run,
        losses,
        evaluations,
        ratios,
        f"{figure(float(median(ratios)), 3)} times the evaluation at every one of {len(ratios)} evaluations{by}",
        (
            "Compute the loss of one batch by hand: a mean over target tokens, in nats. Is it divided twice by accumulation steps or devices, or by tokens that "
            "are masked?",
            "If the gradients were divided as well, tune the learning rate again once that is right.",
        ),
    )


def _evaluations(run: Run, metric: str) -> Series | None:
    """Return the evaluations that a training loss may be held against, None where they are few or not above 0."""
    evaluations = run.evaluation_loss[1].finite.thinned(MOST_EVALUATIONS) if run.evaluation_loss else None
    if metric != "loss" or evaluations is None or len(evaluations) < EVALUATIONS or evaluations.values.min() <= 0:
        return None
    return evaluations


def _fell(evaluations: Series) -> float:
    return float(evaluations.values.max() / evaluations.values[-1] - 1)


def _against(
    run: Run, losses: Series, evaluations: Series, ratios: np.ndarray, told: str, what_to_do: tuple[str, ...]
) -> Finding:
    return Finding(
        f"The training loss is {told}: {figure(float(losses.values[-1]))} and {figure(float(evaluations.values[-1]))} at the end.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        "loss",
        {"times_the_evaluation": float(median(ratios)), "spread": _spread(ratios), "evaluations": len(ratios)},
        what_to_do,
        Severity.WARNING,
    )


def _steady(ratios: np.ndarray, least: float, moved: bool) -> bool:
    """Tell whether the ratio of the training loss to the evaluation is the same all along, and large."""
    ratio = float(median(ratios))
    return ratio >= least and _spread(ratios) <= STEADY and (moved or _is_whole(ratio))


def _is_whole(ratio: float) -> bool:
    return abs(ratio / max(round(ratio), 1) - 1) <= WHOLE / 3


def _spread(ratios: np.ndarray) -> float:
    return float((quantile(ratios, 0.9) - quantile(ratios, 0.1)) / median(ratios))


def _starts(start: float, first: float, run: Run, uniform: float, vocabulary: int, stays: bool) -> str:
    """Say where the loss starts, and what that is a multiple of."""
    where = (
        f"starts at {figure(first)}"
        if first == start
        else f"has a median of {figure(first)} over its first three records"
    )
    if not vocabulary:
        known = f"more than a uniform guess over any vocabulary in use costs (at most {figure(uniform)} nats)"
        return f"The loss {where}, {known}{_named(first, run)}"
    ratio = first / uniform
    factor = f"{figure(ratio, 3)} times what a uniform guess over {vocabulary:,} tokens costs ({figure(uniform)} nats)"
    return f"The loss {where}, {factor}{_meaning(ratio, run, stays)}"


def _vocabulary(run: Run) -> int:
    model = run.config.get("model")
    size = model.get("vocab_size") if isinstance(model, dict) else None
    return int(size) if isinstance(size, int | float) and 2 <= size < math.inf else 0


def _accumulation(run: Run) -> float:
    """Return the accumulation steps that the header names, 0 where it names none."""
    steps = run.config.get("grad_accum")
    return float(steps) if isinstance(steps, int | float) and 1 <= steps < 1e9 else 0.0


def _meaning(ratio: float, run: Run, stays: bool) -> str:
    if not stays:
        return f", as after a large initialisation{', or as in bits' if abs(ratio - BITS) < BITS_TOLERANCE else ''}"
    steps = _accumulation(run)
    if steps:
        fits = steps > 1 and abs(ratio / steps - 1) < WHOLE
        return f", as if summed over the {steps:.0f} accumulation steps" if fits else ""
    near = 1.5 <= ratio <= MOST_STEPS and abs(ratio / round(ratio) - 1) < WHOLE and not _evaluation_is_high(run)
    return f", as if summed over {round(ratio)} accumulation steps" if near else ""


def _evaluation_is_high(run: Run) -> bool:
    """Tell whether the evaluation, which no accumulation adds up, begins far above the uniform guess as well."""
    losses = run.evaluation_loss[1].finite.values if run.evaluation_loss else np.empty(0)
    return len(losses) > 0 and float(losses[0]) > SAME * math.log(max(_vocabulary(run), 2))


def _named(first: float, run: Run) -> str:
    """Say of which usual vocabulary the first loss is a multiple of the uniform guess; "" where there is none, or no
    saying which."""
    near = [
        (factor, size)
        for factor in range(2, MOST_NAMED + 1)
        for size in USUAL_VOCABULARIES
        if abs(first / (factor * np.log(size)) - 1) < EXACT
    ]
    if len({factor for factor, _ in near}) != 1:
        return ""
    factor, size = near[0]
    summed = f", as if summed over the {factor} accumulation steps" if _accumulation(run) == factor else ""
    return f", and {factor} times that over {size:,} tokens{summed}"


def _far_too_high(run: Run, metric: str, losses: Series) -> Finding:
    level = float(median(losses.values))
    return Finding(
        f"The loss has a median of {figure(level)} from {run.place(int(losses.steps[0]))} on, where this log begins: no language "
        f"model's mean loss per token stays above {LARGEST_UNIFORM:.0f} nats.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {"level": level, "lowest": float(losses.values.min())},
        (
            "Compute the loss of one batch by hand: a mean over target tokens, in nats.",
            "If that is what it is, the model is broken: look at the beginning of the run.",
        ),
    )


def _evidence(first: float, uniform: float, ratio: float, seen: Progress) -> dict[str, float]:
    return {"first_loss": first, "uniform": uniform, "ratio": ratio, "end": seen.end, "rank_trend": seen.rank_trend}


def _advice(run: Run) -> tuple[str, ...]:
    steps = _accumulation(run)
    count = f"the {steps:.0f} accumulation steps" if steps > 1 else "the number of its parts"
    return (
        "Compute the loss of one batch by hand: a mean over target tokens, in nats. "
        f"If the logged loss is a sum, divide it by {count}.",
        "If the gradients were summed as well, divide the loss before backward() and tune the learning rate again.",
        f"If the mean is right, {SMALLER_START[0].lower()}{SMALLER_START[1:]}",
    )
