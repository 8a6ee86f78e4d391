"""Source columns -> canonical metrics: names, units, splits, and one column for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lmdiag.metrics import LN2, SPLITS, spelling, unit_scale
from lmdiag.readers.rawlog import Column, RawLog

SPLIT_COLUMNS = ("split", "subset", "mode", "phase", "stage", "partition", "type")
COMPARABLE = 0.9  # a column with this share of the points of the fullest may be preferred to it for its name
LANGUAGE_MODEL_LOSS = ("lm_loss", "lm loss", "lm-loss", "ce_loss", "cross_entropy", "crossentropy", "nll_loss")
SUMMARIES = 0.2  # share of the records that can be summaries
SUMMARY = ("train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")


@dataclass(frozen=True)
class Translated:
    """A source column under its canonical name, its values in the canonical unit."""

    metric: str
    source_name: str
    column: Column
    scale: float = 1.0


def translate(raw: RawLog, step_column: str) -> dict[str, Translated]:
    """Bring all columns but the one that counts steps to their canonical names: {metric: column}."""
    return _one_column_each(list(_translated(raw, step_column)))


def _translated(raw: RawLog, step_column: str) -> Iterator[Translated]:
    splits = _splits(raw)
    summary_rows = _summary_rows(raw)
    for name, column in raw.columns.items():
        if (name == step_column and not raw.names.get(name)) or (name in raw.names and raw.names[name] is None):
            continue
        if len(summary_rows) and name in SUMMARY:
            column = _without(column, summary_rows)
        metric = raw.names.get(name) or spelling(name).name
        scale = _scale(raw, name, metric) * _unit_of_config(raw, metric)
        for prefix, part in _by_split(column, splits) if len(column.rows) else ():
            yield Translated(f"{prefix}{metric}" if "/" not in metric else metric, name, part, scale)


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


def _splits(raw: RawLog) -> list[tuple[str, np.ndarray]]:
    """Return the prefix of each evaluation set and the rows that belong to it, from a column of words such as `split`."""
    for name in SPLIT_COLUMNS:
        rows, words = raw.texts.get(name, (np.empty(0, np.int64), []))
        lowered = [word.strip().lower() for word in words]
        if lowered and all(word in SPLITS for word in lowered) and any(SPLITS[word] for word in lowered):
            prefixes = np.asarray([SPLITS[word] for word in lowered])
            return [(f"{p}/", rows[prefixes == p]) for p in dict.fromkeys(prefixes.tolist()) if p]
    return []


def _by_split(column: Column, splits: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, Column]]:
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


def _one_column_each(columns: list[Translated]) -> dict[str, Translated]:
    """Choose one column for each metric; the others stay under their own names, a rarer training loss as `train/loss`."""
    groups: dict[str, list[Translated]] = {}
    for column in columns:
        groups.setdefault(column.metric, []).append(column)
    chosen = {}
    others: list[Translated] = []
    for metric, group in groups.items():
        best = max(group, key=partial(_preference, group))
        chosen[metric] = best
        others += [c for c in group if c is not best]
    for column in others:
        rarer = len(column.column.rows) <= 0.5 * len(chosen[column.metric].column.rows)
        name = "train/loss" if column.metric == "loss" and rarer and "train/loss" not in chosen else column.source_name
        if name not in chosen:
            chosen[name] = replace(column, metric=name)
    return chosen


def _preference(group: list[Translated], column: Translated) -> tuple[bool, bool, int]:
    most = max(len(c.column.rows) for c in group)
    full = len(column.column.rows) >= COMPARABLE * most
    lowered = column.source_name.lower()
    preferred = {
        "loss": any(word in lowered for word in LANGUAGE_MODEL_LOSS),
        "grad_norm": lowered.startswith(("raw_", "learning/raw_")),
    }.get(column.metric, column.source_name == column.metric or lowered.endswith("_epoch"))
    return full and preferred, full and column.source_name == column.metric, len(column.column.rows)


def main_column(chosen: Mapping[str, Translated]) -> Translated | None:
    """The column that shows how the run went: the training loss, else the fullest evaluation loss, else the fullest."""
    losses = [c for name, c in chosen.items() if name.endswith("/loss") and not name.startswith("layers/")]
    candidates = [chosen["loss"]] if "loss" in chosen else losses or list(chosen.values())
    return max(candidates, key=lambda c: len(c.column.rows), default=None)
