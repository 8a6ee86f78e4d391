"""The numbers of a log whose loss nobody recognises, as rows to choose from: columns, or the places of numbers in lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdiag.errors import LmdiagError
from lmdiag.naming import is_step_name, spelling
from lmdiag.readers.options import ReadOptions
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.sources.source import Source

FEWEST_LINES = 3
LOOKED_AT = 1 << 20  # bytes: evaluations may stand a thousand lines apart
MOST_KINDS = 12
SHOWN_ROWS = 5
_LIKE_A_LOSS = re.compile(r"loss|cost|nll|entropy|objective|criterion|error|perplex|ppl", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?:nan|inf|NaN|Inf|NAN|INF|-nan)(?!\w))")
_OF_EVALUATION = re.compile(r"\b(?:e?val|valid|validation|evaluation|test|dev|held[- _]?out)(?![a-z])", re.IGNORECASE)
_UNIT = re.compile(r"(?:ms|[smh%])(?![a-zA-Z])")
_ANY_NUMBER = r"[-+.\deEnaifNAIF]+"
_SPACES = re.compile(r"\s+")
_LAST_WORD = re.compile(r"[^\W\d_][\w/.-]*(?=\W*$)")


@dataclass(frozen=True)
class Numbers:
    """Numbers in rows: the columns of a table, or what stands at the same places of lines that are alike.

    `likely` is {metric: name}; `first` are the first of the `rows`, {name: number as it is written}. Lines, of which only the
    beginning of the log is counted, have a `skeleton`, which is what stands before each of their numbers, and an `example`.
    """

    names: tuple[str, ...]
    likely: Mapping[str, str]
    first: tuple[Mapping[str, str], ...]
    rows: int
    skeleton: tuple[str, ...] = ()
    example: str = ""

    def options(self, chosen: Mapping[str, str]) -> ReadOptions:
        """Return how to read the log with these numbers as these metrics, {metric: name}."""
        if not self.skeleton:
            return ReadOptions(mapping=dict(chosen))
        return ReadOptions(pattern="^" + "".join(_around_step(self.skeleton, self.places(chosen))))

    def places(self, chosen: Mapping[str, str]) -> dict[int, str]:
        """Return which number of a line is which metric, {place: metric}."""
        return {self.names.index(name): metric for metric, name in chosen.items()}

    @property
    def of_evaluation(self) -> bool:
        """Whether these lines are likely to be the evaluations: they say so, and hold what may be a loss."""
        return "loss" in self.likely and bool(_OF_EVALUATION.search(self.example))


@dataclass
class _Kind:
    """Lines that differ in nothing but their numbers and what stands behind the last of them."""

    lines: list[str] = field(default_factory=list)
    numbers: list[list[str]] = field(default_factory=list)


def numbers_in(source: Source, read: Callable[[Source], list[RawLog]]) -> list[Numbers]:
    """Return the numbers that a log holds, the most promising first: the columns that `read` gives, and the kinds of its lines."""
    from lmdiag.readers.csv import table
    from lmdiag.sources.text import is_text

    found: list[Numbers] = []
    try:
        found = [_of_columns(raw) for raw in read(source)[:1] if raw.columns]
    except LmdiagError:
        if is_text(source.head) and table.table_names(source.name, source.head):
            try:
                return [_of_columns(raw) for raw in table.read(source)]
            except LmdiagError:
                return []
    in_lines = is_text(source.head) and not source.head.lstrip().startswith((b"{", b"["))
    return found + (kinds_of_lines(next(source.blocks(LOOKED_AT), b"")) if in_lines else [])


def kinds_of_lines(head: bytes) -> list[Numbers]:
    """Return the numbers in the kinds of lines that a text begins with, the commonest kind first.

    >>> kind, = kinds_of_lines(b"at 10 we lost 2.5\\nat 20 we lost 2.25\\nat 30 we lost 2.0\\n")
    >>> dict(kind.likely), kind.rows
    ({'loss': 'lost', 'step': 'at'}, 3)
    >>> kind.options(kind.likely).pattern
    '^at\\\\s+(?P<step>[-+.\\\\deEnaifNAIF]+)\\\\s+we\\\\s+lost\\\\s+(?P<loss>[-+.\\\\deEnaifNAIF]+)'
    """
    from lmdiag.readers.prefixes import payload
    from lmdiag.readers.text.pieces import pieces, without_colours
    from lmdiag.sources.decoding import as_text

    kinds: dict[tuple[str, ...], _Kind] = {}
    for _, piece in pieces(without_colours(as_text(head[:LOOKED_AT]))):
        text = payload(piece)[0]  # what patterns are searched in
        words = [_SPACES.sub(" ", part) for part in _NUMBER.split(text)[:-1]]
        if words:
            kind = kinds.setdefault(tuple(words), _Kind())
            kind.lines.append(text)
            kind.numbers.append(_NUMBER.findall(text))
    common = sorted(kinds.items(), key=lambda item: -len(item[1].lines))[:MOST_KINDS]
    return [_of_lines(skeleton, kind) for skeleton, kind in common if len(kind.lines) >= FEWEST_LINES]


def _of_lines(skeleton: tuple[str, ...], kind: _Kind) -> Numbers:
    values = np.array([[float(word) for word in words] for words in kind.numbers])
    names = _place_names(skeleton)
    likely = {metric: names[place] for metric, place in _likely_places(values, kind.lines).items()}
    first = tuple(dict(zip(names, words)) for words in kind.numbers[:SHOWN_ROWS])
    return Numbers(tuple(names), likely, first, len(kind.lines), skeleton, kind.lines[0])


def _place_names(skeleton: tuple[str, ...]) -> list[str]:
    """Return a name for the numbers of a line: the word before each, or its place where that is none or not the only one.

    >>> _place_names(("at", "we lost", "/", "lost"))
    ['at', 'lost', 'number 3', 'lost (4)']
    """
    names: list[str] = []
    for place, before in enumerate(skeleton, 1):
        word = _LAST_WORD.search(before)
        name = word[0] if word else f"number {place}"
        names.append(f"{name} ({place})" if name in names else name)
    return names


def _likely_places(numbers: np.ndarray, lines: list[str]) -> dict[str, int]:
    """Return which number of a line may be the step, and which the loss."""
    whole = (numbers == np.rint(numbers)).all(axis=0)
    ascending = (numbers[1:] > numbers[:-1]).all(axis=0)
    losses = np.flatnonzero(~whole & ~ascending)
    plain = [not _UNIT.match(lines[0], end) for end in (found.end() for found in _NUMBER.finditer(lines[0]))]
    steps = np.flatnonzero(whole & ascending & plain)
    found = {"loss": int(losses[0])} if len(losses) else {}
    return found | ({"step": int(steps[0])} if len(steps) else {})


def together(train: Numbers, chosen: Mapping[str, str], other: Numbers, chosen_there: Mapping[str, str]) -> ReadOptions:
    """Return how to read lines of two kinds, each with {metric: name}; a pattern names each number but once, and so the step of both.

    >>> train, val = kinds_of_lines(b"it 1: 2.5\\nval at 1: 2.75\\nit 2: 2.25\\nval at 2: 2.5\\nit 3: 2.0\\nval at 3: 2.25\\n")
    >>> read = together(train, {"step": "it", "loss": "number 2"}, val, {"step": "at", "val/loss": "number 2"})
    >>> re.search(read.pattern, "val at 3: 2.25").groupdict()
    {'step': '3', 'val_loss': '2.25', 'loss': None}
    """
    kinds = [(train, train.places(chosen)), (other, other.places(chosen_there))]
    kinds.sort(key=lambda kind: -len("".join(kind[0].skeleton)))  # the beginning of a line may be all of another's
    parts = [_around_step(kind.skeleton, named) for kind, named in kinds]
    stepped = [part for part in parts if part[1]]
    whole = ["".join(part) for part in parts if not part[1]]
    if len(stepped) > 1:
        before, (step, *_), after = zip(*stepped)
        whole.append(f"{_any_of(before)}{step}{_any_of(after)}")
    else:
        whole += ["".join(part) for part in stepped]
    return ReadOptions(pattern=f"^{_any_of(whole)}")


def _any_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(set(patterns)) == 1 else f"(?:{'|'.join(patterns)})"


def _around_step(skeleton: tuple[str, ...], named: Mapping[int, str]) -> tuple[str, str, str]:
    """Return the pattern of lines from their beginning to the last of the numbers that are named: up to the step, the step, and the rest."""
    parts = ["", "", ""]
    at = 0
    for place in range(max(named) + 1):
        parts[at] += re.sub(r"(?:\\\s)+", r"\\s+", re.escape(skeleton[place]))
        name = named.get(place, "").replace("/", "_")
        if name == "step":
            parts[1], at = f"(?P<step>{_ANY_NUMBER})", 2
        else:
            parts[at] += f"(?P<{name}>{_ANY_NUMBER})" if name else _ANY_NUMBER
    return parts[0], parts[1], parts[2]


def _of_columns(raw: RawLog) -> Numbers:
    first: list[dict[str, str]] = [{} for _ in range(min(raw.n_rows, SHOWN_ROWS))]
    for name, column in raw.columns.items():
        for row, value in zip(column.rows[:SHOWN_ROWS].tolist(), column.values[:SHOWN_ROWS].tolist()):
            if row < len(first):
                first[row][name] = f"{value:.6g}"
    steps = [name for name in raw.columns if name == raw.step_column or is_step_name(name)]
    likely = {**({"step": steps[0]} if steps else {}), **likely_columns(raw)}
    return Numbers(tuple(raw.columns), likely, tuple(first), raw.n_rows)


def likely_columns(raw: RawLog) -> dict[str, str]:
    """Return the column of a log that may be its loss, and the one that may count its steps where none is called so: {metric: column}.

    Of columns whose names say nothing, the loss is one that falls.
    """
    counters = [name for name, column in raw.columns.items() if is_step_name(name) or _counts(column, raw.n_rows)]
    able = [name for name in raw.columns if name not in counters and not spelling(name).known]
    if not able:
        return {}

    def promise(name: str) -> tuple[bool, bool, int]:
        column = raw.columns[name]
        return bool(_LIKE_A_LOSS.search(name)), _falls(column.values), len(column.rows)

    found = {"loss": max(able, key=promise)}
    if counters and not raw.step_column and not any(map(is_step_name, raw.columns)):
        found["step"] = counters[0]
    return found


def _counts(column: Column, n_rows: int) -> bool:
    values = column.values
    return bool(
        len(values) == n_rows > 1
        and np.isfinite(values).all()
        and (values == np.rint(values)).all()
        and (np.diff(values) > 0).all()
    )


def _falls(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    fifth = len(finite) // 5
    return bool(fifth and np.median(finite[:fifth]) > np.median(finite[-fifth:]))
