"""The `key: value` lines of a YAML file: all that `hparams.yaml` and MLflow's `meta.yaml` need."""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(r"^(?P<key>[A-Za-z_][\w./-]*):[ \t]+(?P<value>\S.*?)\s*$")
_WORDS = {"null": None, "~": None, "true": True, "false": False}


def flat_yaml(text: str) -> dict[str, Any]:
    """Return the plain values of the outermost level; lists, objects and anything indented are left out.

    >>> flat_yaml("lr: 6e-5\\nname: 'a b'\\nbf16: true\\nlayers:\\n- 1\\n")
    {'lr': 6e-05, 'name': 'a b', 'bf16': True}
    """
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and match["value"][0] not in "[{&*!|>":
            found[match["key"]] = _value(match["value"])
    return found


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
