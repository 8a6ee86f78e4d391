"""Settings: `[tool.lmdiag]` in pyproject.toml, or lmdiag.toml, where `tool.lmdiag` may be left out.

    select = ["numerics", "loss-spike"]      # rules or families that look; default: all
    ignore = ["throughput"]                  # rules or families that do not
    fail-on = "warning"                      # error (default), warning, info or never
    baseline = "lmdiag-baseline.json"        # known findings that no longer count

    [tool.lmdiag.rules.loss-spike]           # in lmdiag.toml also [rules.loss-spike]
    smallest = 0.1                           # a setting of the rule
    severity = "error"                       # of all its findings

    [[tool.lmdiag.per-path]]                 # other settings for some logs
    match = "runs/gan-*"
    ignore = ["divergence"]

    [[tool.lmdiag.per-path]]                 # how to read logs that say too little of themselves, as the options of these names
    match = "*.out"
    pattern = "at (?P<step>[0-9]+): (?P<loss>[0-9.]+)"

    [[tool.lmdiag.suppress]]                 # findings that are known and accepted
    rule = "loss-spike"
    match = "runs/big.jsonl"                 # optional, like the next two
    steps = [1000, 1200]
    until = 2027-01-31
    reason = "planned restart of the schedule"

The nearest file wins: lmdiag.toml, .lmdiag.toml or pyproject.toml of the working directory, else of its parent, and so on.
Names of rules are not known here; whoever runs the rules checks them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from lmdiag.errors import BadSetting, nearest

FILE_NAMES = ("lmdiag.toml", ".lmdiag.toml", "pyproject.toml")
FAIL_ON = ("error", "warning", "info", "never")


class Suppression(Struct, frozen=True):
    """Findings that are known and accepted: of one rule or family, in some logs, within some steps, for some time."""

    rule: str
    reason: str
    match: str = "*"
    steps: tuple[int, int] | None = None
    until: datetime.date | None = None


class Settings(Struct, frozen=True):
    """What a project wants of lmdiag; `source` is the file it was read from, "" for the defaults.

    `per_path` holds (pattern, changes): settings of `changes` replace the general ones for logs that match. Only there stand
    `reader`, `map` and `pattern`, which say how a log is read.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"
    baseline: str = ""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    per_path: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    suppress: tuple[Suppression, ...] = ()
    source: str = ""
    reader: str = ""
    map: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""

    def for_path(self, path: str) -> Settings:
        """Return the settings that hold for the log at a path.

        >>> Settings(per_path=(("runs/gan-*", {"ignore": ("spikes",)}),)).for_path("runs/gan-1.jsonl").ignore
        ('spikes',)
        """
        settings = self
        for pattern, changes in self.per_path:
            if fnmatch(path, pattern):
                rules = merged(settings.rules, changes.get("rules", {}))
                settings = replace(settings, **{**changes, "rules": rules})
        return settings


READING = ["reader", "map", "pattern"]
KEYS = [name.replace("_", "-") for name in Settings.__struct_fields__ if name not in ("source", *READING)]
KEYS_PER_PATH = ["match", "select", "extend-select", "ignore", "rules", *READING]


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
        document = _document(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        hint = "lmdiag reads its settings from this file; correct it, or use --isolated"
        raise BadSetting(f"{path}: {error}", hint) from error
    written = _settings_in(document, path)
    return None if written is None else from_mapping(written, str(path))


def _document(text: str) -> dict[str, Any]:
    """Return what a text in TOML says; raise ValueError where it is none."""
    import tomllib  # most checks find no settings to read

    return tomllib.loads(text)


def _settings_in(document: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    """Return what a file says of lmdiag: its `[tool.lmdiag]` or, except in a pyproject.toml, all of it."""
    tool = document.get("tool")
    table: Mapping[str, Any] | None = tool.get("lmdiag") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise BadSetting(
            f"{path}: tool.lmdiag must be a table, not {table!r}", "Write the settings below [tool.lmdiag]."
        )
    if path.name == "pyproject.toml":
        return table
    if table is None:
        return document
    bare = [key for key in document if key != "tool"]
    if bare:
        raise BadSetting(
            f"{path}: {bare[0]!r} stands beside [tool.lmdiag]", "write all settings inside it, or all outside"
        )
    return table


def from_mapping(document: Mapping[str, Any], source: str = "") -> Settings:
    """Return the settings written in a mapping of TOML values; an unknown key or a value that does not fit is an error.

    >>> from_mapping({"fail-on": "warning", "rules": {"loss-spike": {"min-rise": 0.3}}}).rules
    {'loss-spike': {'min_rise': 0.3}}
    """
    return Settings(**_values(document, f"{source}: " if source else "", KEYS), source=source)


def override(settings: Settings, assignments: list[str]) -> Settings:
    """Return the settings with single values replaced: `KEY=VALUE`, where the value is TOML or a bare word.

    >>> override(Settings(), ["fail-on=never", "rules.plateau.window=50"]).rules
    {'plateau': {'window': 50}}
    """
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        values = _values(_nested(key.strip().split("."), _value(text.strip())), "--config: ", KEYS)
        values["rules"] = merged(settings.rules, values.get("rules", {}))
        settings = replace(settings, **values)
    return settings


def merged(rules: Mapping[str, Mapping[str, Any]], more: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of rules with those of `more` put over them, one by one."""
    return {name: {**rules.get(name, {}), **more.get(name, {})} for name in [*rules, *more]}


def _values(document: Mapping[str, Any], where: str, known: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key.replace("_", "-") not in known:
            raise BadSetting(f"{where}unknown setting {key!r}", nearest(key, known))
        name = key.replace("-", "_")
        values[name] = _READERS[name](value, f"{where}{key}")
    return values


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    return {path[0]: _nested(path[1:], value) if len(path) > 1 else value}


def _value(text: str) -> Any:
    try:
        return _document(f"value = {text}")["value"]
    except ValueError:
        return text.split(",") if "," in text else text


def _names(value: Any, where: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        hint = 'write for example ["numerics", "loss-spike"]'
        raise BadSetting(f"{where} must be a list of names, not {value!r}", hint)
    return tuple(names)


def _file(value: Any, where: str) -> str:
    return _text(value, where) if value else ""


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadSetting(f"{where} must be a text, not {value!r}", "write it between quotes")
    return value


def checked_fail_on(value: Any, where: str) -> str:
    """Return the value, one of FAIL_ON; raise BadSetting for any other."""
    if value not in FAIL_ON:
        raise BadSetting(f"{where} cannot be {value!r}", f"choose one of {', '.join(FAIL_ON)}")
    return str(value)


def _rules(value: Any, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise BadSetting(f"{where} must hold one table per rule", "write for example rules.loss-spike.smallest = 0.1")
    return {rule: {key.replace("-", "_"): v for key, v in table.items()} for rule, table in value.items()}


def _tables(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        key = where.split(" ")[-1]
        raise BadSetting(
            f"{where} must be a list of tables", f"write [[{key}]] (in pyproject.toml: [[tool.lmdiag.{key}]])"
        )
    return value


def _per_path(value: Any, where: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    found = []
    for table in _tables(value, where):
        changes = _values(table, f"{where}: ", KEYS_PER_PATH)
        if "match" not in changes:
            raise BadSetting(f"{where}: an entry has no match", 'write for example match = "runs/gan-*"')
        found.append((changes.pop("match"), changes))
    return tuple(found)


def suppressions(value: Any, where: str) -> tuple[Suppression, ...]:
    """Return the suppressions in a list of TOML or JSON tables; `where` is named in what is wrong with them.

    >>> suppressions([{"rule": "spikes", "reason": "planned", "steps": [10, 20]}], "suppress")[0].steps
    (10, 20)
    """
    known = list(Suppression.__struct_fields__)
    found = []
    for table in _tables(value, where):
        values = _values(table, f"{where}: ", known)
        for key in ("rule", "reason"):
            if key not in values:
                raise BadSetting(f"{where}: an entry has no {key}", "say which rule, and why its finding is accepted")
        found.append(Suppression(**values))
    return tuple(found)


def _columns(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(column, str) for column in value.values()):
        raise BadSetting(
            f"{where} must name a column for each metric, not {value!r}", 'write for example {loss = "cost"}'
        )
    return value


def _steps(value: Any, where: str) -> tuple[int, int]:
    whole = isinstance(value, list) and len(value) == 2 and all(type(step) is int for step in value)
    if not whole or value[0] > value[1]:
        raise BadSetting(
            f"{where} must be the first and the last step, not {value!r}", "write for example [1000, 1200]"
        )
    return value[0], value[1]


def _date(value: Any, where: str) -> datetime.date:
    if isinstance(value, str):  # as JSON writes it
        with suppress(ValueError):
            return datetime.date.fromisoformat(value)
    if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
        raise BadSetting(f"{where} must be a date, not {value!r}", "write for example 2027-01-31, without quotes")
    return value


_READERS: dict[str, Any] = {
    **dict.fromkeys(("select", "extend_select", "ignore"), _names),
    **dict.fromkeys(("match", "rule", "reason", "reader", "pattern"), _text),
    "map": _columns,
    "fail_on": checked_fail_on,
    "baseline": _file,
    "rules": _rules,
    "per_path": _per_path,
    "suppress": suppressions,
    "steps": _steps,
    "until": _date,
}
