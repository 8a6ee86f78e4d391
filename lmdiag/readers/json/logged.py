"""Records that loggers frame: what is bound as a field is the record; where nothing is, the message is read as a printed line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.facts import SETTINGS
from lmdiag.naming import is_step_name, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.json.decode import decode
from lmdiag.readers.rawlog import Column, RawLog, part
from lmdiag.readers.tables.growing_column import GrowingColumn
from lmdiag.readers.tables.long_form import widened
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.tables.tally import Tally
from lmdiag.run import Event
from lmdiag.sources.source import Source

WRAPPERS = frozenset("data metrics log logs".split())
MESSAGES = """
    record/message textPayload message msg MESSAGE @message event log body line short_message content
    LogEntry LogMessage text
""".split()
EXCEPTIONS = "exc_info exception exc_text stack stacktrace error record/exception".split()
BOUND = frozenset(  # what loggers call the fields that a program binds to a message
    """
    extra extras fields context ctx attributes attrs jsonPayload customDimensions properties props payload bindings
    event_dict kwargs params custom mdc
    """.split()
)
# What frames hold beside them, without signs and capitals; words of a frame are no metrics anyhow.
OF_FRAMES = frozenset(
    """
    record level levelname levelno levelnumber loglevel lvl severity severitynumber severitytext severitylevel priority
    logger loggername channel stream asctime created msecs relativecreated ingestiontime insertid eventid version v
    process processid processname pid thread threadid threadname tid taskname lineno line linenumber func funcname
    function module pathname path filename file caller source sourcelocation excinfo exctext exception stackinfo host hostname
    container docker kubernetes k8s resource labels agent ecs origin jobid workerid nodeid input cloud elapsed namespace pod trace traceid spanid flags
    observedtimestamp timestampns syslogpid syslogfacility realtimetimestamp monotonictimestamp uid gid operation
    """.split()
)
CLOCKS = frozenset("time timestamp ts t date datetime".split())
A_CLOCK = 1e9  # seconds since 1970; a smaller time was measured by the program
SURE = frozenset(
    """
    level levelname levelno loglevel lvl severity severitytext severitylevel severitynumber logger loggername stream asctime
    lineno funcname threadname insertid ingestiontime observedtimestamp
    """.split()
)
TOTALS = [name for name in SETTINGS["max_steps"] if name.startswith(("max_", "total_"))]  # others can be counters
CLOCK_OF_LOGURU = "record/time/timestamp"
MOSTLY = 0.5
DEEPEST = 3  # frames within frames
_SIGNS = lazy(r"[\W_]+")
_COUNTS = lazy(r"\b(?:step|iter|epoch|update|batch)", re.IGNORECASE)
_CLOCK = lazy(r"(?:(\d+) days?,? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DURATION = lazy(r"elapsed|remaining|eta$|duration|runtime", re.IGNORECASE)


def bound(record: dict[str, Any]) -> Mapping[str, Any]:
    """Return a record without the names of the objects that hold its metrics: verl writes {"step": 3, "data": {…}}.

    >>> bound({"text": "…", "record": {"extra": {"step": 5, "loss": 2.5}, "message": "train", "line": 6}})
    {'text': '…', 'step': 5, 'loss': 2.5, 'record/message': 'train', 'record/line': 6}
    """
    if dict not in map(type, record.values()):
        return record
    inside = record.get("record")
    if isinstance(inside, dict) and "message" in inside:  # of loguru
        others = {f"record/{key}": value for key, value in inside.items() if key != "extra"}
        record = {**{k: v for k, v in record.items() if k != "record"}, "extra": inside.get("extra"), **others}
    framed = _is_framed(record) or any(isinstance(v, dict) and _is_framed(v) for k, v in record.items() if k in BOUND)
    cells: dict[str, Any] = {}
    for key, value in record.items():
        if type(value) is dict and (key in WRAPPERS or (framed and key in BOUND)):
            held = bound(value)
            if not held.keys().isdisjoint(record):
                held = {f"{key}/{name}" if name in record else name: cell for name, cell in held.items()}
            cells |= held
        else:
            cells[key] = value
    return cells


def _is_framed(record: Mapping[str, Any]) -> bool:
    return "jsonPayload" in record or any(isinstance(record.get(name), str) for name in MESSAGES)


def holds_messages(part: list[Any]) -> bool:
    """Tell whether a list holds messages, as an export of a logging service does."""
    framed = sum(isinstance(item, dict) and _is_framed(bound(item)) for item in part)
    return framed > MOSTLY * len(part)


def logs_of(rows: Rows, format: str, name: str, facts: Mapping[str, Any], depth: int = 0) -> list[RawLog]:
    """Return the logs that rows of JSON hold: of what is bound in them, else of their messages."""
    raw = _without_plan(_with_durations(widened(rows)).log(format, name, source=name, **facts))
    raw = replace(raw, scales={**raw.scales, **_scales_of_clocks(raw)})
    messages = _message_column(raw)
    if not messages and "insertId" not in raw.texts:  # Google Cloud frames fields without a message, too
        return [raw]
    of_frame = {column for column in raw.columns if _is_of_frame(raw, column, messages)}
    measured = {column for column in raw.columns if column not in of_frame and _is_measured(column)}
    columns = [] if measured else [messages, *_fields_of_json(raw)]
    found = (_read_messages(raw, column, _steps(raw, of_frame), facts, depth) for column in columns if column)
    logs: list[RawLog] = next(filter(None, found), [])
    if logs or not _is_sure(raw, messages):
        return logs or [raw]
    left = of_frame - {CLOCK_OF_LOGURU}
    names = {**dict.fromkeys(left), **({CLOCK_OF_LOGURU: "time"} if CLOCK_OF_LOGURU in of_frame else {})}
    unused = dict.fromkeys(left, "it belongs to the frame of the logger")
    raw = replace(raw, names={**raw.names, **names}, unused={**raw.unused, **unused})
    return [_with_messages(raw, messages, measured, _steps(raw, of_frame))]


def _steps(raw: RawLog, of_frame: set[str]) -> Column | None:
    """Return the column that counts steps beside the messages."""
    return next((c for name, c in raw.columns.items() if is_step_name(name) and name not in of_frame), None)


def _plain(name: str) -> str:
    return _SIGNS.sub("", name.partition("/")[0]).lower()


def _message_column(raw: RawLog) -> str:
    """Return the column that holds a message in most rows; "" where there is none."""
    return next((name for name in MESSAGES if len(raw.texts.get(name, ((),))[0]) > MOSTLY * raw.n_rows), "")


def _fields_of_json(raw: RawLog) -> list[str]:
    """Return the columns of fields that are a text of JSON."""
    return [name for name in sorted(BOUND & raw.texts.keys()) if raw.texts[name][1][0].lstrip().startswith("{")]


def _is_sure(raw: RawLog, messages: str) -> bool:
    """Tell whether beside the messages stands what only loggers write."""
    return "/" in messages or not messages or any(_plain(name) in SURE for name in (*raw.columns, *raw.texts))


def _is_of_frame(raw: RawLog, name: str, messages: str) -> bool:
    plain = _plain(name)
    if name == CLOCK_OF_LOGURU:
        return True
    if plain in CLOCKS and "/" not in name:
        return spelling(name).name != "time" and bool(np.nanmin(raw.columns[name].values) >= A_CLOCK)
    return plain in OF_FRAMES or plain in CLOCKS


def _is_measured(name: str) -> bool:
    known = spelling(name)
    return "loss" in name.lower() or (known.known and known.name not in ("epoch", "time", "elapsed_s", "step"))


def _read_messages(
    raw: RawLog, column: str, counter: Column | None, facts: Mapping[str, Any], depth: int
) -> list[RawLog]:
    """Return the logs that the messages hold, as JSON or as printed lines; none where they hold no record."""
    at, words = raw.texts[column]
    lines = np.arange(1, raw.n_rows + 1) if raw.lines is None else raw.lines
    if depth < DEEPEST and 2 * sum(word.lstrip().startswith("{") for word in words) > len(words):
        return _logs_of_json(raw, at, words, lines, facts, depth)
    return [_at_home(log, raw, lines[at]) for log in _printed(raw.name, _as_lines(at, words, counter))]


def _as_lines(at: Iterable[int], words: Iterable[str], counter: Column | None) -> str:
    """Return messages as one line each, with the step that is bound to it; one of several lines stays one, in pieces."""
    steps = dict(zip(counter.rows.tolist(), counter.values.tolist())) if counter else {}
    return "".join(_as_line(word, steps.get(row)) for row, word in zip(at, words))


def _as_line(message: str, step: float | None) -> str:
    line = message.strip("\r\n").replace("\n", "\r")
    return f"{line}\n" if step is None or _COUNTS.search(line) else f"step {step:.0f} {line}\n"


def _printed(name: str, text: str) -> list[RawLog]:
    from lmdiag.readers.text import read  # printed formats are many, and most JSON has no messages

    try:
        return read(Source(name, content=text.encode("utf-8", "replace")))
    except UnreadableLog:
        return []


def _at_home(log: RawLog, raw: RawLog, lines: np.ndarray) -> RawLog:
    """Return what the messages say as a log of the source: with its lines, and with what was lost of it."""
    own = [replace(s, line=int(lines[s.line - 1]) if 0 < s.line <= len(lines) else s.line) for s in log.skipped]
    inner, outer = log.tally or Tally(), raw.tally
    tally = None
    if outer:
        others = max(0, outer.with_records - inner.lines)  # records without a message
        counted = (inner.with_records, outer.blank + inner.blank, outer.text + inner.text + others)
        tally = Tally(outer.lines, *counted, outer.lost + inner.lost, inner.cut)
    return replace(
        log,
        lines=lines[log.lines - 1] if log.lines is not None and raw.lines is not None else None,
        skipped=(*raw.skipped, *own),
        config={**raw.config, **log.config},
        settings=raw.settings,
        notes=(*log.notes, *raw.notes, "the messages in the frames of a logger were read as printed lines"),
        tally=tally,
    )


def _logs_of_json(
    raw: RawLog, at: np.ndarray, words: list[str], lines: np.ndarray, facts: Mapping[str, Any], depth: int
) -> list[RawLog]:
    """Return the logs of messages that are records of JSON themselves."""
    rows = Rows()
    for row, word in zip(at.tolist(), words):
        found = decode(word)
        for record in [found] if isinstance(found, dict) else found:
            if isinstance(record, dict):
                rows.add(bound(record), int(lines[row]))
            elif word.lstrip().startswith("{"):
                rows.skip(int(lines[row]), record.reason)
    rows.tally = raw.tally or rows.tally
    rows.skips.extend(raw.skipped)
    return logs_of(rows, raw.format, raw.name, facts, depth + 1)


def _with_messages(raw: RawLog, column: str, measured: set[str], counter: Column | None) -> RawLog:
    """Add what is printed in the messages of rows that bind no loss, and drop the rows that say nothing."""
    losses = {name for name in measured if "loss" in spelling(name).name.lower()}
    bound_rows = _rows_with(raw, losses)
    at, words = raw.texts.get(column, (np.empty(0, np.int64), []))
    alone = [(row, word) for row, word in zip(at.tolist(), words) if not bound_rows[row]]
    rows, words = [row for row, _ in alone], [word for _, word in alone]
    columns = dict(raw.columns)
    names, scales, units = dict(raw.names), dict(raw.scales), dict(raw.units)
    metrics = {spelling(name).name: name for name in measured}
    for log in _printed(raw.name, _as_lines(rows, words, counter)) if alone else []:
        of_rows = np.asarray(rows, np.int64)[(log.lines if log.lines is not None else np.empty(0, np.int64)) - 1]
        for name, cells in log.columns.items():
            metric = log.names.get(name) or spelling(name).name
            if name == log.step_column:
                own = next((n for n, c in columns.items() if c is counter), "step")
            elif metric in metrics and name not in log.scales and name not in log.units:
                own = metrics[metric]
            else:
                own = f"message/{name}"
                names[own] = metric
                scales |= {own: log.scales[name]} if name in log.scales else {}
                units |= {own: log.units[name]} if name in log.units else {}
            columns[own] = _joined(columns.get(own), of_rows[cells.rows], cells.values)
    said = columns.keys() - {name for name in names if names[name] is None or names[name] == "time"}
    raw = replace(raw, columns=columns, names=names, scales=scales, units=units)
    telling = _rows_with(
        raw, {name for name in said if not is_step_name(name) and spelling(name).name not in ("time", "epoch")}
    )
    raw = replace(raw, events=(*raw.events, *_events(raw, telling, counter)))
    if telling.all() or not telling.any():
        return raw
    tally = raw.tally
    if tally:
        silent = int((~telling).sum())
        tally = replace(tally, with_records=tally.with_records - silent, text=tally.text + silent)
    return replace(part(raw, np.flatnonzero(telling), ""), skipped=raw.skipped, tally=tally)


def _events(raw: RawLog, telling: np.ndarray, counter: Column | None) -> list[Event]:
    """Return what the messages and exceptions say of rows that hold no values: crashes, checkpoints, the end."""
    from lmdiag.readers.messages import EventWatcher
    from lmdiag.readers.tables.table import STEP, Table

    steps = dict(zip(counter.rows.tolist(), counter.values.tolist())) if counter else {}
    words: dict[int, list[str]] = {}
    for name in sorted(raw.texts.keys() & {*MESSAGES, *EXCEPTIONS}, key=[*MESSAGES, *EXCEPTIONS].index):
        for row, word in zip(*raw.texts[name]):
            words.setdefault(int(row), []).append(word)
    table = Table()
    watcher = EventWatcher(table)
    for row in range(raw.n_rows):
        if telling[row]:
            table.add(row, {STEP: steps[row]} if row in steps else {})
        else:
            for piece in "\n".join(words.get(row, ())).splitlines():
                watcher.see(piece)
    watcher.finish()
    last = len(table.lines)
    return [event for event, row in zip(table.events, table.event_rows) if event.kind != "end" or row >= last]


def _rows_with(raw: RawLog, names: Iterable[str]) -> np.ndarray:
    """Return which rows hold one of these columns: bool[n]."""
    found = np.zeros(raw.n_rows, bool)
    for name in names:
        found[raw.columns[name].rows] = True
    return found


def _joined(column: Column | None, rows: np.ndarray, values: np.ndarray) -> Column:
    """Return a column with further values; those that it has count more."""
    cells = dict(zip(rows.tolist(), values.tolist()))
    if column:
        cells |= dict(zip(column.rows.tolist(), column.values.tolist()))
    at = sorted(cells)
    return Column(np.asarray(at, np.int64), np.asarray([cells[row] for row in at], np.float64))


def _with_durations(rows: Rows) -> Rows:
    """Return the rows with clocks such as "0:01:30" of `elapsed_time` in seconds."""
    clocks = {
        name: found
        for name, (_, words) in rows.words.items()
        if _DURATION.search(name) and (found := [_CLOCK.fullmatch(word.strip()) for word in words]) and all(found)
    }
    if not clocks:
        return rows
    seconds: dict[str, GrowingColumn] = {}
    for name, found in clocks.items():
        values = [int(m[1] or 0) * 86400 + int(m[2]) * 3600 + int(m[3]) * 60 + float(m[4]) for m in found if m]
        seconds[name] = GrowingColumn([(np.array(rows.words[name][0], np.int64), np.array(values))], len(values))
    words = {name: column for name, column in rows.words.items() if name not in clocks}
    return replace(rows, numbers={**rows.numbers, **seconds}, words=words)


def _scales_of_clocks(raw: RawLog) -> dict[str, float]:
    """Return the factors to seconds of the times of day that are milli-, micro- or nanoseconds."""
    scales = {}
    for name, column in raw.columns.items():
        if (column.values[:1] <= 100 * A_CLOCK).any() or spelling(name).name != "time":
            continue  # of nearly all columns the first value tells
        least = column.values[np.isfinite(column.values)].min(initial=np.inf)
        if 100 * A_CLOCK < least < np.inf:
            scales[name] = 10.0 ** -(3 * (round(np.log10(least) - np.log10(A_CLOCK)) // 3))
    return scales


def _without_plan(raw: RawLog) -> RawLog:
    """Take the number of steps that were planned, last said, for a setting; where it is always the same, it is no metric.

    Nor is the share of them that are done.
    """
    said = {name: column.values for name, column in raw.columns.items() if name in TOTALS}
    told = {name: values for name, values in said.items() if np.any(np.isfinite(values) & (values > 0))}
    if not told:
        return raw
    last = max(told, key=lambda name: int(raw.columns[name].rows[-1]))
    planned = told[last][np.isfinite(told[last]) & (told[last] > 0)][-1]
    plans = [name for name, values in told.items() if (values == values[0]).all()]
    share = (
        {"percentage": "the share of the planned steps that are done"} if plans and "percentage" in raw.columns else {}
    )
    return replace(
        raw,
        config={"max_steps": int(planned), **raw.config},
        names={**raw.names, **dict.fromkeys([*plans, *share])},
        unused={**raw.unused, **share},
    )
