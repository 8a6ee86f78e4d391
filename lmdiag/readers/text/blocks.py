"""Records that are spread over lines: OLMo and Composer print a head line with the step and one metric a line, MLPerf logging one event a line."""

from __future__ import annotations

import json
import re
from typing import Any

from lmdiag.facts import printed_fact, put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import RANK, STEP, TOTAL, Table
from lmdiag.run import Event

_OLMO_HEAD = lazy(r"\[step=(\d+)/(\d+|\?\?\?),epoch=(\d+)(?:,eta=[^\]]*)?\]\s*$")
_OLMO_EVALUATION = lazy(r"Finished (\S.*?) evals in .* Metrics:\s*$")
_OLMO_ITEM = lazy(rf"^([\w/].*)=({NUM})([BTPE]?)$")
_COMPOSER_HEAD = lazy(
    r"(?:^|\s)\[(?:epoch=(\d+)(?:/\d+)?\]\[)?(batch|iteration|sample|token|epoch)=(\d+)(?:/(\d+))?\]:\s*(.*)$"
)
_COMPOSER_ITEM = lazy(rf"^(Train|Eval) (.+?): ({NUM})$")
_COMPOSER_FILE = lazy(rf"^\[metric\]\[batch=(\d+)\]: (.+?): ({NUM})$")
_FOUR_DECIMALS = 0.01  # learning rates below this are not readable with four decimals


class _Block:
    """Collects the metrics below one head line."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._values: dict[str, float] = {}
        self._line = 0
        self._beside: dict[str, float] = {}  # its rank and the number of steps planned
        self._prefix = ""
        self._is_open = False

    def _open(self, line: int, values: dict[str, float], total: float, rank: int | None, prefix: str = "") -> bool:
        self._close()
        self._line, self._values = line, values
        self._beside = {TOTAL: total} | ({} if rank is None else {RANK: rank})
        self._prefix, self._is_open = prefix, True
        return True

    def _close(self) -> None:
        if len(self._values) > 1 or (self._values and STEP not in self._values):
            if STEP not in self._values and self._table.last_step is not None:
                self._values[STEP] = self._table.last_step
            self._table.add(self._line, self._values | self._beside)
        self._values, self._is_open = {}, False

    def finish(self) -> None:
        """Close the last block."""
        self._close()


class OlmoScanner(_Block):
    """Blocks of `    name=value`; an evaluation has no step of its own and belongs to the last one."""

    def __init__(self, table: Table, text: str) -> None:
        super().__init__(table)

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a block."""
        if "[step=" in piece and (head := _OLMO_HEAD.search(piece)):
            total = number(head[2]) if head[2].isdigit() else 0
            return self._open(line, {STEP: number(head[1]), "epoch": number(head[3])}, total, payload(piece)[1])
        if "evals in" in piece and (head := _OLMO_EVALUATION.search(piece)):
            return self._open(line, {}, 0, payload(piece)[1], f"eval/{head[1]}/")
        item = _OLMO_ITEM.match(payload(piece)[0]) if "=" in piece else None
        if item is None or (not self._is_open and not item[1].startswith("eval/")):
            return False
        if not self._is_open:
            self._open(line, {}, 0, None)
        self._values[self._prefix + item[1]] = number(item[2] + item[3], suffixed=True)
        return True


class ComposerScanner(_Block):
    """Blocks of `Train name: value` and `Eval name: value`, or single lines of the file logger."""

    def __init__(self, table: Table, text: str) -> None:
        super().__init__(table)
        self._console = False

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a record."""
        text, rank = payload(piece)
        if file_line := _COMPOSER_FILE.match(text):
            step = number(file_line[1])
            if self._values.get(STEP) != step:
                self._open(line, {STEP: step}, 0, rank)
            self._values[file_line[2]] = number(file_line[3])
            return True
        if item := _COMPOSER_ITEM.match(text):
            self._console = True
            if not self._is_open:
                self._open(line, {}, 0, rank)
            self._values[item[2]] = number(item[3])
            return True
        if "=" in piece and (head := _COMPOSER_HEAD.search(piece)):
            values = {STEP: number(head[3])} | ({"epoch": number(head[1])} if head[1] else {})
            return self._open(line, values, number(head[4] or "0"), rank)
        return False

    def finish(self) -> None:
        """Close the last block, and drop learning rates that four decimals cannot show."""
        super().finish()
        for name, (_, values) in list(self._table.columns.items()):
            if not name.startswith("lr-"):
                continue
            rounded = all(round(value, 4) == value for value in values)
            lost = self._console and rounded and max(values, default=0.0) < _FOUR_DECIMALS
            self._table.names[name] = None if lost else "lr"
            if lost:
                self._table.notes.append(f"{name} is printed with four decimals, too few to be read")


OLMO = LineFormat(
    "olmo",
    "OLMo, OLMo-core",
    OlmoScanner,
    (("[step=", _OLMO_HEAD),),
    names={"optim/LR (group 0)": "lr", "throughput/device/TPS": "tokens_per_sec_per_device", "throughput/total tokens": "tokens",
           "throughput/device/tokens_per_second": "tokens_per_sec_per_device", "System/Peak GPU Memory (MB)": "mem_bytes",
           "throughput/device/MFU": "mfu", "optim/total grad norm": "grad_norm", "optim/step skipped": "skipped"},
    units={"System/Peak GPU Memory (MB)": "MB", "throughput/device/MFU": "%"},
)  # fmt: skip
COMPOSER = LineFormat(
    "composer",
    "Composer, llm-foundry",
    ComposerScanner,
    (
        ("Train ", lazy(rf"^(?:.*\s)?Train (?:loss/train/total|metrics/train/\w+|time/batch): {NUM}")),
        ("[metric][batch=", lazy(r"\[metric\]\[batch=\d+\]: ")),
    ),
    names={"loss/train/total": "loss", "time/batch": None, "throughput/device/mfu": "mfu", "trainer/device_train_microbatch_size": None,
           "throughput/device/tokens_per_sec": "tokens_per_sec_per_device", "metrics/train/LanguageCrossEntropy": "train_batch_loss"},
)  # fmt: skip


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


MLLOG = LineFormat(
    "mlperf",
    "MLPerf logging",
    MLLogScanner,
    ((":::MLLOG", lazy(r":::MLLOG\s+\{")),),
    names={"train_loss": "loss", "eval_loss": "val/loss", "eval_accuracy": "val/accuracy", "eval_error": "val/loss",
           "throughput": "samples_per_sec"},
)  # fmt: skip
