"""Facts of the header that a printed log states before its first records: batch sizes, clipping, vocabulary, …."""

from __future__ import annotations

from typing import Any

from lmdiag.facts import printed_fact, put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number

_ASSIGNED = lazy(rf"(?:[:=]|(?<!\.)\.{{3,}}+|\bis)\s*({NUM})([KMB]?)(?![\w.])")
_BETWEEN_NAMES = lazy(r"[,;(){}\[\]|\"'\t]|\s-\s|[:=]\s?|\.{3,}")
LONGEST_NAME = 60
MOST_WORDS = 5
_SENTENCES = (  # (words in it, fact, pattern)
    ("otal batch size", "batch_tokens", lazy(rf"[Tt]otal batch size ({NUM}) => ")),
    ("accumulation over", "grad_accum", lazy(rf"[Gg]radient accumulation over ({NUM}) batch")),
)


def find_facts(piece: str, config: dict[str, Any]) -> None:
    """Put the facts that a piece of the header states into `config`.

    >>> config = {}
    >>> find_facts("number of parameters: 123.69M, grad_clip=1.0", config)
    >>> config
    {'model': {'params': 123690000}, 'grad_clip': 1.0}
    """
    for match in _ASSIGNED.finditer(piece):
        fact = _fact_named(piece[max(0, match.start() - LONGEST_NAME) : match.start()])
        if fact:
            put_fact(config, fact, number(match[1] + match[2], suffixed=True))
    for words, fact, pattern in _SENTENCES:
        if words in piece and (found := pattern.search(piece)):
            put_fact(config, fact, number(found[1]))


def _fact_named(before: str) -> str | None:
    """Return the fact with the longest known name that ends a text."""
    words = _BETWEEN_NAMES.split(before.rstrip(" '\"."))[-1].split()
    names = (" ".join(words[-count:]) for count in range(min(len(words), MOST_WORDS), 0, -1))
    return next((fact for name in names if (fact := printed_fact(name))), None)
