"""Settings: `[tool.lmdiag]` in pyproject.toml, or lmdiag.toml.

    select = ["numerics", "loss-spike"]      # rules or families that look; default: all
    ignore = ["throughput"]                  # rules or families that do not
    fail-on = "warning"                      # error (default), warning, info or never

    [tool.lmdiag.rules.loss-spike]           # in lmdiag.toml: [rules.loss-spike]
    threshold = 8.0

The nearest file wins: lmdiag.toml, .lmdiag.toml or pyproject.toml of the working directory, else of its parent, and so on.
Names of rules are not known here; whoever runs the rules checks them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lmdiag.errors import BadSetting, nearest

FILE_NAMES = ("lmdiag.toml", ".lmdiag.toml", "pyproject.toml")
FAIL_ON = ("error", "warning", "info", "never")


@dataclass(frozen=True)
class Settings:
    """What a project wants of lmdiag; `source` is the file it was read from, "" for the defaults."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""


KEYS = tuple(f.name.replace("_", "-") for f in fields(Settings) if f.name != "source")


def load(directory: Path) -> Settings:
    """Return the settings that hold for a directory: those of the nearest file that has any, else the defaults."""
    for folder in (directory.resolve(), *directory.resolve().parents):
        for name in FILE_NAMES:
            found = read(folder / name)
            if found is not None:
                return found
    return Settings()


def read(path: Path) -> Settings | None:
    """Return the settings of one file; None where there is no such file, or a pyproject.toml without `[tool.lmdiag]`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(
            f"{path}: {error}", "lmdiag reads its settings from this file; correct it, or use --isolated."
        ) from error
    if path.name == "pyproject.toml":
        document = document.get("tool", {}).get("lmdiag")
        if document is None:
            return None
    return from_mapping(document, str(path))


def from_mapping(document: Mapping[str, Any], source: str = "") -> Settings:
    """Return the settings written in a mapping of TOML values; an unknown key or a value that does not fit is an error.

    >>> from_mapping({"fail-on": "warning", "rules": {"loss-spike": {"min-rise": 0.3}}}).rules
    {'loss-spike': {'min_rise': 0.3}}
    """
    values: dict[str, Any] = {}
    for key, value in document.items():
        plain = key.replace("-", "_")
        if plain.replace("_", "-") not in KEYS:
            raise BadSetting(f"{_where(source)}unknown setting {key!r}", nearest(key, list(KEYS)))
        values[plain] = _READERS[plain](value, f"{_where(source)}{key}")
    return Settings(**values, source=source)


def override(settings: Settings, assignments: list[str]) -> Settings:
    """Return the settings with single values replaced: `KEY=VALUE`, where the value is TOML or a bare word.

    >>> override(Settings(), ["fail-on=never", "rules.plateau.window=50"]).rules
    {'plateau': {'window': 50}}
    """
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        settings = _merge(
            settings, from_mapping(_nested(key.strip().split("."), _value(text.strip())), "--config"), key
        )
    return settings


def _merge(settings: Settings, new: Settings, key: str) -> Settings:
    if not new.rules:
        name = key.strip().replace("-", "_")
        return replace(settings, **{name: getattr(new, name)})
    rules = {rule: dict(values) for rule, values in settings.rules.items()}
    for rule, values in new.rules.items():
        rules.setdefault(rule, {}).update(values)
    return replace(settings, rules=rules)


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    return {path[0]: _nested(path[1:], value) if len(path) > 1 else value}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.split(",") if "," in text else text


def _names(value: Any, where: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadSetting(
            f"{where} must be a list of names, not {value!r}", 'Write for example ["numerics", "loss-spike"].'
        )
    return tuple(names)


def _fail_on(value: Any, where: str) -> str:
    if value not in FAIL_ON:
        raise BadSetting(f"{where} cannot be {value!r}", f"choose one of {', '.join(FAIL_ON)}.")
    return str(value)


def _rules(value: Any, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise BadSetting(f"{where} must hold one table per rule", "Write for example rules.loss-spike.threshold = 8.0.")
    return {rule: {key.replace("-", "_"): v for key, v in table.items()} for rule, table in value.items()}


def _where(source: str) -> str:
    return f"{source}: " if source else ""


_READERS = {"select": _names, "ignore": _names, "fail_on": _fail_on, "rules": _rules}
