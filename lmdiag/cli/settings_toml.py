"""Settings as the TOML that would give them: what `--show-settings` prints."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lmdiag.config import KEYS, Settings, Suppression


def settings_toml(settings: Settings) -> str:
    """Return a lmdiag.toml that holds every setting, with where they were read from as a comment.

    >>> print(settings_toml(Settings(ignore=("spikes",))).splitlines()[3])
    ignore = ["spikes"]
    """
    return "\n".join(_lines(settings))


def _lines(settings: Settings) -> Iterator[str]:
    yield f"# {settings.source or 'defaults'}"
    plain = [key for key in KEYS if key not in ("rules", "per-path", "suppress")]
    for key in plain:
        value = getattr(settings, key.replace("-", "_"))
        yield f"{key} = {_value(value)}" + ("  # all rules" if key == "select" and not value else "")
    yield from _tables("rules", settings.rules)
    for pattern, changes in settings.per_path:
        yield from ("", "[[per-path]]", f"match = {_value(pattern)}")
        yield from (f"{key.replace('_', '-')} = {_value(value)}" for key, value in changes.items() if key != "rules")
        yield from _tables("per-path.rules", changes.get("rules", {}))
    for suppression in settings.suppress:
        yield from ("", "[[suppress]]")
        yield from _suppression(suppression)


def _tables(name: str, rules: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for rule, values in rules.items():
        yield from ("", f"[{name}.{rule}]")
        yield from (f"{key} = {_value(value)}" for key, value in values.items())


def _suppression(suppression: Suppression) -> Iterator[str]:
    for name in suppression.__struct_fields__:
        value = getattr(suppression, name)
        if value is not None:
            yield f"{name} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_value(key)} = {_value(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and booleans are written alike in TOML
