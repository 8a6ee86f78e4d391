"""What programs print of records, rewritten as the JSON that it is not: of Python, of C, of JavaScript."""

from __future__ import annotations

import ast
import json
import re
from functools import cache

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import unwrapped

_BARE_WORD = lazy(r"(?<=[:\[,])(\s*)([-+]?)(nan|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
_TRAILING_COMMA = lazy(r",(\s*[}\]])")
_NUMBER_WITHOUT_DIGIT = lazy(r"(?<=[:\[,])(\s*)([-+]?)(\.\d+|\d+\.(?=[eE,}\]\s]))")
_HUGE = lazy(r"(?<=[:\[,])(\s*-?)\d{4301,}(?=\s*[,}\]])")  # Python makes no number of so many digits
_LOUD_WORD = {"nan": "NaN", "inf": "Infinity", "infinity": "Infinity"}
_PYTHON_WORDS = {"None": "null", "True": "true", "False": "false"}
_JSON_WORDS = frozenset("null true false nan NaN inf Infinity".split())

# A word, a number, a text, or a call such as tensor(2.5); possessive, so that what is torn is given up where it is torn.
_STRING = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_ATOM = rf"(?:{_STRING}|[-+]?[\w.]++(?:[-+]\d++)?(?:\((?:[^()\n]|\([^()\n]*+\))*+\))?)"


def repaired(text: str) -> str:
    """Write what Python, C and JavaScript print as JSON that Python reads; every line end stays where it is.

    An integer of thousands of digits becomes infinite, as one of hundreds is where a number of 64 bits takes it.

    >>> repaired("[{'loss': tensor(2.5), 'lr': None, 'x': nan,}]")
    '[{"loss": 2.5, "lr": null, "x": NaN}]'
    """
    if "'" in text or "(" in text:
        dictionary, token = _patterns()
        text = dictionary.sub(lambda m: token.sub(_as_json, m[0]), text)
    text = _BARE_WORD.sub(lambda m: f"{m[1]}{'-' if m[2] == '-' else ''}{_LOUD_WORD[m[3].lower()]}", text)
    text = _NUMBER_WITHOUT_DIGIT.sub(
        lambda m: (
            f"{m[1]}{'-' if m[2] == '-' else ''}0{m[3].rstrip('.')}"
            if m[3][0] == "."
            else f"{m[1]}{m[2].strip('+')}{m[3]}0"
        ),
        text,
    )
    return _TRAILING_COMMA.sub(r"\1", _HUGE.sub(r"\1Infinity", text))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a dictionary, with a list of dictionaries in it at most, and of what it is made of."""
    value = _ATOM
    for _ in range(2):
        value = rf"(?:{_ATOM}|[\[(]\s*+(?:{value}\s*+,?\s*+)*+[\])]|{_holding(value)})"
    return re.compile(_holding(value)), re.compile(rf"{_ATOM}|[()]")


def _holding(value: str) -> str:
    return rf"\{{\s*+(?:{_STRING}\s*+:\s*+{value}\s*+(?:,\s*+|(?=\}})))*+\}}"


def _as_json(match: re.Match[str]) -> str:
    """Return a token of a printed dictionary as JSON has it."""
    word = match[0]
    if word in "()":
        return "[" if word == "(" else "]"
    if word[0] == '"' or word in _JSON_WORDS:
        return word
    if word[0] == "'":
        try:
            return json.dumps(ast.literal_eval(word)) if '"' in word or "\\" in word else f'"{word[1:-1]}"'
        except (ValueError, SyntaxError):
            return json.dumps(word[1:-1])
    number = unwrapped(word)
    return number if number[0] in "-+.0123456789ni" else _PYTHON_WORDS.get(word) or json.dumps(word)
