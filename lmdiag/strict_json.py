"""Strict JSON: what the format has no word for, as `lmdiag-log/1` and `lmdiag-report/1` write it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    """Return strict JSON of any value; see `plain`."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def encodable(text: str) -> str:
    """Return text that UTF-8 can hold: names of files and escapes in JSON may stand for no character.

    >>> encodable("caf\\udce9")
    'caf?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(value: Any) -> Any:
    """Turn numbers of any library into what strict JSON can hold, inside lists and mappings too.

    Non-finite numbers become the strings "NaN", "Infinity" and "-Infinity"; what is no number becomes text.

    >>> plain({"z": float("inf"), "n": 3, "name": "a", "all": (float("nan"), 0.5)})
    {'z': 'Infinity', 'n': 3, 'name': 'a', 'all': ['NaN', 0.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    number = value.item() if getattr(value, "size", 0) == 1 else value
    if not isinstance(number, float):
        return number if isinstance(number, (str, bool, int)) else str(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number
