"""What the numbers of a printed line stand for, learnt once for all lines of the same text.

A line whose like was seen before is read twice more with other digits; what follows which number then becomes a regular
expression. So the readers of lines say once what a line means, and most lines of a log cost one match.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lmdiag.patterns import lazy

Record = tuple[dict[str, float], Any]  # the numbers of a record by name, and what is the same for all lines of its text
Reader = Callable[[str], list[Record]]  # returns the records of a piece, and nothing else comes of it

SEEN = 3, 30  # so often a text must recur before it is learnt, and tried again
CHECKED = 3  # so many of the first lines that a plan fits are read in full as well
MOST_NUMBERS = 80
MOST_PLANS = 12
MOST_TEXTS = 4096  # that are remembered without a plan
_NUMBER = lazy(
    r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?(?:[eE][-+]?\d+(?![\w.]))?|\.\d+(?:[eE][-+]?\d+(?![\w.]))?"
)
_ZEROS = lazy(r"0{4,}")
_ANY_DIGIT = str.maketrans("123456789", "000000000")
_BAR = r"(?:%\|[^|\w]*\|?|\|[█#-]+[^|\w]*\||\[[=>.]+\]|[━╸╺][━╸╺ ]*)"
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
    unchecked: int = CHECKED

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
                numbers = plan.numbers(found)
                return [(numbers, plan.about)] if not plan.unchecked else self._checked(plan, numbers, piece)
        records = self.reader(piece)
        if len(records) == 1:
            self._notice(piece)
        return records

    def _checked(self, plan: Plan, numbers: dict[str, float], piece: str) -> list[Record]:
        """Read in full one of the first lines that a plan fits, and give the plan up where it reads otherwise."""
        records = self.reader(piece)
        if len(records) == 1 and records[0][1] == plan.about and _alike(records[0][0], numbers):
            plan.unchecked -= 1
        else:
            self.plans.remove(plan)
        return records

    def _notice(self, piece: str) -> None:
        text = _ZEROS.sub("0000", piece.translate(_ANY_DIGIT))
        self.seen[text] += 1
        if self.seen[text] in SEEN:
            plan = learn(self.reader, piece)
            if plan and all(plan.pattern != other.pattern for other in self.plans):
                self.plans.insert(0, plan)
                del self.plans[MOST_PLANS:]
        elif len(self.seen) > MOST_TEXTS:
            self.seen.clear()


def learn(reader: Reader, piece: str) -> Plan | None:
    """Return the plan for lines of the text of a piece that holds one record, None where it would not hold.

    >>> plan = learn(lambda text: [({"loss": float(text.split()[3])}, "")], "step 7 loss 2.5")
    >>> plan.pattern, plan.numbers(plan.match("step 812 loss 2.25"))
    ('step +\\\\d+\\\\ loss +(\\\\d+\\\\.\\\\d+)', {'loss': 2.25})
    """
    tokens = list(_NUMBER.finditer(piece))
    if not tokens or len(tokens) > MOST_NUMBERS:
        return None
    lines = [piece, *(_altered(piece, tokens, variant) for variant in (0, 1))]
    records = [reader(line) for line in lines]
    if any(len(found) != 1 for found in records):
        return None
    (first, about), *others = [found[0] for found in records]
    if any(tuple(values) != tuple(first) or other != about for values, other in others):
        return None
    words = [[float(token[0].replace(",", "")) for token in _NUMBER.finditer(line)] for line in lines]
    if any(len(row) != len(tokens) for row in words) or any(len(set(column)) < len(words) for column in zip(*words)):
        return None
    places: dict[int, tuple[str, float]] = {}
    constants: dict[str, float] = {}
    for name in first:
        values = [found[0][0][name] for found in records]
        if all(_same(value, values[0]) for value in values):
            constants[name] = values[0]
            continue
        place = _followed(values, words)
        if place is None or place[0] in places:
            return None
        places[place[0]] = name, place[1]
    pattern = _pattern(piece, tokens, set(places))
    used = [places[k] for k in sorted(places)]
    factors = tuple(factor for _, factor in used)
    return Plan(
        match=re.compile(pattern + r"\s*").fullmatch,
        pattern=pattern,
        names=tuple(name for name, _ in used),
        factors=None if all(factor == 1 for factor in factors) else factors,
        thousands=any("," in tokens[k][0] for k in places),
        constants=constants,
        about=about,
    )


def _altered(piece: str, tokens: list[re.Match[str]], variant: int) -> str:
    """Return a piece with other digits in all its numbers, as many as before; exponents stay."""
    parts, end = [], 0
    for k, token in enumerate(tokens):
        mantissa, mark, exponent = token[0].partition("e" if "e" in token[0] else "E")
        if len(mantissa) == 1:  # another digit in each variant, and another for each number
            others = [digit for digit in "123456789" if digit != mantissa]
            word = others[(k + variant * (3 + k // 8 % 4)) % len(others)]
        else:
            digits = random.Random(2 * k + variant)
            word = "".join(str(digits.randint(1, 9)) if char.isdigit() else char for char in mantissa)
        parts += [piece[end : token.start()], word, mark, exponent]
        end = token.end()
    return "".join([*parts, piece[end:]])


def _followed(values: list[float], words: list[list[float]]) -> tuple[int, float] | None:
    """Return which number of a line a value follows, and the factor between them."""
    found = None
    for k, word in enumerate(zip(*words)):
        factor = next((value / number for value, number in zip(values, word) if number), 0.0)
        factor = float(f"{factor:.12g}")
        if factor and all(abs(number * factor - value) <= 1e-12 * abs(value) for value, number in zip(values, word)):
            if factor == 1:
                return k, 1.0
            found = found or (k, factor)
    return found


def _pattern(piece: str, tokens: list[re.Match[str]], used: set[int]) -> str:
    """Return the regular expression of lines that differ from a piece in the digits of their numbers alone."""
    parts, end = [], 0
    for k, token in enumerate(tokens):
        parts.append(_literal(piece[end : token.start()]))
        end = token.end()
        before, behind = piece[token.start() - 1 : token.start()], piece[end : end + 1]
        if k not in used and (before.isalpha() or before == "_"):
            parts.append(re.escape(token[0]))  # part of a word
            continue
        clock = (before in "-:" and piece[token.start() - 2 : token.start() - 1].isdigit()) or (
            behind in "-:" and piece[end + 1 : end + 2].isdigit()
        )
        kind = _kind(token[0], exact=clock and before + behind != "")
        parts.append(f"({kind})" if k in used else kind)
    return "".join([*parts, _literal(piece[end:].rstrip())])


def _kind(word: str, exact: bool) -> str:
    """Return the expression of numbers that are written like a word; `exact` keeps the number of its digits."""
    if exact:
        return re.sub(r"\d+", lambda run: rf"\d{{{len(run[0])}}}", re.escape(word))
    if "," in word:
        return r"\d{1,3}(?:,\d{3})+" + (r"\.\d+" if "." in word else "")
    mantissa, mark, _ = word.lower().partition("e")
    return re.sub(r"\d+", r"\\d+", re.escape(mantissa)) + (r"[eE][-+]?\d+" if mark else "")


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
