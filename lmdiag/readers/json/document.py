"""One JSON document: a list of records, an object of lists, or either of them inside other objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.naming import evaluation_set, is_step_name, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.json import nameless
from lmdiag.readers.json.damaged import closed, is_torn_list, parts_of
from lmdiag.readers.json.decode import decode
from lmdiag.readers.json.logged import bound, holds_messages, logs_of
from lmdiag.readers.json.printed import repaired
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import DEEPEST, Rows, flat
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

NUMBERED = lazy(r"(epoch|step|iter|iteration)?[ _-]?(\d+)", re.IGNORECASE)
NUMBERED_FIRST = lazy(rb'\{\s*"(?:epoch|step|iter|iteration)?[ _-]?\d+":|.*(?:"0":|\{"\d+":)', re.IGNORECASE)
PLAIN_LIST = lazy(
    rb'\[(?:[\s,\[\]]|[-+]?[\d.]+(?:[eE][-+]?\d+)?(?=[\s,\]])|"[^"\n]*"|(?:null|nan|NaN|true|false|-?[Ii]nf(?:inity)?)\b)*+'
)
LONGEST_NUMBER = 30  # at the end of the first bytes one may be cut
TEXT_BEHIND = lazy(r"\s*(?:[^\s{}\[\],]|\{\s*[^\s\"}]|\[\s*[^\s{\[\]\"])")
LIST_WITHIN = lazy(rb"'\s*:\s*\[")
MOST_LINES = 20
FEWEST_RECORDS, FIRST = 3, 50
_decoder = json.JSONDecoder()
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "eval", "test"}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is one JSON value over several lines, or a list, whole or torn in front."""
    start = head.lstrip(b" \r\n\t\0")
    if start.startswith(b"["):
        return _begins_list(name, start)
    if start.startswith(b"{"):
        begins = start[1:].lstrip()[:1]
        if begins == b"'":
            return is_torn_list(start) or _holds_printed_lists(start)
        return begins in (b'"', b"}") and _is_document(start)
    return is_torn_list(start)


def _begins_list(name: str, start: bytes) -> bool:
    """Tell whether what begins with a bracket is a list, and not a line of text that begins with `[2024-…` or `[3, 200]`."""
    inside = start[1:].lstrip()
    if inside.startswith(b"{"):
        return inside[1:].lstrip()[:1] in (b'"', b"'", b"}")
    plain = PLAIN_LIST.match(start)
    is_list = plain is not None and len(start) - plain.end() <= LONGEST_NUMBER
    return is_list and (inside[:1] in (b"[", b"]") or _speaks_of_loss(name))


def _is_document(start: bytes) -> bool:
    text = start.decode("utf-8", "replace")
    try:
        value, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        value, end = None, len(text)
    if _mostly_lines(start):  # of JSON, of which the first is torn
        return False
    if TEXT_BEHIND.match(text, end) and _records(value, _holds_loss) is None and _lists(value, "") is None:
        return False  # the settings of a run, and then what it prints
    first = start.partition(b"\n")[0].strip()
    whole_line = first.endswith(b"}") and isinstance(decode(first.decode("utf-8", "replace")), dict)
    return not whole_line or (b"\n" not in start.strip() and (b"[" in first or NUMBERED_FIRST.match(start) is not None))


def _mostly_lines(start: bytes) -> bool:
    """Tell whether most of the lines behind the first are whole records."""
    lines = [line for line in start.split(b"\n", MOST_LINES + 1)[1 : MOST_LINES + 1] if line.strip()]
    if len(lines) < 2:
        return False
    return 2 * sum(map(_is_whole, lines)) > len(lines)


def _is_whole(line: bytes) -> bool:
    try:
        return line.lstrip().startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _holds_printed_lists(start: bytes) -> bool:
    """Tell whether this is an object of lists that Python printed: `{'loss': [2.5, 2.25], …}`."""
    document = closed(repaired(as_text(start))) if LIST_WITHIN.search(start) else None
    return isinstance(document, dict) and _lists(document, "") is not None


def read(source: Source) -> list[RawLog]:
    """Read the longest list of records, or the object of lists, that holds a loss."""
    document, lines, damages = _load(source)
    rows, notes, spread = _rows(document, lines, source.name)
    for line, damage in damages:
        rows.skip(line, damage)
    facts = {"settings": _settings(document), "notes": notes, "spread": spread}
    return [refuse_results_table(log) for log in logs_of(rows, "json", source.name, facts)]


def _rows(document: Any, lines: Mapping[int, int], name: str) -> tuple[Rows, tuple[str, ...], bool]:
    """Return the rows of a document, what was guessed, and whether the places of evaluations were; `lines` are those of its objects, by their id."""
    records, lists = _records(document, _holds_loss), _lists(document, name)
    if lists is not None and (records is None or (_evaluates(lists) and not _evaluates(*map(flat, records[:FIRST])))):
        rows = rows_of_lists(lists)
        for record in records or ():
            rows.skip(lines.get(id(record), 0), "a record beside lists of losses")
        notes = notes_of_lists(lists)
        return rows, notes, bool(notes)
    if records is None:
        table = nameless.table_in(document, name)
        if table is not None:
            return *table, False
        records = _records(document, _counts_steps) or _records(document, holds_messages)
    if records is None:
        raise NoValues(
            f"{name} is JSON, but holds neither a list of records nor lists of numbers with a loss",
            'a log needs its records, such as [{"step": 1, "loss": 2.3}, …], or lists, such as {"loss": [2.3, …]}',
        )
    rows = Rows()
    for record in records:
        if isinstance(record, dict):
            rows.add(bound(record), lines.get(id(record), 0))
        else:
            rows.skip(0, "not a record")
    for key, items in (lists or {}).items():
        for _ in items:
            rows.skip(0, f'a value of the list "{key}" beside the records', "value")
    return rows, (), False


def _evaluates(*named: Mapping[str, Any]) -> bool:
    """Tell whether a loss of training and one of an evaluation are among names."""
    found = {spelling(name).name for names in named if isinstance(names, Mapping) for name in names}
    losses = {name for name in found if name.rpartition("/")[2] == "loss" or "loss" in name}
    return any(map(evaluation_set, losses)) and any(not evaluation_set(name) for name in losses)


def parsed(source: Source, kind: str) -> Any:
    """Return what a whole JSON document says; raise UnreadableLog where one that begins like this kind of it is none."""
    try:
        return json.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise UnreadableLog(
            f"{source.name} begins like {kind} but is not JSON: {error}", "check that it was copied completely"
        ) from error


def _load(source: Source) -> tuple[Any, dict[int, int], list[tuple[int, str]]]:
    """Return the document, or what is whole of a damaged one; the lines of its objects then, and the damages with theirs."""
    try:
        return json.loads(source.text), {}, []
    except (ValueError, RecursionError) as error:
        reason = error
    if whole := _one_after_another(source.text):
        return whole, {}, []
    text = repaired(source.text.replace("\0", ""))
    try:
        return json.loads(text), {}, []
    except (ValueError, RecursionError) as error:
        reason = error
    if whole := _one_after_another(text):
        return whole, {}, []
    parts = list(parts_of(text))
    found = [part for _, part in parts if part is not None]
    damages = [(line, "a torn record") for line, part in parts if part is None]
    line = getattr(reason, "lineno", text.count("\n") + 1)
    damages[:1] = [(damages[0][0] if damages else line, f"the document is cut off or damaged: {reason}")]
    named = len({part.key for part in found if part.key}) == len(found) > 1
    records = [part.record for part in found if not part.key or any(map(is_step_name, part.record))] or [
        part.record for part in found
    ]
    document: Any = {part.key: part.record for part in found} if named else records
    if len(records) == 1 and not any(map(is_step_name, records[0])):  # the document itself, and no record of it
        document = records[0]
    kinds = (_holds_loss, _counts_steps, holds_messages)
    if all(_records(document, kind) is None for kind in kinds) and _lists(document, source.name) is None:
        document = nameless.without_torn_row(closed(text)) or document
    if not document:
        raise UnreadableLog(
            f"{source.name} begins like JSON but is not: {reason}", "check that it was copied completely"
        ) from reason
    return document, {id(part.record): line for line, part in parts if part is not None}, damages


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
    parts = [part if isinstance(part, list) else frame(part) or _numbered(part) for _, part in _parts(document)]
    return max((part for part in parts if part and fits(part)), key=len, default=None)


def frame(part: Any) -> list[Any] | None:
    """Return the records of a frame that pandas wrote with `orient="split"`: names, an index, and rows without names.

    >>> frame({"columns": ["loss"], "index": [10, 20], "data": [[2.5], [2.25]]})
    [{'step': 10, 'loss': 2.5}, {'step': 20, 'loss': 2.25}]
    """
    if not isinstance(part, dict) or not {"columns", "data"} <= part.keys() <= {"columns", "data", "index"}:
        return None
    columns, data = part["columns"], part["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    rows = [dict(zip(map(str, columns), row)) if isinstance(row, list) else row for row in data]
    index = _index(part.get("index"), map(str, columns))
    return [{"step": at, **row} if isinstance(row, dict) else row for at, row in zip(index, rows)] if index else rows


def _index(labels: Any, names: Iterable[str]) -> list[int]:
    """Return the labels of a frame's rows if they count steps: those that nobody chose count from 0."""
    if not isinstance(labels, list) or any(is_step_name(name) or name.lower() == "epoch" for name in names):
        return []
    counts = [int(label) for label in labels if isinstance(label, int) or (isinstance(label, str) and label.isdigit())]
    return counts if len(counts) == len(labels) and counts != [*range(len(labels))] else []


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
            labels = next(([*value] for key, value in part.items() if key in lists and isinstance(value, dict)), None)
            lists |= {"step": steps} if (steps := _index(labels, lists)) else {}
            if _speaks_of_loss(path.rpartition("/")[2] or name):
                lists = named_as_losses(lists)
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


def rows_of_lists(lists: dict[str, list[Any]]) -> Rows:
    """Turn lists into rows: lists of one length belong together, with the list of steps of that length.

    Where no list counts steps, the values of a shorter list stand evenly among those of the longest, as evaluations every so
    many records do. Where one counts the steps of the others up to the length of this list, this list has a value for each step.

    >>> rows_of_lists({"loss": [4, 3, 2, 1], "val_loss": [3, 2]}).columns["val_loss"].rows.tolist()
    [1, 3]
    """
    counted = _counters(lists)
    longest = max(map(len, lists.values()))
    rows = Rows()
    if not counted:
        places = {key: _evenly(len(items), longest) for key, items in lists.items()}
        for row in range(longest):
            rows.add({key: lists[key][at[row]] for key, at in places.items() if row in at})
        return rows
    last = {float(items[-1]) for items in counted.values() if _is_number(items[-1])}
    for length in sorted({len(items) for items in lists.values()}, reverse=True):
        group = {key: items for key, items in lists.items() if len(items) == length}
        steps = next((key for key in group if key in counted), None)
        named = {("step" if key == steps else key): items for key, items in group.items()}
        if steps is None and not last & {length, length - 1}:
            rows.skip(0, f"{', '.join(group)}: {length} values without a list of their steps")
            continue
        if steps is None:
            first = 1 if length in last else 0
            named = {"step": list(range(first, first + length)), **named}
        for values in zip(*named.values()):
            rows.add(dict(zip(named, values)))
    return rows


def notes_of_lists(lists: dict[str, list[Any]]) -> tuple[str, ...]:
    """Return what is guessed of lists without steps that are of several lengths."""
    longest = max(map(len, lists.values()))
    shorter = {key: len(items) for key, items in lists.items() if len(items) < longest}
    if not shorter or _counters(lists):
        return ()
    told = " and ".join(f"{count:,} values of {key}" for key, count in shorter.items())
    return (f"No list counts steps: {told} are taken to stand evenly among {longest:,} records.",)


def named_as_losses(lists: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return lists under names that say that they are losses, where they are named by their sets alone.

    >>> list(named_as_losses({"train": [2.5], "val": [3.0], "lr": [0.1]}))
    ['train_loss', 'val_loss', 'lr']
    """
    return {f"{key}_loss" if key.lower() in SPLITS else key: items for key, items in lists.items()}


def _counters(lists: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {key: items for key, items in lists.items() if _names_steps(key) or is_step_name(key)}


def _evenly(count: int, longest: int) -> dict[int, int]:
    """Return {row: which value} for so many values that stand evenly among the rows, the last at the end.

    >>> _evenly(2, 5), _evenly(3, 3)
    ({2: 0, 4: 1}, {0: 0, 1: 1, 2: 2})
    """
    return {-(-(k + 1) * longest // count) - 1: k for k in range(count)}


def _names_steps(key: str) -> bool:
    """Tell whether a list counts the steps of one split: `val_iters`, `eval_steps`, `train/step`."""
    split, _, counter = key.lower().replace("/", "_").partition("_")
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
