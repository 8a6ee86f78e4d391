"""What to do next, in sentences with this run's own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.facts import stated
from lmdiag.figures import figure
from lmdiag.finding import Advice
from lmdiag.run import Run
from lmdiag.stats.limits import LOW_RATE
from lmdiag.stats.phases import WARM, phases
from lmdiag.stats.windows import median, quantile
from lmdiag.updates import EARLY, USUAL, began_with_the_run, larger_lr, measured_late, moves, share_at

USUAL_LIMIT = 1.0  # of the gradient norm, as in GPT-3, PaLM and Llama
EARLY_FACTOR, LATE_FACTOR = 10, 3  # a rate that was never good is further off than one that was good for long
HARMLESS = 1e-7  # a rate of this size moves a weight by less than a hundred-thousandth in a hundred updates of Adam
FEW_NORMS, RECENT_NORMS, GREW = 5, 50, 1.2  # records; times their median before
NOTHING = 1e-5  # of the weights: a thousand such updates move them by a hundredth
WARM_UP, LONGEST_WARM_UP = 0.1, 2000  # share of a run, and steps: what GPT-3, Llama and nanoGPT take
UPSIDE_DOWN = 0.1  # of the first rate, within a fifth of the run: no decay falls so soon
LR_NAMES = ("learning_rate", "lr", "peak_lr", "peak_learning_rate", "max_lr", "base_lr", "init_lr", "initial_lr")
KL_NAMES = ("kl_coef", "beta", "kl_beta", "init_kl_coef", "kl_loss_coef", "kl_penalty_coef")
BY_THEN = 0.05  # of the run
STILL, RISEN = 0.1, 1.5  # share of the records for which a rate did not rise, and by which factor it has risen since


def rounded(value: float, digits: int = 2) -> float:
    """Return a number as a sentence writes it, so that a setting is what the sentence says.

    >>> rounded(0.004237), rounded(1483.2, 3)
    (0.0042, 1480.0)
    """
    return float(f"{value:.{digits}g}")


def rewind(run: Run, step: int) -> Advice:
    """Say from which checkpoint to resume when things went wrong at `step`."""
    saved = run.checkpoint_before(step - 1)
    if saved is not None:
        return Advice(f"Resume from the checkpoint saved at {run.place(saved)}.", about="checkpoint")
    if step <= run.first_step and run.curve is not None and holds_start(run, run.curve[1]):
        return Advice("Start again once that is cured: it began with the first record.", about="checkpoint")
    words = f"Resume from the last checkpoint before {run.place(step)}; save checkpoints more often if there is none."
    return Advice(words, about="checkpoint")


def back_and_calmer(run: Run, step: int) -> tuple[Advice, ...]:
    """Say what cures a loss that rose from `step` on: another rate, and from which checkpoint, if one is worth it.

    No limit cures a loss that rose while gradients stayed as they were.
    """
    if began_with_the_run(run, step):
        again = Advice(
            f"Start again: {run.place(step)} is too early for a checkpoint worth keeping.", about="checkpoint"
        )
        return lower_lr(run, step), again, clip(run, step)
    limit = () if rate_is_cleared(run, step) or not gradients_grew(run, step) else (clip(run, step),)
    return rewind(run, step), lower_lr(run, step), *limit


def gradients_grew(run: Run, step: int) -> bool:
    """Tell whether gradient norms grew where a loss rose, or the log does not say: it has few of them, or none."""
    norms = run["grad_norm"].finite if "grad_norm" in run else None
    before = norms.between(run.first_step, step - 1).values[-RECENT_NORMS:] if norms is not None else np.empty(0)
    after = norms.between(step, run.last_step).values[:RECENT_NORMS] if norms is not None else np.empty(0)
    return min(len(before), len(after)) < FEW_NORMS or bool(median(after) >= GREW * median(before))


def rate_is_cleared(run: Run, step: int) -> bool:
    """Tell whether the rate at a step is too small to make a loss rise: tiny, or far below a peak that did no harm for long."""
    lr = run.value_at("lr", step)
    if lr is None or not np.isfinite(lr):
        return False
    peak = float(np.nanmax(run["lr"].values[run["lr"].steps <= step]))
    return 0 < lr < HARMLESS or (peak > 0 and not began_with_the_run(run, step) and lr < LOW_RATE * peak)


def lower_lr(run: Run, step: int) -> Advice:
    """Say which learning rate to try, from how far updates moved the weights before `step`, else from when it went wrong.

    Where the log speaks against the rate as the cause, say that instead.
    """
    if run.objective == "reinforcement":
        words = f"Look at rewards and KL around {run.place(step)} first."
        return Advice(words, about="lr")
    early = began_with_the_run(run, step)
    factor = EARLY_FACTOR if early else LATE_FACTOR
    lr = run.value_at("lr", step)
    cleared = rate_is_cleared(run, step)
    if lr is None or not np.isfinite(lr) or (not lr and not cleared):
        return _lower_stated(run, factor)
    place, now = run.place(step), figure(lr, 3)
    if cleared:
        peak = float(np.nanmax(run["lr"].values[run["lr"].steps <= step]))
        decayed = "" if lr >= LOW_RATE * peak else f", down from {figure(peak, 3)},"
        return Advice(f"Leave the learning rate: {now} at {place}{decayed} is too little to do this.", about="lr")
    if early and run.step_kind == "step" and _settled_below(run) is not None:
        return warm_up(run, 0)
    again = _rose_again(run, step)
    if again:
        return Advice(f"Correct the schedule: the learning rate had risen from {again}.", about="lr")
    moved = moves(run, step)
    if moved is None or moved.usual_lr > lr / 2:
        when = "as early as " if early else "at "
        return _slower(run, lr / factor, f"it was {now} when this began, {when}{place}")
    late = early and measured_late(run)
    began = "the norm first logged, after updates that had moved them" if late else "the norm they began with"
    norm = began if late or moved.grown >= 2 else "their norm"
    why = (
        f"at {figure(moved.lr, 3)} an update moved the weights by {figure(100 * moved.share, 2)}% of {norm}, where "
        f"{USUAL:.0%} is usual"
    )
    return _slower(run, min(moved.usual_lr, lr / (EARLY_FACTOR if late else LATE_FACTOR)), why)


def _lower_stated(run: Run, factor: int) -> Advice:
    """Say which rate to try where no record tells the present one: the settings may."""
    given = stated(run.config, LR_NAMES)
    if not given:
        unknown = "" if "lr" in run else " (the log does not say what it was)"
        return Advice(f"Divide the peak learning rate by {factor}{unknown}.", about="lr")
    if given < HARMLESS:
        return Advice(f"Leave the learning rate: {figure(given, 3)} is too little to do this.", about="lr")
    return _slower(run, given / factor, f"the settings give {figure(given, 3)}")


def lower_peak(run: Run, step: int) -> Advice:
    """Say from which peak to which the learning rate should go, whatever became of it by `step`."""
    rates = run["lr"].finite.between(run.first_step, step).values if "lr" in run else np.empty(0)
    peak = float(rates.max()) if len(rates) else 0.0
    if peak <= 0:
        return _lower_stated(run, LATE_FACTOR)
    lower = peak / LATE_FACTOR
    return Advice(f"Lower the peak learning rate from {figure(peak, 3)} to {figure(lower, 2)}.", lr=rounded(lower))


def kl_coefficient(run: Run, step: int) -> float | None:
    """Return the weight of the divergence from the reference as logged by `step`, else as the settings say it; None where unknown."""
    logged = run.value_at("kl_coef", step)
    return logged if logged is not None and np.isfinite(logged) and logged >= 0 else stated(run.config, KL_NAMES)


def raise_kl(run: Run, step: int, factor: int) -> str:
    """Say which KL coefficient to try, two or three times the present one."""
    now = kl_coefficient(run, step)
    if now is None:
        words = "twice" if factor == 2 else "three times"
        return f"Raise the KL coefficient to {words} the present one, or 0.01 to 0.05 if there is none."
    if now == 0:
        return "Set a KL coefficient of 0.01 to 0.05: it is 0."
    return f"Raise the KL coefficient: it is {figure(now, 3)}, try {figure(factor * now, 2)}."


def warm_up(run: Run, present: int) -> Advice:
    """Say over how many steps to warm up: a tenth of a short run, 2,000 at most, and not fewer than now."""
    span = max(run.planned_steps, run.last_step - run.first_step)
    steps = int(rounded(max(10.0, 2.0 * present, min(WARM_UP * span, LONGEST_WARM_UP))))
    words = f"Warm up over {steps:,} {run.unit}s"
    if run.step_kind != "step":
        return Advice(f"{words}.", about="warmup_steps")
    settled = _settled_below(run)
    if settled is not None:
        first = figure(float(run["lr"].finite.values[0]), 3)
        words = f"{words} to {figure(settled, 2)}, where the rate soon was, instead of beginning with {first}."
        return Advice(words, warmup_steps=steps, lr=rounded(settled))
    return Advice(f"{words}{f' instead of {present:,}' if present else ''}.", warmup_steps=steps)


def _settled_below(run: Run) -> float | None:
    """Return where the rate soon was that began far higher, as in a warm-up that is upside down; None for other schedules."""
    rates = run["lr"].finite if "lr" in run else None
    settled = run.value_at("lr", round(run.first_step + EARLY * (run.last_step - run.first_step)))
    if rates is None or not len(rates) or not settled or rates.values[0] < rates.values.max():
        return None
    return settled if settled <= UPSIDE_DOWN * rates.values[0] else None


def raise_lr(run: Run, peak: float) -> Advice:
    """Say which learning rate to try where the present one, `peak`, is far too low for the model to learn."""
    share = share_at(run, peak)
    if share is None or larger_lr(peak, share) < 2 * peak:
        words = f"Raise the learning rate to {figure(10 * peak, 2)}, ten times the present one."
        return Advice(words, lr=rounded(10 * peak))
    lr, moved = larger_lr(peak, share), figure(share, 2)
    words = (
        f"Raise the learning rate to {figure(lr, 2)}: at {figure(peak, 2)} an update moves only {moved} of the weights."
    )
    return Advice(words, lr=rounded(lr))


def set_in_motion(run: Run) -> tuple[str, ...]:
    """Say what to do first where the log shows that the weights stand still: no rate, or one that is far too low."""
    rates = run["lr"].finite.values if "lr" in run else np.empty(0)
    weights = run["param_norm"].finite.values if "param_norm" in run else np.empty(0)
    if len(weights) >= FEW_NORMS and rates.max(initial=0.0) > 0 and not np.ptp(weights):
        return (
            "The norm of the weights is the same in every record: which parameters does the optimizer hold, and does it step?",
        )
    if not len(rates):
        return ()
    peak = float(rates.max())
    if peak <= 0:
        return ("The learning rate is zero in every record: set it.",)
    share = share_at(run, peak)
    return (raise_lr(run, peak),) if share is not None and share < NOTHING else ()


def _slower(run: Run, lr: float, why: str) -> Advice:
    """Return the advice to take this rate, and what else the log shows to be missing: a decay to its end, clipping."""
    rest: dict[str, Any] = {}
    words = [f"Lower the learning rate to {figure(lr, 2)}"]
    if "lr" in run and run.complete and _never_falls(run):
        words.append("let it fall along a cosine")
        rest["schedule"] = "cosine"
    if run.config.get("grad_clip") == 0:
        words.append(f"clip the gradient norm at {USUAL_LIMIT}")
        rest["grad_clip"] = USUAL_LIMIT
    *first, last = words
    return Advice(f"{', '.join(first)}{' and ' if first else ''}{last}: {why}.", lr=rounded(lr), **rest)


def _never_falls(run: Run) -> bool:
    schedule = phases(run["lr"].steps, run["lr"].values)
    return schedule is not None and schedule.final >= WARM and not schedule.still_warming


def _rose_again(run: Run, step: int) -> str:
    """Return from where to where the rate rose again by the time things went wrong, "" where it only warmed up, stood or fell."""
    late = step + BY_THEN * (run.last_step - run.first_step)  # an onset is never sure to the step
    rates = run["lr"].finite.between(run.first_step, late)
    rising = np.flatnonzero(np.diff(rates.values) > 0)  # stretches between rises: the rate stands or falls
    ends = np.append(rising, len(rates) - 1)
    starts = np.concatenate([[0], rising + 1])
    long = np.flatnonzero(ends - starts >= max(5, STILL * len(run["lr"])))
    if not len(long):
        return ""
    stood, behind = float(rates.values[ends[long[-1]]]), rates.at(slice(int(ends[long[-1]]) + 1, None))
    highest = int(np.argmax(behind.values)) if len(behind) else 0
    if not len(behind) or not 0 < RISEN * stood <= behind.values[highest]:
        return ""
    place = run.place(int(behind.steps[highest]))
    return f"{figure(stood, 3)} to {figure(float(behind.values[highest]), 3)} by {place}"


def clip(run: Run, step: int) -> Advice:
    """Say at which norm to clip gradients: the 90th percentile of the norms before `step`, never above the limit in force."""
    limit = run.config.get("grad_clip")
    limit = float(limit) if isinstance(limit, int | float) and limit > 0 else None
    norms = run.series.get("grad_norm")
    before = norms.finite.between(run.first_step, step - 1).values if norms is not None else np.empty(0)
    if len(before) < 8 or began_with_the_run(run, step):  # the norms of a run that never was sound say nothing
        if limit is None or limit > USUAL_LIMIT:
            present = f" instead of {figure(limit)}" if limit else ""
            return Advice(f"Clip the gradient norm at {USUAL_LIMIT}{present} to begin with.", grad_clip=USUAL_LIMIT)
        return Advice(f"Leave the clipping limit at {figure(limit)}.", about="grad_clip")
    usual = rounded(quantile(before, 0.9))
    if limit is not None and limit <= usual:
        words = (
            f"Leave the clipping limit at {figure(limit)}: it is already at or below the 90th percentile of the norms "
            f"before {run.place(step)} ({figure(usual)})."
        )
        return Advice(words, about="grad_clip")
    present = f" (the limit was {figure(limit)})" if limit else ""
    words = f"Clip the gradient norm at {figure(usual)}, its 90th percentile before {run.place(step)}{present}."
    return Advice(words, grad_clip=usual)


def bf16(run: Run) -> Advice:
    """Say what to do about overflow: bf16 cures that of fp16, and nothing where the run has the range of fp32 already."""
    precision = str(run.config.get("precision", "")).lower()
    if any(name in precision for name in ("bf16", "bfloat16", "fp32", "float32", "32-true")):
        words = f"Find the operation that overflows, even in {precision}: divisions, logarithms, masks."
        return Advice(words, about="precision")
    if "16" in precision or "loss_scale" in run:
        return Advice("Use bf16: it has the range of fp32 and needs no loss scale.", precision="bf16")
    return Advice("If the run uses fp16, use bf16: it has the range of fp32 and needs no loss scale.", precision="bf16")


def keep_best(run: Run, metric: str, step: int, value: float) -> Advice:
    """Say which checkpoint to keep; a log that names its checkpoints may name none of this step."""
    measured = run[metric].finite.between(-1, step) if metric in run else None
    # Of a level that is a median, the lowest of its values
    if measured is not None and len(measured) and measured.values.min() < value:
        row = int(measured.values.argmin())
        step, value = int(measured.steps[row]), float(measured.values[row])
    saved = [event.step for event in run.events if event.kind == "checkpoint_saved"]
    place, lowest = run.place_of(metric, step), figure(value)
    if saved and step not in saved:
        words = f"If a checkpoint of {place} exists, keep it: {metric} was lowest there ({lowest})."
    else:
        words = f"Keep the checkpoint of {place}, where {metric} was lowest ({lowest})."
    return Advice(words, about="checkpoint")


def labels(run: Run) -> str:
    """Say what to look at where a model does not learn what its labels say, and what the uniform guess over its vocabulary costs."""
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    shifted = " (shifted once, not twice)" if run.objective == "causal-lm" else ""
    said = f"Decode inputs and labels of one batch: the labels must fit the inputs{shifted} and not all be masked."
    if isinstance(vocabulary, int | float) and vocabulary > 1 and run.per_token:
        said += f" The uniform guess over {vocabulary:,} tokens costs {float(np.log(vocabulary)):.2f} nats."
    return said
