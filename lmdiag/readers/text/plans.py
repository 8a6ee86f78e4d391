"""What the numbers of a printed line stand for, learnt once for all lines of the same text.

A line whose like was seen before is read twice more with other digits; what follows which number then becomes a regular
expression, for any notation of the numbers that the reader knows. So the readers of lines say once what a line means, and
most lines of a log cost one match.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.prefixes import payload
from lmdiag.readers.text.skeletons import Skeleton, floats

Record = tuple[dict[str, float], Any]  # the numbers of a record by name, and what is the same for all lines of its text
Reader = Callable[[str], list[Record]]  # returns the records of a piece, and nothing else comes of it

SEEN = 3, 30, 300  # so often a text must recur before it is learnt, and tried again
CHECKED = 3  # so many of the first lines that a plan fits are read in full as well
MOST_NUMBERS = 80
MOST_PLANS = 12
MOST_TEXTS = 4096  # that are remembered without a plan
_NUMBER = lazy(
    r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?(?:[eE][-+]?\d+(?![\w.]))?|\.\d+(?:[eE][-+]?\d+(?![\w.]))?"
)
_DIGITS = lazy(r"\d+")
_QUANTITY = lazy(  # with a point, or in thousands
    r"(?<![\w.:/-])[-+]?(\d+\.\d+(?:[eE][-+]?\d+)?(?![\d:%]|\.\d)|\d+(?=[kKMGBT](?!\w)))"
)
_SIZES = (1.0, 1e2, 1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9, 1e-12)
_NAME_GOES_ON = lazy(r"[\w/.@-]*['\"]\s*:")
_FLOAT = r"\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)"
_SIGN = "-?"
_BEFORE_A_SIGN = ("", *" \t:='\"([,")
_NOTATIONS = "-3.25", "4e-05", "-7.5e+02", "6.125"
_BAR = r"(?:%\|[^|\w\n]*\|?|\|[█#-]+[^|\w\n]*\||\[[=>.]+\]|[━╸╺][━╸╺ ]*)"
_ANY_BAR = lazy(_BAR)


@dataclass
class Plan:
    """Reads lines of one text: `groups` of a match are the numbers called `names`, each times its factor."""

    match: Callable[[str], re.Match[str] | None]
    pattern: str
    names: tuple[str, ...]
    factors: tuple[float, ...] | None  # None: all are 1
    thousands: bool
    constants: dict[str, float]
    about: Any
    skeletons: Sequence[Skeleton] = ()  # read lines that differ in their numbers alone
    spare: int = 0  # numbers of a line that it does not read
    unchecked: int = CHECKED
    _lines: re.Pattern[str] | None = None  # the same for many lines at once

    def numbers(self, found: re.Match[str]) -> dict[str, float]:
        """Return the numbers of a line that the plan fits."""
        words = found.groups()
        if self.thousands:
            words = tuple(word.replace(",", "") for word in words)
        if self.factors is None:
            values = dict(zip(self.names, map(float, words)))
        else:
            values = {name: float(word) * factor for name, word, factor in zip(self.names, words, self.factors)}
        if self.constants:
            values.update(self.constants)
        return values

    def columns(self, lines: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Tell which of many lines the plan fits, bool[n_lines], and return the numbers of those, float64[n_fit] by name."""
        read = next(filter(None, (skeleton.columns(lines) for skeleton in self.skeletons)), None)
        if read:
            fits, columns = np.ones(len(read[0]), bool), dict(zip(self.names, read))
        else:
            self._lines = self._lines or re.compile(rf"^{self.pattern}()[^\S\n]*$|^.*$", re.MULTILINE)
            words = list(zip(*self._lines.findall(lines)))
            fits = np.fromiter(map(bool, words[0]), bool, len(words[0]))
            factors = self.factors or (1.0,) * len(self.names)
            columns = {name: self._column(word) * factor for name, word, factor in zip(self.names, words, factors)}
        n = np.count_nonzero(fits)
        return fits, columns | {name: np.full(n, value) for name, value in self.constants.items()}

    def _column(self, words: Sequence[str]) -> np.ndarray:
        if "" in words:
            words = [word for word in words if word]
        if self.thousands:
            words = [word.replace(",", "") for word in words]
        return floats(words, f"[{','.join(words)}]")

    def agrees(self, piece: str, records: list[Record]) -> bool:
        """Tell whether the plan reads these records from a piece."""
        found = self.match(piece)
        if not found or len(records) != 1 or records[0][1] != self.about:
            return False
        return _alike(records[0][0], self.numbers(found))


@dataclass
class Plans:
    """The plans of one log; `read` takes the place of the reader they were learnt from."""

    reader: Reader
    plans: list[Plan] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def __deepcopy__(self, memo: dict[int, Any]) -> Plans:
        """What was learnt holds for the copy of a scanner as well."""
        return self

    def read(self, piece: str) -> list[Record]:
        """Return the records of a piece, as the reader does."""
        for plan in self.plans:
            found = plan.match(piece)
            if found:
                if plan is not self.plans[0]:
                    self.plans.remove(plan)
                    self.plans.insert(0, plan)
                return self._checked(plan, piece) if plan.unchecked else [(plan.numbers(found), plan.about)]
        records = self.reader(piece)
        if len(records) == 1:
            self._notice(piece)
        return records

    def _checked(self, plan: Plan, piece: str) -> list[Record]:
        """Read in full one of the first lines that a plan fits, and give the plan up where it reads otherwise."""
        records = self.reader(piece)
        if plan.agrees(piece, records):
            plan.unchecked -= 1
        else:
            self.plans.remove(plan)
        return records

    def _notice(self, piece: str) -> None:
        text = _DIGITS.sub("0", piece)
        self.seen[text] += 1
        if self.seen[text] in SEEN:
            prefix = len(piece) - len(payload(piece)[0])
            numbers = islice(_NUMBER.finditer(piece, 0, prefix), MOST_NUMBERS)
            starts = [0, *(number.end() for number in numbers)]  # a host is told by all its digits
            plan = next((plan for start in starts if (plan := learn(self.reader, piece, start))), None)
            if plan and all(plan.pattern != other.pattern for other in self.plans):
                plan.spare = left_over(piece, self.reader(piece)[0][0])
                self.plans.insert(0, plan)
                del self.plans[MOST_PLANS:]
        elif len(self.seen) > MOST_TEXTS:
            self.seen.clear()


def left_over(piece: str, values: Mapping[str, float]) -> int:
    """Count the numbers with a point, or in thousands, of a piece that none of its values is, in whatever unit.

    >>> left_over("2026-01-02 10:11:12.5 iter 3: loss 2.5 (+0.5z) | 312.5 ms | v1.2.3", {"loss": 2.5, "dt": 0.3125})
    1
    """
    known = {f"{abs(value) * size:.6g}" for value in values.values() for size in _SIZES}
    return sum(f"{float(word):.6g}" not in known for word in _QUANTITY.findall(payload(piece)[0]))


def learn(reader: Reader, piece: str, start: int = 0) -> Plan | None:
    """Return the plan for lines of the text of a piece that holds one record, None where it would not hold.

    The plan is for lines that are the same up to `start`.

    >>> plan = learn(lambda text: [({"loss": float(text.split()[3])}, "")], "step 7 loss 25")
    >>> plan.pattern, plan.numbers(plan.match("step 812 loss 225"))
    ('step +\\\\d+\\\\ loss +(\\\\d+)', {'loss': 225.0})
    """
    tokens = list(_NUMBER.finditer(piece, start))
    apart = [token for token in tokens if not _of_a_name(piece, token)]
    return _learnt(reader, piece, tokens) or (_learnt(reader, piece, apart) if len(apart) < len(tokens) else None)


def _of_a_name(piece: str, token: re.Match[str]) -> bool:
    """Tell whether digits may be part of a name, as in `top5` or in `'rewards/0/mean':`."""
    before = piece[token.start() - 1 : token.start()]
    glued = before == "-" and piece[token.start() - 2 : token.start() - 1].isalpha()  # wikitext-103
    return before.isalpha() or before == "_" or glued or _NAME_GOES_ON.match(piece, token.end()) is not None


def _learnt(reader: Reader, piece: str, tokens: list[re.Match[str]]) -> Plan | None:
    """Return the plan for lines that differ from a piece in these numbers."""
    if not tokens or len(tokens) > MOST_NUMBERS:
        return None
    spans = [token.span() for token in tokens]
    words = [[token[0] for token in tokens], *(_other_digits(tokens, variant) for variant in (0, 1))]
    records = [reader(_with_words(piece, spans, row)) for row in words]
    if any(len(found) != 1 for found in records):
        return None
    (first, about), *others = [found[0] for found in records]
    if any(tuple(values) != tuple(first) or other != about for values, other in others):
        return None
    columns = [[float(word.replace(",", "")) for word in column] for column in zip(*words)]
    if any(len(set(column)) < len(words) for column in columns):
        return None
    places: dict[int, tuple[str, float]] = {}
    constants: dict[str, float] = {}
    for name in first:
        values = [found[0][0][name] for found in records]
        if all(_same(value, values[0]) for value in values):
            constants[name] = values[0]
            continue
        place = _followed(values, columns)
        if place is None or place[0] in places:
            return None
        places[place[0]] = name, place[1]
    if not places:
        return None

    def plan(kinds: list[tuple[int, int, str]]) -> Plan:
        pattern = _pattern(piece, kinds, places)
        used = [(*places[k], piece[kinds[k][0]]) for k in sorted(places)]
        factors = tuple(-factor if sign == "-" else factor for _, factor, sign in used)
        return Plan(
            skeletons=[] if any(factor != 1 for factor in factors) else _skeletons(piece, kinds, places),
            match=re.compile(pattern + r"\s*").fullmatch,
            pattern=pattern,
            names=tuple(name for name, _, _ in used),
            factors=None if all(factor == 1 for factor in factors) else factors,
            thousands=any("," in tokens[k][0] for k in places),
            constants=constants,
            about=about,
        )

    kinds = [_kind(piece, token, k in places) for k, token in enumerate(tokens)]
    freed = [_freed(piece, kind) if k in places else kind for k, kind in enumerate(kinds)]
    free = plan(freed)
    return free if all(free.agrees(line, reader(line)) for line in _spelled(piece, freed)) else plan(kinds)


def _skeletons(piece: str, kinds: list[tuple[int, int, str]], used: Container[int]) -> list[Skeleton]:
    """Return the skeletons of the lines that differ from a piece in numbers that are as these; none where one could misread a line.

    Where the numbers of the piece have no exponents, those of other lines may: the letters in them are no text then.
    """
    read = [kind for k, kind in enumerate(kinds) if k in used]
    free = [(start, stop) for start, stop, kind in kinds if kind != re.escape(piece[start:stop])]
    if any(kind != r"\d+" and not kind.startswith(_SIGN) for _, _, kind in read):
        return []
    spans = [(start, stop) for start, stop, _ in read]
    letters = {letter for start, stop in spans for letter in piece[start:stop] if letter.isalpha()}
    try:
        return [Skeleton(piece.rstrip(), spans, free, word.encode()) for word in ("".join(letters), "eE")]
    except ValueError:
        return []


def _with_words(piece: str, spans: Iterable[tuple[int, int]], words: Iterable[str]) -> str:
    """Return a piece with other words in some places."""
    parts, end = [], 0
    for (start, stop), word in zip(spans, words):
        parts += [piece[end:start], word]
        end = stop
    return "".join([*parts, piece[end:]])


def _other_digits(tokens: list[re.Match[str]], variant: int) -> list[str]:
    """Return numbers with other digits, as many as before; exponents stay."""
    words = []
    for k, token in enumerate(tokens):
        mantissa, mark, exponent = token[0].partition("e" if "e" in token[0] else "E")
        if len(mantissa) == 1:  # another digit in each variant, and another for each number
            others = [digit for digit in "123456789" if digit != mantissa]
            word = others[(k + variant * (3 + k // 8 % 4)) % len(others)]
        else:
            digits = random.Random(2 * k + variant)
            word = "".join(str(digits.randint(1, 9)) if char.isdigit() else char for char in mantissa)
        words.append(word + mark + exponent)
    return words


def _followed(values: list[float], columns: list[list[float]]) -> tuple[int, float] | None:
    """Return which number of a line a value follows, and the factor between them."""
    found = None
    for k, column in enumerate(columns):
        factor = next((value / number for value, number in zip(values, column) if number), 0.0)
        factor = float(f"{factor:.12g}")
        if factor and all(abs(number * factor - value) <= 1e-12 * abs(value) for value, number in zip(values, column)):
            if factor == 1:
                return k, 1.0
            found = found or (k, factor)
    return found


def _pattern(piece: str, kinds: list[tuple[int, int, str]], used: Container[int]) -> str:
    """Return the regular expression of lines that differ from a piece in their numbers alone."""
    parts, end = [], 0
    for k, (start, stop, kind) in enumerate(kinds):
        parts += [_literal(piece[end:start]), f"({kind})" if k in used else kind]
        end = stop
    return "".join([*parts, _literal(piece[end:].rstrip())])


def _kind(piece: str, token: re.Match[str], used: bool) -> tuple[int, int, str]:
    """Return where a number stands, and the expression of those that are written like it."""
    (start, stop), word = token.span(), token[0]
    before, behind = piece[max(start - 2, 0) : start], piece[stop : stop + 2]
    if not used and (before[-1:].isalpha() or before[-1:] == "_"):
        return start, stop, re.escape(word)  # part of a word
    if (before[-1:] in ("-", ":") and before[:1].isdigit()) or (behind[:1] in ("-", ":") and behind[1:].isdigit()):
        return start, stop, _DIGITS.sub(lambda run: rf"\d{{{len(run[0])}}}", re.escape(word))  # a clock or a date
    if "," in word:
        return start, stop, r"\d{1,3}(?:,\d{3})+" + (r"\.\d+" if "." in word else "")
    mantissa, mark, _ = word.lower().partition("e")
    return start, stop, _DIGITS.sub(r"\\d+", re.escape(mantissa)) + (r"[eE][-+]?\d+" if mark else "")


def _freed(piece: str, kind: tuple[int, int, str]) -> tuple[int, int, str]:
    """Return the same for a number that is no integer in any notation, with its sign where one may stand."""
    start, stop, expression = kind
    if "{" in expression or not re.fullmatch(_FLOAT, piece[start:stop]):
        return kind
    signed = start - (piece[start - 1 : start] == "-")
    return (signed, stop, _SIGN + _FLOAT) if piece[signed - 1 : signed] in _BEFORE_A_SIGN else (start, stop, _FLOAT)


def _spelled(piece: str, kinds: list[tuple[int, int, str]]) -> Iterator[str]:
    """Yield a piece with the freed numbers in other notations."""
    for shift in range(len(_NOTATIONS)):
        words = [piece[start:stop] for start, stop, _ in kinds]
        for k, (_, _, kind) in enumerate(kinds):
            if kind.endswith(_FLOAT):
                words[k] = _NOTATIONS[(k + shift) % len(_NOTATIONS)].lstrip("" if kind.startswith(_SIGN) else "-")
        yield _with_words(piece, (kind[:2] for kind in kinds), words)


def _literal(text: str) -> str:
    """Return the expression of the text between two numbers; blanks that pad a number may be more or fewer."""
    plain = _BAR.join(map(re.escape, _ANY_BAR.split(text)))
    return re.sub(r"^(?:\\ ){2,}|(?:\\ )+$", lambda run: " {2,}" if run.end() < len(plain) else " +", plain)


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _alike(a: dict[str, float], b: dict[str, float]) -> bool:
    return a.keys() == b.keys() and all(
        _same(a[name], b[name]) or abs(a[name] - b[name]) <= 1e-12 * abs(a[name]) for name in a
    )
