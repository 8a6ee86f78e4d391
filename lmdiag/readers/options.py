"""What the user says about a log that the log does not say itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from lmdiag.errors import BadSetting, nearest
from lmdiag.languages import in_english
from lmdiag.metrics import METRICS
from lmdiag.naming import spelling
from lmdiag.patterns import lazy
from lmdiag.readers.rawlog import RawLog

STEP = "step"
LISTED = 20
_FACTOR = lazy(r"(.*\S)\s*([*/])\s*((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


class ReadOptions(Struct, frozen=True):
    """How to read: the reader to use, which column stands for which metric, and a pattern for lines of text.

    `mapping` is {canonical name or "step": name in the log}, the name perhaps with a factor: `total/25`; a metric that does not exist
    is a BadSetting. `pattern` is a regular expression with named groups.
    """

    reader: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""

    def __post_init__(self) -> None:
        for metric in self.mapping:
            if metric != STEP and not metric.startswith("layers/") and metric.rpartition("/")[2] not in METRICS:
                meant = spelling(metric)
                hint = f'did you mean "{meant.name}"?' if meant.known else nearest(metric, [STEP, *METRICS])
                raise BadSetting(f'there is no metric "{metric}" to map a column to', hint)


def column_and_factor(said: str, columns: Collection[str]) -> tuple[str, float]:
    """Return the column that is meant, and what its values are to be multiplied with; a column of the very name counts first.

    >>> column_and_factor("loss/25", ["loss"]), column_and_factor("a * 0.5", ["a"]), column_and_factor("ms/25", ["ms/25"])
    (('loss', 0.04), ('a', 0.5), ('ms/25', 1.0))
    """
    found = None if said in columns else _FACTOR.fullmatch(said)
    if found is None:
        return said, 1.0
    factor = float(found[3])
    if not factor:
        raise BadSetting(f"--map …={said}: zero is no factor", "write for example loss/25, or loss*0.04")
    return found[1], factor if found[2] == "*" else 1 / factor


def listed(columns: Collection[str]) -> str:
    """Name some columns, and say how many more there are.

    >>> listed(["step", "my cost"])
    'step, my cost'
    """
    more = f" and {len(columns) - LISTED} more" if len(columns) > LISTED else ""
    return ", ".join(list(columns)[:LISTED]) + more


def meant(name: str, raw: RawLog) -> str:
    """Return the column that a word of the log became: the counter of steps, or one whose name was read in English."""
    if raw.called.get(name) in raw.columns:
        return raw.called[name]
    words = in_english(name)
    known = spelling(words)
    if words == name or not known.known:
        return name
    of_metric = [column for column in raw.columns if (raw.names.get(column) or spelling(column).name) == known.name]
    return of_metric[0] if len(of_metric) == 1 else name


def mapped(raw: RawLog, mapping: Mapping[str, str]) -> RawLog:
    """Return the log with the columns named as the user wants; a name it does not hold is a BadSetting.

    A column that had the metric before keeps a name of its own.
    """
    if not mapping:
        return raw
    wanted: dict[str, str] = {}
    scales, unused, step_column = dict(raw.scales), dict(raw.unused), raw.step_column
    for metric, said in mapping.items():
        name, factor = column_and_factor(said, raw.columns)
        name = name if name in raw.columns else meant(name, raw)
        if name not in raw.columns:
            raise BadSetting(
                f'{raw.name} has no column of numbers "{name}"; it has {listed(raw.columns)}',
                nearest(name, list(raw.columns)) if len(raw.columns) <= LISTED else "name one of its columns",
            )
        if metric == STEP and factor != 1:
            raise BadSetting(f"--map step={said}: a step takes no factor", f"write --map step={name}")
        if metric == STEP:
            step_column = name
            continue
        wanted[name] = metric
        if factor != 1:
            scales[name] = factor
    names = {**raw.names, **wanted}
    for name in set(raw.columns) - set(wanted):
        metric = raw.names.get(name) or spelling(name).name
        if metric in wanted.values():
            names[name] = f"logged {name}" if name in wanted.values() else name
            unused[name] = f"--map takes another column for {metric}"
    return replace(raw, names=names, scales=scales, unused=unused, step_column=step_column)
