"""The column of words that tells the evaluation sets of a log apart, such as `split`, and the rows of each set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from lmdiag.naming import SCORES, SPLITS, spelling, words_of
from lmdiag.readers.rawlog import Column, RawLog

OF_SETS = ("split", "subset", "set", "partition")
OF_EVENTS = ("mode", "stage", "type", "event", "kind")  # a set is the first word here, and others are words of anything
OF_ANYTHING = "name"  # this column may name anything: it names sets where it names nothing else, and several
SPLIT_COLUMNS = ("split", "subset", "set", "mode", "phase", "stage", "partition", "type", "event", "kind", "name")
MOST_SETS = 50  # different words in a column: more are messages
COURSE = frozenset(
    "step epoch iter batch update end start begin done finished summary result results metrics log loss loop set".split()
)
Splits = list[tuple[str, np.ndarray]]  # the prefix of each evaluation set, such as `val/`, and its rows
_NO_NAME = re.compile(r"[\W_]+")


def splits_of(raw: RawLog, steps: np.ndarray) -> tuple[str, Splits]:
    """Return the column of words that names sets, such as `split`, and the prefix of each evaluation set with its rows."""
    for column in SPLIT_COLUMNS:
        rows, words = raw.texts.get(column, (np.empty(0, np.int64), []))
        said = list(dict.fromkeys(words))
        if not said or len(said) > MOST_SETS or not any(_named(column, said).values()):
            continue
        number = {word: k for k, word in enumerate(said)}
        numbers = np.asarray([number[word] for word in words])
        places = {word: rows[numbers == number[word]] for word in said}
        sets = _sets(raw, steps, column, places)
        prefixes = np.asarray([sets[word] for word in said])[numbers]
        found = [(f"{p}/", rows[prefixes == p]) for p in dict.fromkeys(prefixes.tolist()) if p]
        if found:
            return column, found
    return "", []


def _named(column: str, said: Iterable[str]) -> dict[str, str]:
    """Return the evaluation set that each cell names, "" for training and what names none.

    >>> _named("split", ["Eval_step", "train", "my_val"]), _named("event", ["after_eval"])
    ({'Eval_step': 'val', 'train': '', 'my_val': 'val'}, {'after_eval': ''})
    >>> _named("event", ["epoch_val", "log_eval"])
    {'epoch_val': 'val', 'log_eval': 'val'}
    """
    first = 1 if column in OF_EVENTS else None
    return {cell: next((SPLITS[word] for word in _subject(cell)[:first] if word in SPLITS), "") for cell in said}


def _sets(raw: RawLog, steps: np.ndarray, column: str, places: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the set of each cell: one that stands in all rows tells nothing apart, and is one only if it says nothing else."""
    named = _named(column, places)
    plain = {cell for cell in places if _subject(cell) and SPLITS.keys() >= set(_subject(cell))}
    same = len(places) == 1 and len(*places.values()) == raw.n_rows
    if column == OF_ANYTHING:
        tells = not same and all(cell.strip().lower() in SPLITS for cell in places)
    else:
        tells = not same or bool(plain) or column in OF_SETS
    if not tells:
        return dict.fromkeys(places, "")
    if column in OF_EVENTS and not plain:
        named = {cell: name if name and _is_beside(raw, steps, places[cell]) else "" for cell, name in named.items()}
    for name in set(named.values()) - {""}:
        cells = sorted((cell for cell in places if named[cell] == name), key=lambda cell: cell not in plain)
        named |= _apart(raw, steps, name, {cell: places[cell] for cell in cells}, cells[0] in plain)
    return named


def _apart(
    raw: RawLog, steps: np.ndarray, name: str, places: Mapping[str, np.ndarray], plain: bool
) -> Mapping[str, str]:
    """Return sets of their own for cells of one set that hold the same score at the same step; a plain first keeps its name."""
    subjects: dict[tuple[str, ...], list[str]] = {}
    for cell in places:
        subjects.setdefault(_subject(cell), []).append(cell)
    parts = [np.concatenate([places[cell] for cell in cells]) for cells in subjects.values()]
    if len(parts) < 2 or not _meet(raw, steps, parts):
        return {}
    own = {cell: _NO_NAME.sub("_", cells[0]).strip("_") for cells in subjects.values() for cell in cells}
    return {**own, **dict.fromkeys(next(iter(subjects.values())), name)} if plain else own


def _subject(said: str) -> tuple[str, ...]:
    """Return the words of a cell but those for the course of a training: `eval_step` and `eval_end` are both of `eval`."""
    return tuple(word for word in words_of(said) if word not in COURSE)


def _scores(raw: RawLog) -> Iterator[Column]:
    for name, column in raw.columns.items():
        if len(column.rows) and (raw.names.get(name) or spelling(name).name).rpartition("/")[2] in SCORES:
            yield column


def _meet(raw: RawLog, steps: np.ndarray, parts: list[np.ndarray]) -> bool:
    """Tell whether one score of several parts of the rows stands at the same step."""
    for column in _scores(raw):
        at = [np.unique(steps[column.rows[np.isin(column.rows, rows)]]) for rows in parts]
        if len(np.unique(np.concatenate(at))) < sum(map(len, at)):
            return True
    return False


def _is_beside(raw: RawLog, steps: np.ndarray, rows: np.ndarray) -> bool:
    """Tell whether each score in some rows is the second one of its step."""
    for column in _scores(raw):
        inside = np.isin(column.rows, rows)
        if inside.any() and np.isin(steps[column.rows[inside]], steps[column.rows[~inside]]).all():
            return True
    return False
