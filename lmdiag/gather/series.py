"""RawLog -> Run: names, units, steps, splits, restarts, once for all formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from msgspec import Struct

from lmdiag.account import Skipped
from lmdiag.facts import unsound
from lmdiag.gather.accounting import account_of
from lmdiag.gather.arranged import Arranged
from lmdiag.gather.axis import Axis
from lmdiag.gather.objective import objective_and_method, signed_or
from lmdiag.gather.restarts import segments as segments_of
from lmdiag.gather.translated import Translated
from lmdiag.methods import LANGUAGE_MODEL, METHODS, PREFERENCE, REINFORCEMENT
from lmdiag.metrics import LN2
from lmdiag.naming import SCORES, evaluation_set
from lmdiag.readers.rawlog import RawLog
from lmdiag.run import Event, Run, Segment, Series
from lmdiag.stats.alignment import shared_steps

OWN = "lmdiag-log/1"  # this format calls the share of clipped gradients so
RISES = [name for name, (kind, _) in METHODS.items() if kind == REINFORCEMENT]
POLICY_LOSS = "The loss of a policy is near 0 by construction and may rise with its divergence from the reference: it shows no progress, the reward does."
WITHOUT_LOSS = "no column is called a loss"
# Records in which a perplexity is the exponential of a loss of two decimals, but for a few
FEWEST, ROUNDED, MOSTLY = 3, 0.01, 0.9
MOST_DECIMALS = 12  # of learning rates, mostly; full precision has more
EXACT = 2**51 / 10**MOST_DECIMALS  # below, a number of fewer decimals is rounded to itself at the most, too
SAMPLED_VALUES = 2000
FIRST_VALUES = 20  # these tell nearly always that the others need no look
BITS = {"bpb": "bits per byte", "bpc": "bits per character"}
LARGEST_ROUNDED = 1e15  # larger numbers are whole; NaN compares as false
UNIT_WORDS = {1e-3: "ms", 1e-2: "%", 2.0**30: "GiB", 2.0**20: "MiB", LN2: "bits"}


def gather(log: Arranged) -> Run:
    """Turn what a reader found into a Run; every format goes through here, so a convention is applied once."""
    raw = log.raw
    axis, segments = segments_of(log)
    series: dict[str, Series] = {}
    superseded: dict[str, Series] = {}
    beaten: list[Skipped] = []
    seen: dict[int, _Points] = {}
    for metric, column in log.columns.items():
        rows = column.column.rows
        if id(rows) not in seen:
            lines = None if raw.lines is None else raw.lines[rows]
            seen[id(rows)] = _points(lines, axis.steps[rows], rows, segments)
        series[metric], replaced = _series(raw, column, seen[id(rows)], resumed=len(segments) > 1)
        if replaced is not None and len(replaced):
            superseded[metric] = replaced
        if len(segments) == 1 and metric.rpartition("/")[2] in SCORES and not raw.origins:  # converted logs say it
            beaten += _beaten(column, seen[id(rows)], axis.kind)
    series |= _losses_of_perplexities(series)
    losses = _losses_of_bits(series)
    series |= losses
    series |= _times_of_speeds(series)
    if "loss" not in series and "train/loss" in series:  # estimates are all that this log says of the training loss
        series["loss"] = series.pop("train/loss")
    norm_notes = (*_mark_norms_of_minus_one(series), *_perplexity_of_evaluation(series))
    guesses = [column.guess for column in log.columns.values() if column.guess]
    unmeasured = [
        f'{column.unmeasured:,} NaN in "{column.source_name}" were taken as "not measured"'
        for column in log.columns.values()
        if column.unmeasured
    ]
    in_bits = {f"the log has no loss but {s.source_unit}: the loss is that in nats" for s in losses.values()}
    notes = (*raw.notes, *axis.notes, *guesses, *unmeasured, *norm_notes, *sorted(in_bits))
    config, doubts = _sound(_in_nats(raw.config))
    notes = (*notes, *doubts)
    objective, method = objective_and_method(raw, series)
    if METHODS[method][0] == PREFERENCE:
        series |= _margins(series)
        renamed = _accuracies_of_pairs(series)
        notes = (
            (*notes, f"{', '.join(renamed)}: the share of pairs in the right order, reward_accuracy")
            if renamed
            else notes
        )
    if objective == "reinforcement" and raw.format != OWN:
        series |= _clipped_ratios(series)
    if objective == "reinforcement" and "reward" not in series and (rewarded := _evaluated_reward(series)):
        series["reward"] = series[rewarded]
        notes = (*notes, f"the log has no reward of the training: {rewarded} is judged as the reward")
    objective = signed_or(objective, series)
    method = "composite" if objective == "signed" else method
    if METHODS[method][0] == LANGUAGE_MODEL:
        notes = (*notes, *_below_zero(series, axis.kind))
    if not any(name.rpartition("/")[2] == "loss" for name in series) and objective != "reinforcement":
        notes = (*notes, _without_loss(raw))
    return Run(
        raw.name,
        {name: s for name, s in series.items() if len(s)},
        source=raw.source or raw.name,
        format=raw.format,
        segments=segments,
        config=config,
        events=tuple(_recounted(event, log.axis, axis) for event in raw.events),
        notes=(*notes, POLICY_LOSS) if "loss" in series and method in RISES and not raw.spans else notes,
        skipped=(*raw.skipped, *beaten),
        superseded=superseded,
        objective=objective,
        method=method,
        step_kind=axis.kind,
        account=account_of(log, axis, notes, beaten),
        spread=raw.spread,
    )


def _recounted(event: Event, before: Axis, axis: Axis) -> Event:
    """Return an event at the place that its step has where records are counted instead, at none where several rows have that step."""
    if axis is before or event.step is None:
        return event
    rows = np.flatnonzero(before.steps == event.step)
    return replace(event, step=int(axis.steps[rows[0]]) if len(rows) == 1 else None)


def _below_zero(series: dict[str, Series], step_kind: str) -> Iterator[str]:
    """Say which losses of a language model are below 0, which no cross-entropy is: no perplexity is computed from them."""
    for name, losses in series.items():
        if name.rpartition("/")[2] == "loss" and (below := losses.values < 0).any():
            first = f"{step_kind.removesuffix('s')} {int(losses.steps[below][0]):,}"
            count = int(below.sum())
            told = f"{count:,} of {len(losses):,} values of {name} {'is' if count == 1 else 'are'} below 0, first at {first}"
            yield f"{told}: no cross-entropy is, and no perplexity is computed from {name}"


def _mark_norms_of_minus_one(series: dict[str, Series]) -> tuple[str, ...]:
    """Turn gradient norms of -1, which some programs write for NaN, into NaN, and leave out a norm that is -1 throughout beside a
    finite loss: it was never computed. Return what to say of it."""
    norm = series.get("grad_norm")  # findings/deepspeed-norm-of-nan-is-minus-one.sh
    if norm is None or not (marked := norm.values == -1.0).any():
        return ()
    if marked.all() and "loss" in series and len(series["loss"].finite):
        del series["grad_norm"]
        return (f"a gradient norm of -1 in all {len(norm):,} records was not computed, and is left out",)
    series["grad_norm"] = replace(norm, values=np.where(marked, np.nan, norm.values))
    return (f"a gradient norm of -1 ({marked.sum()} times) was read as NaN: DeepSpeed and InternEvo write it so",)


def _without_loss(raw: RawLog) -> str:
    """Say which columns a log without a loss has, and the option that names one."""
    from lmdiag.readers.options import listed
    from lmdiag.readers.suggestions import map_options  # most logs have a loss

    options = map_options(raw)
    said = f"; say which is one: {options}" if options else ""
    return f"{WITHOUT_LOSS}; there are {listed(raw.columns)}{said}"


def _losses_of_perplexities(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return the losses of those sets of which the log tells only the perplexity, which is their exponential."""
    losses: dict[str, Series] = {}
    for name, said in series.items():
        set_name, _, metric = name.rpartition("/")
        loss = f"{set_name}/loss" if set_name else "loss"
        if metric == "ppl" and loss not in series:
            with np.errstate(divide="ignore", invalid="ignore"):
                losses[loss] = Series(
                    said.steps, np.log(said.values), said.lines, said.source_name or name, "perplexity"
                )
    return losses


def _perplexity_of_evaluation(series: dict[str, Series]) -> Iterator[str]:
    """Give a perplexity that is not of the training loss beside it to the evaluation set whose loss it is of, and say so."""
    said = series.get("ppl")
    if said is None or _is_exponential(said, series.get("loss")):
        return
    for name in [name for name in series if name.endswith("/loss") and evaluation_set(name)]:
        other = f"{name.removesuffix('loss')}ppl"
        if other not in series and _is_exponential(said, series[name]):
            series[other] = series.pop("ppl")
            yield f'"{said.source_name or "ppl"}" is the exponential of {name}, and is that of the evaluation'
            return


def _is_exponential(perplexities: Series, losses: Series | None) -> bool:
    if losses is None:
        return False
    left, right = shared_steps(perplexities.steps, losses.steps)
    values = perplexities.values[left]
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.abs(np.log(values) - losses.values[right]) <= ROUNDED + perplexities.rounding / values
    return len(near) >= FEWEST and bool(near.mean() > MOSTLY)


def _losses_of_bits(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return the losses in nats of a log that tells nothing but bits per byte or character."""
    measured = {name: name.rpartition("/")[2] for name in series}
    if "loss" in measured.values():
        return {}
    return {
        f"{name.removesuffix(measure)}loss": Series(
            said.steps, said.values * LN2, said.lines, said.source_name or name, BITS[measure]
        )
        for name, said in series.items()
        if (measure := measured[name]) in BITS
    }


def _times_of_speeds(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return the time of a step where the log tells only how many there are in a second."""
    speed = series.get("steps_per_sec")
    if speed is None or "step_time_s" in series:
        return {}
    with np.errstate(divide="ignore"):
        return {"step_time_s": Series(speed.steps, 1 / speed.values, speed.lines, speed.source_name, "steps/s")}


def _evaluated_reward(series: Mapping[str, Series]) -> str:
    """Return the evaluation with the most rewards of a log without a loss, but for that of the policy, "" where there is none."""
    if any(name.rpartition("/")[2] == "loss" for name in series):
        return ""
    sets = [name for name in series if name.endswith("/reward") and evaluation_set(name)]
    return max(sets, key=lambda name: len(series[name]), default="")


def _margins(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return the margins of those sets of which the log tells only the rewards of both answers."""
    margins: dict[str, Series] = {}
    for name, chosen in series.items():
        set_name = name.removesuffix("chosen_reward")
        rejected = series.get(f"{set_name}rejected_reward")
        wanted = name.rpartition("/")[2] == "chosen_reward" and f"{set_name}reward_margin" not in series
        if wanted and rejected is not None and np.array_equal(chosen.steps, rejected.steps):
            said = f"{chosen.source_name or name} - {rejected.source_name or 'rejected_reward'}"
            margins[f"{set_name}reward_margin"] = Series(
                chosen.steps, chosen.values - rejected.values, chosen.lines, said
            )
    return margins


def _clipped_ratios(series: dict[str, Series]) -> dict[str, Series]:
    """Call a share that was clipped what it is in other programs that train policies: that of the probability ratios, not of the gradients."""
    if "clip_frac" not in series or "clip_ratio" in series:
        return {}
    kept = series.pop("clip_frac")
    return {"clip_ratio": replace(kept, source_name=kept.source_name or "clip_frac")}


def _accuracies_of_pairs(series: dict[str, Series]) -> list[str]:
    """Call an accuracy that is not one of tokens what it is in training on preferences, and return which these are."""
    found = [
        name for name, s in series.items() if name.rpartition("/")[2] == "accuracy" and "token" not in s.source_name
    ]
    found = [name for name in found if name.replace("accuracy", "reward_accuracy") not in series]
    for name in found:
        kept = series.pop(name)
        series[name.replace("accuracy", "reward_accuracy")] = replace(kept, source_name=kept.source_name or name)
    return found


def _in_nats(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**config, "loss_unit": "nats", "converted_from": "bits"} if config.get("loss_unit") == "bits" else config


def _sound(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return the facts of a header without those that should be numbers and are none, and what was left out."""
    wrong = unsound(config)
    if not wrong:
        return config, []
    kept = {name: value for name, value in config.items() if name not in wrong}
    if isinstance(config.get("model"), Mapping):
        kept["model"] = {k: v for k, v in config["model"].items() if f"model.{k}" not in wrong}
    return kept, [
        f"{fact} is {str(value)[:40]!r} in the header, which is no number: it was not used"
        for fact, value in wrong.items()
    ]


class _Points(Struct, frozen=True, eq=False):
    """The steps of a column with their lines, which of its points stand, by step (None: all, as they are), and which were replaced."""

    lines: np.ndarray | None
    steps: np.ndarray
    standing: np.ndarray | None
    replaced: np.ndarray


def _points(lines: np.ndarray | None, steps: np.ndarray, rows: np.ndarray, segments: tuple[Segment, ...]) -> _Points:
    """Return the points of a column, and which of them a later write replaced.

    A resumed run replaces everything that an earlier segment wrote at or after the step it resumed from; within a
    segment the later of two values of one step stands.
    """
    if len(steps) < 2 or (len(segments) < 2 and np.diff(steps).min() > 0):
        return _Points(lines, steps, None, np.empty(0, np.int64))
    stands = np.ones(len(steps), bool)
    segment = np.searchsorted([s.first_row for s in segments], rows, side="right") - 1
    for number, later in enumerate(segments[1:], 1):
        if (segment >= number).any():
            stands &= (segment >= number) | (steps < later.first_step)
    order = np.argsort(steps, kind="stable")
    order = order[stands[order]]
    last = np.append(np.diff(steps[order]) > 0, True)
    stands[order[~last]] = False
    replaced = np.flatnonzero(~stands)
    replaced = replaced[np.argsort(steps[replaced], kind="stable")]
    return _Points(lines, steps, order[last], replaced)


def _beaten(found: Translated, points: _Points, kind: str) -> list[Skipped]:
    """Count the values of a column that another one of the same step took the place of."""
    values, steps, standing, replaced = found.column.values, points.steps, points.standing, points.replaced
    if standing is None or not len(replaced):
        return []
    place = standing[np.searchsorted(steps[standing], steps[replaced])]
    other = replaced[~_equal(values[place], values[replaced])]
    first = 0 if points.lines is None or not len(other) else int(points.lines[other].min())
    said = f'"{found.source_name}" has several values at one {kind}, the last of which was read'
    return [Skipped(first, said, len(other), "value")] if len(other) else []


def _series(raw: RawLog, found: Translated, points: _Points, resumed: bool) -> tuple[Series, Series | None]:
    values, steps, replaced = found.column.values, points.steps, points.replaced
    name = found.source_name
    scale = found.scale
    said = raw.origins.get(found.metric, {})
    decimals = said.get("decimals") if raw.origins else _decimals_of(values, scale)
    values = values * scale if scale != 1 else values
    unit = said.get("unit", "") if raw.origins else raw.units.get(name, UNIT_WORDS.get(scale, ""))
    reduction = said.get("reduction") or raw.reductions.get(
        name, "epoch_mean" if name.lower().endswith("_epoch") else ""
    )
    source_name = said.get("name", "") if raw.origins else (name if name != found.metric else "")

    def at(rows: np.ndarray | slice) -> Series:
        lines = None if points.lines is None else points.lines[rows]
        return Series(steps[rows], values[rows], lines, source_name, unit, decimals, reduction)

    if points.standing is None:
        return at(slice(None)), None
    series = at(points.standing)
    if not resumed and len(series):  # a log that polls another repeats its records
        place = np.minimum(np.searchsorted(series.steps, steps[replaced]), len(series) - 1)
        same = (series.steps[place] == steps[replaced]) & _equal(series.values[place], values[replaced])
        replaced = replaced[~same]
    last = np.append(np.diff(steps[replaced]) > 0, True)[: len(replaced)]
    return series, at(replaced[last])


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _decimals_of(values: np.ndarray, scale: float) -> int | None:
    """Return how many decimals the scaled values are rounded to, None for full precision or a scale that is no power of ten."""
    shift = -math.log10(scale) if scale > 0 else math.nan
    decimals = _decimals(values) if shift.is_integer() else None
    return None if decimals is None else decimals + int(shift)


def _decimals(values: np.ndarray) -> int | None:
    """Return how many decimals the values are rounded to, None for full precision; judged by a sample over the whole log."""
    sample = values[:: max(1, len(values) // SAMPLED_VALUES)]
    sample = sample[np.abs(sample) < LARGEST_ROUNDED]
    if not len(sample):
        return None
    first = sample[:FIRST_VALUES]
    if np.abs(first).max() < EXACT and not np.array_equal(np.round(first, MOST_DECIMALS), first):
        return None  # as in most logs
    for decimals in range(MOST_DECIMALS + 1):
        if all(np.array_equal(np.round(part, decimals), part) for part in (first, sample)):
            return decimals
    return None
