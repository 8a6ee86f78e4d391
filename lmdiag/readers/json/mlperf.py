"""Events of MLPerf logging, which are JSON behind a mark: `:::MLLOG {"key": "train_loss", "value": 2.5, "metadata": {…}}`."""

from __future__ import annotations

import json
import re
from typing import Any

from lmdiag.facts import printed_fact, put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.run import Event

_LINE = lazy(r":::MLLOG\s+(\{.*)$")
_PLACES = ("samples_count", "step_num", "step", "iteration", "epoch_num", "epoch_count")
_LOSS_AS_ACCURACY = lazy(r"gpt3|llama|lora|mixtral", re.IGNORECASE)  # benchmarks whose eval_accuracy is the loss
_CURVE = lazy(r"loss|eval_|accuracy|learning_rate$|perplexity")


class MLLogScanner:
    """Reads the events that carry a place and a number; facts go to the header."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._samples = "samples_count" in text

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was an event."""
        match = _LINE.search(piece) if ":::MLLOG" in piece else None
        if match is None:
            return False
        try:
            event = json.loads(match[1])
        except ValueError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("metadata") or {}, dict):
            self._table.skip(line, f"torn event: {match[1][:80]}")
            return True
        self._take(line, str(event.get("key", "")), event.get("value"), event.get("metadata") or {})
        return True

    def _take(self, line: int, key: str, value: Any, metadata: dict[str, Any]) -> None:
        fact = printed_fact(key)
        if fact and isinstance(value, int | float):
            self._table.config.pop(fact, None)  # what chatter said before counts less
            put_fact(self._table.config, fact, value)
        elif key == "submission_benchmark":
            self._table.config["name"] = str(value)
        elif key == "run_stop":
            status = "completed" if metadata.get("status") == "success" else "crashed"
            self._table.happened(
                Event("end", self._table.last_step, f"run_stop {metadata.get('status', '')}", {"status": status})
            )
        place = next((float(metadata[name]) for name in _PLACES if isinstance(metadata.get(name), int | float)), None)
        numbers = value if isinstance(value, dict) else {key: value}
        curve = {
            str(k): float(v) for k, v in numbers.items()
            if isinstance(v, int | float) and not isinstance(v, bool) and (isinstance(value, dict) or _CURVE.search(k))
        }  # fmt: skip
        if place is not None and curve and key != "run_stop":
            self._table.add(line, {STEP: place, **curve})

    def finish(self) -> None:
        """Say what the counter counts, and what this benchmark calls its accuracy."""
        benchmark = str(self._table.config.get("name", ""))
        if _LOSS_AS_ACCURACY.search(benchmark):
            self._table.names["eval_accuracy"] = "val/loss"
        if self._samples:
            self._table.config["step_kind"] = "samples"
