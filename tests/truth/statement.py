"""The register of statements: the words around some numbers, and a question to the log."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.truth.numbers import template

Check = Callable[..., bool]
STATEMENTS: list[tuple[re.Pattern[str], Check]] = []


def states(*words: str) -> Callable[[Check], Check]:
    """Register a question for the sentences with these words; it gets the case, numbers as written and places as steps."""

    def register(check: Check) -> Check:
        STATEMENTS.extend((template(each), check) for each in words)
        return check

    return register
