"""Hugging Face `trainer_state.json`: one JSON object whose `log_history` lists every record of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.facts import put_fact
from lmdiag.readers.json.damaged import is_torn_list, parts_of
from lmdiag.readers.json.printed import repaired
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Event
from lmdiag.sources.source import Source

KEPT = """
    num_train_epochs logging_steps eval_steps save_steps train_batch_size num_input_tokens_seen best_metric
""".split()
SUMMARY = """
    train_loss train_runtime train_samples_per_second train_steps_per_second total_flos train_tokens_per_second
""".split()

_HISTORY = re.compile(r"log_history[\"']?\s*[:=]\s*\[")
_NAME = re.compile(rb"[\"']log_history[\"']")
_PRINTED = re.compile(r"\s*TrainerState\(.*\)\s*$", re.DOTALL)
_SCALAR = re.compile(r"""[\s,{(]["']?(\w+)["']?\s*[:=]\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=\s*[,})])""")

_Loaded = tuple[dict[str, Any], list[tuple[int, Any]], list[tuple[int, str]]]  # state, records and damages with lines


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a JSON object with a `log_history`, or what is left of one."""
    start = head.lstrip()
    if b"log_history" not in head:
        return False
    if not start.startswith(b"{"):
        return not start.startswith(b"[") and is_torn_list(head)
    first_line = start.partition(b"\n")[0].rstrip()
    one_of_many = first_line.endswith(b"}") and _NAME.search(first_line) is None
    return _NAME.search(head) is not None and not one_of_many


def read(source: Source) -> list[RawLog]:
    """Read the history; of a damaged file, every record that is whole."""
    text, (state, records, damages) = _loaded(source.text)
    if not any(isinstance(record, dict) for _, record in records):
        raise UnreadableLog(
            f"{source.name} is a trainer state without any record in its log_history",
            "the state of a later checkpoint may hold some; look also for the console log",
        )
    rows, summary = _rows(records, text)
    for line, damage in damages:
        rows.skip(line, damage)
    return [
        rows.log(
            "huggingface-trainer-state",
            _name(source.name),
            source=source.name,
            config=_config(state, summary),
            events=tuple(_events(state, summary)),
            reductions={"loss": "window_mean"},
            names={"train_runtime": None},
        )
    ]


def _loaded(text: str) -> tuple[str, _Loaded]:
    """Return the text, as JSON where it was printed by Python, and what was found in it."""
    try:
        return text, _whole(json.loads(text))
    except (ValueError, RecursionError, AttributeError):
        text = repaired(text.replace("\0", ""))
    try:
        return text, _whole(json.loads(text))
    except (ValueError, RecursionError, AttributeError) as error:
        return text, _salvaged(text, error)


def _whole(state: dict[str, Any]) -> _Loaded:
    history = state.get("log_history")
    return state, [(0, record) for record in history] if isinstance(history, list) else [], []


def _rows(records: Iterable[tuple[int, Any]], text: str) -> tuple[Rows, dict[str, Any]]:
    """Gather the records, with their lines where these are known; the last one sums the run up and is no point of its curves."""
    rows, summary = Rows(), {}
    line = text.count("\n", 0, max(text.find('"log_history"'), 0)) + 1
    for known_line, record in records:
        line = known_line - 1 if known_line else line
        if not isinstance(record, dict):
            rows.skip(line, "not a record")
            continue
        lines_of_record = len(record) + 2
        if "train_runtime" in record and "train_loss" in record:
            summary = {name: record[name] for name in SUMMARY if name in record} | {"step": record.get("step")}
            record = {name: value for name, value in record.items() if name not in SUMMARY}
            if set(record) <= {"epoch", "step"}:
                line += lines_of_record
                continue
        rows.add(record, line + 1)
        line += lines_of_record
    return rows, summary


def _config(state: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    facts = {name: state[name] for name in KEPT if state.get(name) is not None}
    put_fact(facts, "max_steps", state.get("max_steps"))
    if "train_loss" in summary:
        facts["train_loss"] = summary["train_loss"]
    return {"framework": "transformers", **facts}


def _events(state: dict[str, Any], summary: dict[str, Any]) -> Iterator[Event]:
    if summary:
        step = summary.get("step")
        yield Event(
            "end",
            int(step) if isinstance(step, (int, float)) else None,
            "",
            {"status": "completed", "elapsed_s": summary.get("train_runtime")},
        )


def _name(path: str) -> str:
    """Name the run after its folder: the file is always called the same."""
    folders = [part for part in PurePath(path.replace("\\", "/")).parts[:-1] if part not in (".", "..", "/")]
    folders = [part for part in folders if not part.startswith("checkpoint-")] or folders
    return folders[-1] if folders and PurePath(path).name == "trainer_state.json" else path


def _salvaged(text: str, error: Exception) -> tuple[dict[str, Any], list[tuple[int, Any]], list[tuple[int, str]]]:
    """Decode a damaged state piece by piece: the scalars around the history, its whole records, and where it is damaged."""
    history = _HISTORY.search(text)
    begin = history.end() - 1 if history else 0
    parts = list(parts_of(text, begin))
    found = [(line, part) for line, part in parts if part is not None and (not part.key or "step" in part.record)]
    end = found[-1][1].end if found else begin
    state = {m[1]: json.loads(m[2]) for part in (text[:begin], text[end:]) for m in _SCALAR.finditer(part)}
    damages = [(line, "a torn record") for line, part in parts if part is None]
    if _PRINTED.match(text) and parts and parts[-1][1] is None:
        del damages[-1]  # names without quotes behind the history
    if damages or not _PRINTED.match(text):
        line = damages[0][0] if damages else getattr(error, "lineno", 1)
        damages[:1] = [(line, f"the file is cut off or damaged: {error}")]
    return state, [(line, part.record) for line, part in found], damages
