"""One log that holds several runs -> one log for each, named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.readers.steps import axis, begins_anew, loss_returns, restarts
from lmdiag.readers.translate import main_column, translate

RUN_WORDS = ("run_id", "run", "run_name", "experiment", "experiment_name", "exp_name", "trial", "config_name")
RUN_NUMBERS = ("run", "run_id", "trial", "trial_id", "seed", "fold", "hyperparameter_value", "member", "replica")
FEWEST_ROWS = 2


def separate(raw: RawLog) -> list[RawLog]:
    """Split a log by a column that names runs, else where counter and loss both return to their beginning."""
    if raw.spans:
        return [raw]
    parts = _by_name(raw) or _by_restart(raw)
    return [part(raw, rows, label) for label, rows in parts] if len(parts) > 1 else [raw]


def _by_name(raw: RawLog) -> list[tuple[str, np.ndarray]]:
    for name in RUN_WORDS:
        rows, words = raw.texts.get(name, (np.empty(0, np.int64), []))
        if len(rows) == raw.n_rows:
            found = _groups(np.asarray(words))
            if len(found) > 1 and all(len(rows) >= FEWEST_ROWS for _, rows in found):
                return found
    for name in RUN_NUMBERS:
        column = raw.columns.get(name)
        if column is not None and len(column.rows) == raw.n_rows:
            found = [(f"{name}={label.removesuffix('.0')}", rows) for label, rows in _groups(column.values)]
            if 1 < len(found) <= raw.n_rows // FEWEST_ROWS and _begins_again_in_each(raw, found):
                return found
    return []


def _groups(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return [(str(values[k]), np.flatnonzero(inverse == k)) for k in np.argsort(first)]


def _begins_again_in_each(raw: RawLog, parts: list[tuple[str, np.ndarray]]) -> bool:
    """Tell whether each part counts steps of its own, so that the number names a run and is no schedule."""
    steps = axis(raw)
    if steps.kind == "record":
        return False
    firsts = [steps.steps[rows[0]] for _, rows in parts]
    lasts = [steps.steps[rows[-1]] for _, rows in parts]
    return all(first < last for first, last in zip(firsts[1:], lasts))


def _by_restart(raw: RawLog) -> list[tuple[str, np.ndarray]]:
    """Split at restarts from nothing; attempts that each get further than the one before are one run."""
    found = axis(raw)
    main = main_column(translate(raw, found.column))
    if main is None or found.kind == "record":
        return []
    steps = found.steps[main.column.rows]
    starts = restarts(steps)
    anew = [a and r for a, r in zip(begins_anew(steps, starts), loss_returns(main.column.values, starts))]
    starts = starts[np.asarray(anew, bool)] if len(starts) else starts
    if not len(starts) or _gets_further(np.split(steps, starts)):
        return []
    bounds = [0, *main.column.rows[starts].tolist(), raw.n_rows]
    return [(str(number), np.arange(a, b)) for number, (a, b) in enumerate(zip(bounds, bounds[1:]), 1)]


def _gets_further(pieces: list[np.ndarray]) -> bool:
    lasts = [piece.max() for piece in pieces]
    return all(before < after for before, after in zip(lasts, lasts[1:]))


def part(raw: RawLog, rows: np.ndarray, label: str) -> RawLog:
    """Return the rows that belong to one run; what was skipped is told once, with the run of the first row."""
    place = np.full(raw.n_rows, -1)
    place[rows] = np.arange(len(rows))
    columns = {name: Column(*part) for name, part in _cut(raw, place)}
    texts = {}
    for name, (at, words) in raw.texts.items():
        inside = place[at] >= 0
        texts[name] = (place[at][inside], [word for word, keep in zip(words, inside) if keep])
    first = 0 in rows
    return replace(
        raw,
        name=f"{raw.name}#{label}" if label else raw.name,
        columns=columns,
        texts=texts,
        n_rows=len(rows),
        lines=None if raw.lines is None else raw.lines[rows],
        skipped=raw.skipped if first else (),
        notes=(*raw.notes, f"{raw.name} holds several runs; this is {label}.") if label else raw.notes,
    )


def _cut(raw: RawLog, place: np.ndarray) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    cut: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for name, column in raw.columns.items():
        if id(column.rows) not in cut:
            new_rows = place[column.rows]
            cut[id(column.rows)] = (new_rows >= 0, new_rows[new_rows >= 0])
        inside, new_rows = cut[id(column.rows)]
        if len(new_rows):
            yield name, (new_rows, column.values[inside])
