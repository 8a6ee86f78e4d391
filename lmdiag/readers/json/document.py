"""One JSON document: a list of records, an object of lists, or either of them inside other objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.metrics import is_step_name, spelling
from lmdiag.readers.json.decode import Lost, cut_apart, decode
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import DEEPEST, Rows, flat
from lmdiag.sources.source import Source

NUMBERED = re.compile(r"(epoch|step|iter|iteration)?[ _-]?(\d+)", re.IGNORECASE)
NUMBERED_FIRST = re.compile(rb'\{\s*"(?:epoch|step|iter|iteration)?[ _-]?\d+":|.*"0":', re.IGNORECASE)
FEWEST_RECORDS = 3
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "eval", "test"}

_decoder = json.JSONDecoder()


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is one JSON value over several lines, or a list."""
    start = head.lstrip(b" \r\n\t\0")
    if start.startswith(b"["):
        begins = start[1:].lstrip()[:1]
        return begins in (b"{", b"[", b"]") or (begins.isdigit() and _speaks_of_loss(name))
    return start.startswith(b"{") and start[1:].lstrip()[:1] in (b'"', b"}") and _is_document(name, start)


def _is_document(name: str, start: bytes) -> bool:
    first = start.partition(b"\n")[0].strip()
    whole_line = first.endswith(b"}") and isinstance(decode(first.decode("utf-8", "replace")), dict)
    return not whole_line or (b"\n" not in start.strip() and (b"[" in first or NUMBERED_FIRST.match(start) is not None))


def read(source: Source) -> list[RawLog]:
    """Read the longest list of records, or the object of lists, that holds a loss."""
    document, damage = _load(source)
    records = _records(document, _holds_loss)
    lists = None if records else _lists(document, source.name)
    if records is None and lists is None:
        records = _records(document, _counts_steps)
        if records is None:
            raise NoValues(
                f"{source.name} is JSON, but holds neither a list of records nor lists of numbers with a loss",
                'a log needs its records, such as [{"step": 1, "loss": 2.3}, …], or lists, such as {"loss": [2.3, …]}',
            )
    if lists is not None:
        rows = _rows_of_lists(lists)
    else:
        rows = Rows()
        for record in records or ():
            if isinstance(record, dict):
                rows.add(record)
            else:
                rows.skip(0, "not a record")
    if damage:
        rows.skip(0, damage)
    return [refuse_results_table(rows.log("json", source.name, source=source.name, settings=_settings(document)))]


def parsed(source: Source, kind: str) -> Any:
    """Return what a whole JSON document says; raise UnreadableLog where one that begins like this kind of it is none."""
    try:
        return json.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise UnreadableLog(
            f"{source.name} begins like {kind} but is not JSON: {error}", "check that it was copied completely"
        ) from error


def _load(source: Source) -> tuple[Any, str]:
    try:
        return json.loads(source.text), ""
    except (ValueError, RecursionError) as error:
        whole = _one_after_another(source.text)
        if whole:
            return whole, ""
        found = [piece for piece in cut_apart(source.text) if not isinstance(piece, Lost)]
        records = found[0] if len(found) == 1 else found
        if not found:
            raise UnreadableLog(
                f"{source.name} begins like JSON but is not: {error}", "check that it was copied completely"
            ) from error
        return records, f"the document is cut off or damaged: {error}"


def _one_after_another(text: str) -> list[Any]:
    """Return the values of a text that is several documents, as JSON Lines with a very long first line; [] with a torn one."""
    values: list[Any] = []
    at, end = 0, len(text.rstrip())
    try:
        while at < end:
            start = next(place for place in range(at, end) if not text[place].isspace())
            value, at = _decoder.raw_decode(text, start)
            values.append(value)
    except (ValueError, RecursionError):
        return []
    return values


def _records(document: Any, fits: Callable[[list[Any]], bool]) -> list[Any] | None:
    """Find the longest list of objects that fits."""
    parts = [part if isinstance(part, list) else _numbered(part) for _, part in _parts(document)]
    return max((part for part in parts if part and fits(part)), key=len, default=None)


def _counts_steps(part: list[Any]) -> bool:
    """Tell whether a list holds records with a step, whatever else they measure."""
    stepping = [item for item in part if isinstance(item, dict) and any(map(is_step_name, item)) and len(item) > 1]
    return len(stepping) >= FEWEST_RECORDS and 2 * len(stepping) > len(part)


def _numbered(part: Any) -> list[Any] | None:
    """Return the records of an object such as {"epoch_1": {"loss": 2.3}, "epoch_2": …}, with their numbers."""
    keys = [NUMBERED.fullmatch(key) for key in part] if isinstance(part, dict) else []
    if len(keys) < 2 or not all(keys) or not all(isinstance(value, dict) for value in part.values()):
        return None
    names = [(key[1] or "step").lower() for key in keys if key]
    return [{name: int(key[2]), **value} for name, key, value in zip(names, keys, part.values()) if key]


def _holds_loss(part: list[Any]) -> bool:
    objects = [flat(item) for item in part[:50] if isinstance(item, dict)]
    return 2 * len(objects) >= len(part[:50]) > 0 and any(
        "loss" in k.lower() or spelling(k).known for o in objects for k in o
    )


def _parts(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, document
    if isinstance(document, dict) and path.count("/") < DEEPEST:
        for key, value in document.items():
            yield from _parts(value, f"{path}/{key}")


def _lists(document: Any, name: str) -> dict[str, list[Any]] | None:
    """Find the object that holds most lists of numbers, a loss among them; {"0": …, "1": …} counts as a list.

    Where the file or the object is called a loss, {"train": …, "val": …} are losses, and so is a bare list.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    if isinstance(document, list) and _speaks_of_loss(name) and (items := _as_list(document)) is not None:
        return {"loss": items}
    for path, part in _parts(document):
        if isinstance(part, dict):
            lists = {key: items for key, value in part.items() if (items := _as_list(value)) is not None}
            if _speaks_of_loss(path.rpartition("/")[2] or name):
                lists = {f"{key}_loss" if key.lower() in SPLITS else key: items for key, items in lists.items()}
            if any("loss" in key.lower() or "ppl" in key.lower() for key in lists):
                found[path] = lists
    best = max(found, key=lambda path: len(found[path]), default=None)
    return None if best is None else _with_other_sets(found, best)


def _with_other_sets(found: dict[str, dict[str, list[Any]]], best: str) -> dict[str, list[Any]]:
    """Return the lists of one object, with those of other sets beside it: {"train": {"loss": …}, "val": {"loss": …}}."""
    parent, _, name = best.rpartition("/")
    beside = {path.rpartition("/")[2]: lists for path, lists in found.items() if path.rpartition("/")[0] == parent}
    sets = {split: lists for split, lists in beside.items() if split.lower() in SPLITS}
    if name not in sets or len(sets) < 2:
        return found[best]
    return {f"{split}/{key}": items for split, lists in sets.items() for key, items in lists.items()}


def _speaks_of_loss(name: str) -> bool:
    return "loss" in name.rpartition("/")[2].lower()


def _as_list(value: Any) -> list[Any] | None:
    if isinstance(value, dict) and value and all(key.isdigit() for key in value):
        value = list(value.values())
    if not isinstance(value, list) or not value:
        return None
    scalars = all(item is None or isinstance(item, (int, float, str)) for item in value)
    return value if scalars and any(_is_number(item) for item in value) else None


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float)) or (isinstance(item, str) and cell_number(item) is not None)


def _rows_of_lists(lists: dict[str, list[Any]]) -> Rows:
    """Turn lists into rows: lists of one length belong together, with the list of steps of that length."""
    rows = Rows()
    for length in sorted({len(items) for items in lists.values()}, reverse=True):
        group = {key: items for key, items in lists.items() if len(items) == length}
        steps = next((key for key in group if is_step_name(key) or _names_steps(key)), None)
        named = {("step" if key == steps else key): items for key, items in group.items()}
        if steps is None and any(_names_steps(key) or is_step_name(key) for key in lists):
            rows.skip(0, f"{', '.join(group)}: {length} values without a list of their steps")
            continue
        for values in zip(*named.values()):
            rows.add(dict(zip(named, values)))
    return rows


def _names_steps(key: str) -> bool:
    """Tell whether a list counts the steps of one split: `val_iters`, `eval_steps`, `train_step`."""
    split, _, counter = key.lower().partition("_")
    return split in SPLITS and is_step_name(counter.rpartition("_")[2])


def _settings(document: Any) -> dict[str, Any]:
    """Return the settings that stand beside the history."""
    if not isinstance(document, dict):
        return {}
    settings: dict[str, Any] = {}
    for key in ("config", "args", "hparams", "hyperparameters", "meta"):
        if isinstance(document.get(key), dict):
            settings |= document[key]
    return settings
