"""Hugging Face `trainer_state.json`: one JSON object whose `log_history` lists every record of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.facts import put_fact
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

_decoder = json.JSONDecoder()


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a JSON object with a `log_history`."""
    start = head.lstrip()
    if not start.startswith(b"{"):
        return False
    first_line = start.partition(b"\n")[0].rstrip()
    one_of_many = first_line.endswith(b"}") and b'"log_history"' not in first_line
    return b'"log_history"' in head and not one_of_many


def read(source: Source) -> list[RawLog]:
    """Read the history; of a truncated file, everything before the cut."""
    text = source.text
    try:
        state = json.loads(text)
        history, cut = state.get("log_history") or [], ""
    except (ValueError, RecursionError) as error:
        state, history = _salvaged(text)
        cut = f"the file is cut off or damaged: {error}"
    if not isinstance(history, list) or not any(isinstance(record, dict) for record in history):
        raise UnreadableLog(
            f"{source.name} is a trainer state without any record in its log_history",
            "the state of a later checkpoint may hold some; look also for the console log",
        )
    rows, summary = _rows(history, text)
    if cut:
        rows.skip(text.count("\n") + 1, cut)
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


def _rows(history: Iterable[Any], text: str) -> tuple[Rows, dict[str, Any]]:
    """Gather the records; the last one sums the run up and is no point of its curves."""
    rows, summary = Rows(), {}
    line = text.count("\n", 0, max(text.find('"log_history"'), 0)) + 1
    for record in history:
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


def _salvaged(text: str) -> tuple[dict[str, Any], list[Any]]:
    """Decode a damaged state piece by piece: the scalars before the history, and its records up to the damage."""
    start = text.find("[", text.find('"log_history"'))
    state: dict[str, Any] = {}
    try:
        state = json.loads(text[: text.find('"log_history"')].rstrip().rstrip(",") + "}")
    except ValueError:
        state = {}
    records = []
    position = start + 1 if start >= 0 else len(text)
    while (position := text.find("{", position)) >= 0:
        try:
            record, position = _decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        records.append(record)
        if text[position : position + 64].lstrip().startswith("]"):
            break
    return state, records
