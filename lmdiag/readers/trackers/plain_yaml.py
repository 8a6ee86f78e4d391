"""The `key: value` lines of a YAML file, and the mappings in it: all that trackers write about settings."""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_][\w./-]*):(?:[ \t]+(?P<value>\S.*))?$")
_ITEM = re.compile(r"^(?P<indent> *)-(?: |$)")
_DEEPEST = 100  # no settings are nested so deep
_WORDS = {"null": None, "~": None, "true": True, "false": False}


def plain_yaml(text: str) -> dict[str, Any]:
    """Return the plain values and the mappings of such; lists and what stands in them are left out.

    >>> plain_yaml("lr: 6e-5\\nname: 'a b'\\nbf16: true\\nlayers:\\n- 1\\noptim:\\n  beta: 0.9\\n")
    {'lr': 6e-05, 'name': 'a b', 'bf16': True, 'optim': {'beta': 0.9}}
    """
    found: dict[str, Any] = {}
    open_at: list[tuple[int, dict[str, Any]]] = [(-1, found)]  # indents with the mappings whose keys stand deeper
    for line in text.splitlines():
        match = _LINE.match(line.rstrip()) or _ITEM.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        while open_at[-1][0] >= indent:
            open_at.pop()
        if len(open_at) > _DEEPEST:
            continue
        if match.re is _ITEM:
            open_at.append((indent, {}))
        elif match["value"] is None:
            inner: dict[str, Any] = {}
            open_at[-1][1][match["key"]] = inner
            open_at.append((indent, inner))
        elif match["value"][0] not in "[{&*!|>":
            open_at[-1][1][match["key"]] = _value(match["value"])
    return _without_empty(found)


def _without_empty(mapping: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_empty(v) if isinstance(v, dict) else v for k, v in mapping.items() if v != {}}


def _value(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if word[0] in "'\"" and word[-1] == word[0] and len(word) > 1:
        return word[1:-1]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
