"""Rewards that can be computed: a number for each text that a policy wrote. Their best value is known, and is 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def length(text: str, settings: Any) -> float:
    """Reward a text for being as long as asked for.

    >>> from types import SimpleNamespace
    >>> [length(text, SimpleNamespace(target_length=4, completion_tokens=8)) for text in ("abcd", "ab", "abcdefgh")]
    [1.0, 0.75, 0.5]
    """
    return 1 - abs(len(text) - settings.target_length) / settings.completion_tokens


def sentence(text: str, settings: Any) -> float:
    """Reward a form: a text begins with a capital letter and ends with a full stop, half for each.

    >>> [sentence(text, None) for text in ("See above.", "see above.", "")]
    [1.0, 0.5, 0.0]
    """
    return 0.5 * text[:1].isupper() + 0.5 * text.endswith(".")


def vowels(text: str, settings: Any) -> float:
    """Reward the share of vowels.

    >>> vowels("area", None)
    0.75
    """
    return sum(character in "aeiouAEIOU" for character in text) / max(len(text), 1)


REWARDS: dict[str, Callable[[str, Any], float]] = {
    function.__name__: function for function in (length, sentence, vowels)
}


def named(names: str) -> list[str]:
    """Return the rewards asked for, separated by commas; raises ValueError for one that does not exist."""
    found = [name.strip() for name in names.split(",")]
    unknown = [name for name in found if name not in REWARDS]
    if unknown:
        raise ValueError(f"--rewards {names}: there is no {unknown[0]!r}; there are {', '.join(REWARDS)}")
    return found


def rewards_of(texts: Sequence[str], settings: Any) -> dict[str, list[float]]:
    """Return {reward: its value for each text}."""
    return {name: [REWARDS[name](text, settings) for text in texts] for name in named(settings.rewards)}
