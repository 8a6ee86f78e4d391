"""What the sentences of findings may say of numbers, and how the log is asked whether it is so.

A statement is the words around some numbers and a question to the log. What no statement covers must be one of the numbers that a
finding gives as its evidence, one of the header or of the settings, or stand in `CONSTANTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmdiag.figures import duration, size
from tests.truth.case import Case
from tests.truth.numbers import Number, any_spells, numbers_in, parsed
from tests.truth.statement import STATEMENTS, Check
from tests.truth.statements import of_advice, of_counts, of_levels, of_post_training, of_preferences  # noqa: F401  they register

# Numbers that no log decides: what is usual, what a format means, how much to change a setting.
CONSTANTS = (
    "at 1.0 to begin with",
    "where about 0.001 is usual",
    "updates of 0.1% of the weights",
    "in the first 10% of the run",
    "99% of all norms",
    "(0.1 is usual with AdamW)",
    "the last 10 to 20%",
    "buys 2 to 5% at once",
    "by 0.1, or",
    "stays above 13 nats",
    "at most 13 nats",
    "still above 8 nats",
    "a multiple of ln 2",
    "ln 2, the loss",
    "at temperature 1.",
    "temperature 1, top_k 0 and top_p 1,",
    "(clip-higher, 0.28)",
    "an entropy bonus of 0.001 to 0.01",
    "0.01 to 0.05",
    "the gradient norm must not be 0.",
    "moved by 0.05 nats per token (target_kl)",
    "rpo_alpha 1, or an SFT term of 0.1 to 1",
    "masked (-100)",
    "is 0/0",
    "divided by ln 2",
    "times 0.693",
    "not counting the 32 ",
    "as good as 0,",
    "per 1,000 ",
    "down to 0.5%",
    "to keep 1% free",
)
CONSTANT = re.compile("|".join(map(re.escape, CONSTANTS)))


def untrue(case: Case, text: str) -> Iterator[str]:
    """Yield what a sentence of a finding says that its log does not bear out."""
    text = case.names.sub(lambda found: re.sub(r"\d", "#", found[0]), text)
    left = {number.start: number for number in numbers_in(text)}
    for found in CONSTANT.finditer(text):
        left = {start: number for start, number in left.items() if not found.start() <= start < found.end()}
    for words, check in STATEMENTS:
        for found in words.finditer(text):
            yield from _ask(case, found, check)
            inside = {found.span(name) for name in words.groupindex if found[name] is not None}
            left = {s: n for s, n in left.items() if not any(a <= s < b for a, b in inside)}
    for number in left.values():
        if not _explained(case, number, text):
            yield f"{number.written} is nowhere: {text}"


def _ask(case: Case, found: re.Match[str], check: Check) -> Iterator[str]:
    said = {name: text for name, text in found.groupdict().items() if text is not None}
    told = {name: _step(text) if name.startswith("at_") else text for name, text in said.items()}
    nowhere = [text for name, text in said.items() if name.startswith("at_") and told[name] not in case.places]
    if nowhere:
        yield f"the log has no {nowhere[0]}: {found[0]}"
    elif not check(case, **told):
        yield f"not so: {found[0]}"


def _step(place: str) -> int:
    return int(re.sub(r"\D", "", place.partition("–")[0]))


def _explained(case: Case, number: Number, text: str) -> bool:
    """Tell whether a number that no statement covers is a place the finding may name, or one of its evidence."""
    before, behind = text[: number.start], text[number.end :]
    if re.search(r"(?:step|epoch|record)s? $", before) or re.match(r" (?:tokens|samples)\b", behind):
        return parsed(number.written) in case.known_places
    seen = case.finding.evidence.values()
    told = (write(value * per) for value in seen for per in (1, 1000) for write in (size, duration))
    if any(re.match(rf"{re.escape(written)}\b", text[number.start :]) for written in told):
        return True
    return any_spells(number.written, (*seen, len(case.logged), len(case.finding.steps) or len(case.logged)))
