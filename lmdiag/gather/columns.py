"""Source columns -> canonical metrics: names, units, splits, and one column for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.axis import Axis
from lmdiag.gather.named_sets import with_losses_of_sets
from lmdiag.gather.only_loss import is_like_a_loss, with_only_losses
from lmdiag.gather.placeholders import without_placeholders, without_records_of_zeros
from lmdiag.gather.sets import Splits
from lmdiag.gather.successive import with_joined_losses
from lmdiag.gather.translated import Translated
from lmdiag.metrics import LN2, METRICS, unit_scale
from lmdiag.naming import evaluation_set, spelling, words_of
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.task_measures import is_score

COMPARABLE = 0.9  # a column with this share of the points of the fullest may be preferred to it for its name
ANSWERS = ("chosen_reward", "rejected_reward")
LANGUAGE_MODEL_LOSS = ("lm_loss", "lm loss", "lm-loss", "ce_loss", "cross_entropy", "crossentropy", "nll_loss")
MANY_LOSSES = 6  # more than a language model has
OF_THE_LANGUAGE_MODEL = "it is the loss of the language model alone"
TERMS = frozenset({"ce", "nll", "xent"})
FEWEST_TOTALS = 6  # values of a loss, to judge it
PEAK = frozenset({"max", "peak"})  # of the memory, which says whether a run fits
MOST_SURPLUS = 99  # words of a name that say nothing
OF_PREFERENCES = (
    "rewards/",
    "logps/",
    "log_odds",
    "eval_rewards/",
)  # beside these a likelihood is one term of the loss
LARGEST_SHARE = 1.5  # a larger accuracy or utilisation is one in percent
SUMMARIES = 0.2  # share of the records that can be summaries
# A sum over as many batches in every record is a multiple of its average
FEWEST_SUMS, SAME_RATIO, LEAST_RATIO = 3, 0.05, 1.5
TRAINER_LOSSES = ("Training Loss", "Validation Loss")  # as the Trainer heads its table
SUMMARY = ("train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")


def translate(raw: RawLog, axis: Axis, splits: Splits) -> tuple[dict[str, Translated], list[str]]:
    """Bring all columns but the one that counts steps to their canonical names; return {metric: column} and what was chosen."""
    measured = without_placeholders(without_records_of_zeros(list(_translated(raw, axis, splits)), axis), axis)
    columns = list(_of_their_sets(_of_the_evaluation(measured)))
    return _one_column_each(with_joined_losses(raw, axis, with_losses_of_sets(with_only_losses(raw, columns))))


def _translated(raw: RawLog, axis: Axis, splits: Splits) -> Iterator[Translated]:
    summary_rows = _summary_rows(raw)
    for name, column in raw.columns.items():
        if (name == axis.column and not raw.names.get(name)) or (name in raw.names and raw.names[name] is None):
            continue
        if len(summary_rows) and name in SUMMARY:
            column = _without(column, summary_rows)
        metric = raw.names.get(name) or spelling(name).name
        scale = _scale(raw, name, metric) * _unit_of_config(raw, metric)
        for prefix, part in _by_split(column, splits) if len(column.rows) else ():
            whole = f"{prefix}{metric}" if "/" not in metric else metric
            percent = scale == 1 and whole.endswith(("accuracy", "f1", "mfu")) and (part.values > LARGEST_SHARE).any()
            yield Translated(whole, name, part, 1e-2 if percent else scale, f"{prefix}{name}")


def _of_the_evaluation(columns: list[Translated]) -> list[Translated]:
    """Give the evaluation its scores in the table that the Trainer shows, where they stand under bare names behind both losses."""
    rows = {column.source_name: column.column.rows for column in columns if column.source_name in TRAINER_LOSSES}
    if len(rows) < len(TRAINER_LOSSES):
        return columns
    evaluated = rows[TRAINER_LOSSES[1]]
    return [
        replace(column, metric=f"val/{column.metric}", own=f"val/{column.own}")
        if is_score(column.metric) and "/" not in column.source_name and np.array_equal(column.column.rows, evaluated)
        else column
        for column in columns
    ]


def _of_their_sets(columns: list[Translated]) -> Iterator[Translated]:
    """Give each set its part of an evaluation column that the records of several sets share, as `eval_accuracy` does beside
    `eval_easy_loss` in one record and `eval_hard_loss` in another."""
    rows = {
        c.metric.removesuffix("/loss"): c.column.rows
        for c in columns
        if c.metric.endswith("/loss") and evaluation_set(c.metric) not in ("", "train")
    }
    apart = len(rows) > 1 and len(np.unique(np.concatenate(list(rows.values())))) == sum(map(len, rows.values()))
    for column in columns:
        measure = column.metric.removeprefix("val/")
        shared = apart and measure not in (column.metric, "loss")
        parts = {name: np.isin(column.column.rows, rows[name]) for name in rows} if shared else {}
        if sum(part.any() for part in parts.values()) < 2 or not np.any(list(parts.values()), axis=0).all():
            yield column
            continue
        for name, inside in parts.items():
            if inside.any():
                part = Column(column.column.rows[inside], column.column.values[inside])
                yield replace(column, metric=f"{name}/{measure}", column=part)


def _scale(raw: RawLog, name: str, metric: str) -> float:
    """Return the factor to the unit of the metric: the reader's own, else that of the column's unit, else its name's."""
    if name in raw.scales:
        return raw.scales[name]
    scale = unit_scale(metric, raw.units.get(name, ""))
    return spelling(name).scale if scale == 1.0 and name not in raw.names else scale


def _unit_of_config(raw: RawLog, metric: str) -> float:
    return LN2 if raw.config.get("loss_unit") == "bits" and metric.rpartition("/")[2] == "loss" else 1.0


def _summary_rows(raw: RawLog) -> np.ndarray:
    """Return the rows that sum a training up: those with its runtime, unless every record has one, as with counts of tokens."""
    runtime = raw.columns.get("train_runtime")
    if runtime is None or len(runtime.rows) > max(1, SUMMARIES * raw.n_rows):
        return np.empty(0, np.int64)
    return runtime.rows


def _without(column: Column, rows: np.ndarray) -> Column:
    keep = ~np.isin(column.rows, rows)
    return Column(column.rows[keep], column.values[keep])


def _by_split(column: Column, splits: Splits) -> Iterator[tuple[str, Column]]:
    rest = np.ones(len(column.rows), bool)
    for prefix, rows in splits:
        inside = np.isin(column.rows, rows)
        if inside.any():
            rest &= ~inside
            yield prefix, Column(column.rows[inside], column.values[inside])
    if not splits or rest.all():
        yield "", column
    elif rest.any():
        yield "", Column(column.rows[rest], column.values[rest])


def _one_column_each(columns: list[Translated]) -> tuple[dict[str, Translated], list[str]]:
    """Choose one column for each metric, and say why; the others stay under their own names, a rarer training loss as `train/loss`."""
    groups: dict[str, list[Translated]] = {}
    for column in columns:
        groups.setdefault(column.metric, []).append(column)
    chosen = {}
    others: list[Translated] = []
    choices = [column.guess for column in columns if column.guess]
    choices += [f'"{name}" is named like a loss, but was not taken for one' for name in _unknown_losses(columns)]
    terms = any(c.source_name.startswith(OF_PREFERENCES) or c.metric in ANSWERS for c in columns)
    terms = terms or _are_of_no_words(columns)
    of_words = not terms and any(_is_of_words(column) for column in groups.get("loss", []))
    for metric, group in groups.items():
        best = max(_totals(group), key=partial(_preference, group, terms, of_words))
        chosen[metric] = best
        others += [replace(c, rival=_why(group, terms, of_words, best, c)) for c in group if c is not best]
    for column in others:
        if OF_THE_LANGUAGE_MODEL in column.rival:  # said of the run as well, as the two may go different ways
            chosen["loss"] = replace(chosen["loss"], guess=column.rival)
        rarer = len(column.column.rows) <= 0.5 * len(chosen[column.metric].column.rows)
        of_training = column.metric == "loss" and "train" in words_of(column.source_name)
        estimate = of_training and rarer and "train/loss" not in chosen
        name = "train/loss" if estimate else column.own
        while name in chosen or (name in METRICS and name != column.metric):
            name = f"logged {name}"
        chosen[name] = replace(column, metric=name)
        choices.append(column.rival)
    return chosen, choices


def _totals(group: list[Translated]) -> list[Translated]:
    """Leave out what is called by the name of a term, as `CE` is, where enough values are those of the loss itself."""
    named = any(c.source_name.lower() == "loss" and len(c.column.rows) >= FEWEST_TOTALS for c in group)
    return [c for c in group if not named or c.source_name.lower() not in TERMS]


def _unknown_losses(columns: list[Translated]) -> Iterator[str]:
    for column in columns:
        name = column.source_name
        known = column.metric.rpartition("/")[2] in METRICS or name.startswith(("layers/", "train/train_"))
        if not known and is_like_a_loss(name):
            yield name


def _why(group: list[Translated], terms: bool, of_words: bool, best: Translated, other: Translated) -> str:
    """Say which of two columns was taken for a metric, and why."""
    (*named, n), (*also_named, m) = (_preference(group, terms, of_words, column) for column in (best, other))
    more = f"it has more values ({n:,} against {m:,})" if n > m else "it stands first"
    if best.metric.endswith("loss") and _is_sum(other, best):
        why = "it sums over the batches what the first averages"
        return f'"{best.source_name}" was taken for {best.metric}, and "{other.source_name}" was not: {why}'
    why = "its name is the plainer one" if named != also_named and m >= COMPARABLE * n else more
    if best.metric == "loss" and named[0] > also_named[0] and m >= COMPARABLE * n:
        why = OF_THE_LANGUAGE_MODEL
    return f'"{best.source_name}" was taken for {best.metric}, and "{other.source_name}" was not: {why}'


def _is_of_words(column: Translated) -> bool:
    return any(word in column.source_name.lower() for word in LANGUAGE_MODEL_LOSS)


def _are_of_no_words(columns: list[Translated]) -> bool:
    """Tell whether the loss called `LM Loss` is one of many and larger than `Loss`, as that of a speech model is: no part of it."""
    total = next((c.column for c in columns if c.source_name.lower() == "loss"), None)
    term = next((c.column for c in columns if c.metric == "loss" and _is_of_words(c)), None)
    others = sum(words_of(c.source_name)[-1:] == ("loss",) for c in columns)
    if total is None or term is None or others < MANY_LOSSES or not np.array_equal(total.rows, term.rows):
        return False
    return bool((term.values > total.values).all())


def _preference(
    group: list[Translated], terms: bool, of_words: bool, column: Translated
) -> tuple[bool, bool, int, int]:
    most = max(len(c.column.rows) for c in group)
    full = len(column.column.rows) >= COMPARABLE * most
    if full and column.metric.endswith("loss") and any(_is_sum(other, column) for other in group):
        return True, True, 0, len(column.column.rows)
    lowered = column.source_name.lower()
    preferred = {
        "loss": not terms and _is_of_words(column),
        "grad_norm": lowered.startswith(("raw_", "learning/raw_")),
        "mem_bytes": not PEAK.isdisjoint(words_of(column.source_name)),
        "reward": "score" in lowered,  # without the penalty for divergence
        "entropy": lowered.startswith("policy"),
    }.get(column.metric, column.source_name == column.metric or lowered.endswith("_epoch"))
    # Of the same words as in training
    if of_words and column.metric.endswith("/loss") and any(map(_is_of_words, group)):
        preferred = _is_of_words(column)
    plain = full and column.source_name == column.metric
    surplus = spelling(column.source_name).surplus if full else MOST_SURPLUS
    return full and preferred, plain, -surplus, len(column.column.rows)


def _is_sum(one: Translated, other: Translated) -> bool:
    """Tell whether one column sums over the batches what another averages: `Loss: 117.2 - Average Loss: 0.625`."""
    named = "avg" in words_of(other.source_name) and "avg" not in words_of(one.source_name)
    if not named or len(one.column.rows) < FEWEST_SUMS or not np.array_equal(one.column.rows, other.column.rows):
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = one.column.values / other.column.values
    ratios = ratios[np.isfinite(ratios)]
    middle = float(np.median(ratios)) if len(ratios) else 0.0
    return middle >= LEAST_RATIO and bool((np.abs(ratios - middle) <= SAME_RATIO * middle).all())


def main_column(chosen: Mapping[str, Translated]) -> Translated | None:
    """The column that shows how the run went: the training loss, else the fullest evaluation loss, else the fullest."""
    losses = [c for name, c in chosen.items() if name.endswith("/loss") and not name.startswith("layers/")]
    candidates = [chosen["loss"]] if "loss" in chosen else losses or list(chosen.values())
    return max(candidates, key=lambda c: len(c.column.rows), default=None)
