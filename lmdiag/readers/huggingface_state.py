"""Hugging Face `trainer_state.json`: one JSON object whose `log_history` lists every record of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import PurePath
from typing import Any

import numpy as np

from lmdiag.errors import UnreadableLog
from lmdiag.facts import put_fact
from lmdiag.readers.json.damaged import is_torn_list, parts_of
from lmdiag.readers.json.printed import repaired
from lmdiag.readers.json.record_type import RecordType, Table
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

PIECE = 1 << 18  # characters that are decoded at once
ATTEMPTS = 8

_COMMA = re.compile(r"\s*,")
_HISTORY = re.compile(r"log_history[\"']?\s*[:=]\s*\[")
_NAME = {quote: re.compile(rb"(?<!\\)" + quote + b"log_history" + quote) for quote in (b'"', b"'")}
_PRINTED = re.compile(r"\s*TrainerState\(.*\)\s*$", re.DOTALL)
_SCALAR = re.compile(r"""[\s,{(]["']?(\w+)["']?\s*[:=]\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=\s*[,})])""")


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a JSON object with a `log_history`, or what is left of one."""
    start = head.lstrip()
    if b"log_history" not in head:
        return False
    if not start.startswith(b"{"):
        return not start.startswith(b"[") and is_torn_list(head)
    first_line = start.partition(b"\n")[0].rstrip()
    quote = b"'" if start[1:].lstrip()[:1] == b"'" else b'"'
    key = _NAME[quote]  # with other quotes, or behind a slash, it stands in a text
    one_of_many = first_line.endswith(b"}") and key.search(first_line) is None
    return key.search(head) is not None and not one_of_many


def read(source: Source) -> list[RawLog]:
    """Read the history; of a damaged file, every record that is whole."""
    state, rows, summary, damages = _loaded(source.text)
    if not len(rows) and not summary:
        raise UnreadableLog(
            f"{source.name} is a trainer state without any record in its log_history",
            "the state of a later checkpoint may hold some; look also for the console log",
        )
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


def _loaded(text: str) -> tuple[dict[str, Any], Rows, dict[str, Any], list[tuple[int, str]]]:
    """Return the state around the history, its rows and summary, and the damages with their lines.

    The text is read as JSON, else as JSON that Python printed, else piece by piece.
    """
    try:
        return *_whole(text), []
    except (ValueError, RecursionError, AttributeError):
        text = repaired(text.replace("\0", ""))
    try:
        return *_whole(text), []
    except (ValueError, RecursionError, AttributeError) as error:
        state, found, damages = _salvaged(text, error)
    return state, *_rows([[record for _, record in found]], text, [line for line, _ in found]), damages


def _whole(text: str) -> tuple[dict[str, Any], Rows, dict[str, Any]]:
    """Return what an undamaged text says."""
    found = _HISTORY.search(text)
    try:
        history = _History(text, found.end()) if found else _History("", 0)
        rows, summary = _rows(history.pieces(), text)
        state = json.loads(text[: history.begin] + text[history.end :])
        if state["log_history"] == []:
            return state, rows, summary
    except (ValueError, KeyError):  # the history stands elsewhere
        pass
    state = json.loads(text)
    records = state.get("log_history")
    return state, *_rows([records] if isinstance(records, list) else [], text)


class _History:
    """The records of a long list, decoded a piece at a time; from `begin` to `end` it says nothing else."""

    def __init__(self, text: str, begin: int) -> None:
        self.text, self.begin, self.end = text, begin, begin
        self.type = RecordType()

    def pieces(self) -> Iterator[list[Any] | Table]:
        """Yield the records; raise ValueError where the list does not end, or something else goes on behind it for long."""
        while len(self.text) - self.end > 2 * PIECE:
            yield self._piece()
        records, length = json.JSONDecoder().raw_decode("[" + self.text[self.end :])
        self.end += length - len("[]")
        yield records

    def _piece(self) -> list[Any] | Table:
        """Decode up to where a record ends: not each brace ends one."""
        brace = self.end + PIECE
        for _ in range(ATTEMPTS):
            brace = self.text.index("}", brace) + 1
            if comma := _COMMA.match(self.text, brace):
                text = f"[{self.text[self.end : brace]}]"
                try:
                    records = self.type.table_of(text) or self._learnt(json.loads(text))
                except ValueError:
                    continue
                self.end = comma.end()
                return records
        raise ValueError("no record ends here")

    def _learnt(self, records: list[Any]) -> list[Any]:
        """Add what the records hold to their type, but for the summary of a run."""
        self.type.learn(record for record in records if isinstance(record, dict) and "train_runtime" not in record)
        return records


def _rows(
    pieces: Iterable[list[Any] | Table], text: str, known_lines: Sequence[int] = ()
) -> tuple[Rows, dict[str, Any]]:
    """Gather the records, each on its known line, or on the one where a file that is laid out as usual has it."""
    rows, summary = Rows(), dict[str, Any]()
    line = text.count("\n", 0, max(text.find('"log_history"'), 0)) + 2
    for piece in pieces:
        if isinstance(piece, Table):
            ends = line + np.cumsum(piece.names + 2)
            rows.extend_columns(piece.cells(0, len(ends), len(rows)), [line, *ends[:-1].tolist()])
            rows.empty |= piece.empty
            line = int(ends[-1])
            continue
        sizes = [len(record) + 2 if type(record) is dict else 0 for record in piece]
        lines = list(known_lines or accumulate(sizes, initial=line))
        line = lines[-1] if not known_lines and lines else line
        if not all(sizes) or any("train_runtime" in record for record in piece):
            summary |= _take_out(piece, lines, rows)
        rows.extend(piece, lines[: len(piece)])
    return rows, summary


def _take_out(piece: list[Any], lines: list[int], rows: Rows) -> dict[str, Any]:
    """Take what is no record out of a piece, and what sums the run up, which is returned: it is no point of the curves."""
    summary: dict[str, Any] = {}
    kept = []
    for record, line in zip(piece, lines):
        if type(record) is not dict:
            rows.skip(line, "not a record")
        elif "train_runtime" in record and "train_loss" in record:
            summary = {name: record[name] for name in SUMMARY if name in record} | {"step": record.get("step")}
            point = {name: value for name, value in record.items() if name not in SUMMARY}
            if point.keys() - {"epoch", "step"}:
                kept.append((point, line))
        else:
            kept.append((record, line))
    piece[:], lines[:] = [record for record, _ in kept], [line for _, line in kept]
    return summary


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
