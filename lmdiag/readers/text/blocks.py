"""Records that are spread over lines: OLMo and Composer print a head line with the step and one metric a line, MLPerf logging one event a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from lmdiag.facts import printed_fact, put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.table import RANK, STEP, TOTAL, Table
from lmdiag.readers.text.line_format import LineFormat, Settle
from lmdiag.run import Event

Marked = tuple[str, re.Pattern[str]]  # what stands in every such line, and its pattern


class BlockScanner:
    """Reads blocks: a head with the `step`, or the set that items are `under`, and items with a `name` and a `number`.

    Items outside of a block whose name begins with `alone`, and a block without a step, belong to the last step.
    `settle` does what is left when blocks with a head were read.
    """

    def __init__(
        self, table: Table, heads: tuple[Marked, ...], items: tuple[Marked, ...], alone: str, settle: Settle | None
    ) -> None:
        self._table, self._heads, self._items, self._alone, self._settle = table, heads, items, alone, settle
        self._values: dict[str, float] = {}
        self._beside: dict[str, float] = {}  # the rank, and the number of steps planned
        self._line, self._under = 0, ""  # line 0: outside of a block
        self._headed = False

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a block."""
        for hint, pattern in self._heads:
            if hint in piece and (head := pattern.search(piece)):
                self._headed = True
                self._open(line, head.groupdict(), payload(piece)[1])
                return True
        for hint, pattern in self._items:
            if hint in piece and (item := pattern.match((text := payload(piece))[0])):
                return self._take(line, item.groupdict(), text[1])
        return False

    def _take(self, line: int, item: dict[str, str | None], rank: int | None) -> bool:
        """Add an item to its block, if it has one."""
        name, word, step = item["name"] or "", item["number"] or "", item.get("step")
        if step and self._values.get(STEP) != number(step):
            self._open(line, item, rank)
        elif not self._line and not name.startswith(self._alone):
            return False
        elif not self._line:
            self._open(line, {}, rank)
        self._values[self._under + name] = number(word, suffixed=True)
        return True

    def _open(self, line: int, head: Mapping[str, str | None], rank: int | None) -> None:
        self._close()
        self._line, self._under = line, f"eval/{head['under']}/" if head.get("under") else ""
        self._values = {name: number(word) for name in (STEP, "epoch") if (word := head.get(name))}
        self._beside = {TOTAL: number(head.get("total") or "0")} | ({} if rank is None else {RANK: rank})

    def _close(self) -> None:
        if len(self._values) > 1 or (self._values and STEP not in self._values):
            if STEP not in self._values and self._table.last_step is not None:
                self._values[STEP] = self._table.last_step
            self._table.add(self._line, self._values | self._beside)
        self._values = {}

    def finish(self) -> None:
        """Close the last block, and settle what the blocks left open."""
        self._close()
        if self._settle and self._headed:
            self._settle(self._table)


def _blocks(
    heads: tuple[Marked, ...], items: tuple[Marked, ...], alone: str = "", settle: Settle | None = None
) -> Callable[[Table, str], BlockScanner]:
    return lambda table, text: BlockScanner(table, heads, items, alone, settle)


def _drop_rounded_rates(table: Table) -> None:
    """Drop learning rates that four decimals cannot show."""
    for name in [name for name in table.columns if name.startswith("lr-")]:
        values = table.columns[name][1]
        lost = max(values) < _FOUR_DECIMALS and all(round(value, 4) == value for value in values)
        table.names[name] = None if lost else "lr"
        if lost:
            table.notes.append(f"{name} is printed with four decimals, too few to be read")


_OLMO_HEAD = lazy(r"\[step=(?P<step>\d+)/(?:(?P<total>\d+)|\?\?\?),epoch=(?P<epoch>\d+)(?:,eta=[^\]]*)?\]\s*$")
_FOUR_DECIMALS = 0.01  # learning rates below this are not readable with four decimals
OLMO = LineFormat(
    "olmo",
    "OLMo, OLMo-core",
    _blocks(
        (("[step=", _OLMO_HEAD), ("evals in", lazy(r"Finished (?P<under>\S.*?) evals in .* Metrics:\s*$"))),
        (("=", lazy(rf"^(?P<name>[\w/].*)=(?P<number>{NUM}[BTPE]?)$")),),
        alone="eval/",
    ),
    (("[step=", _OLMO_HEAD),),
    names={"throughput/device/tokens_per_second": "tokens_per_sec_per_device", "System/Peak GPU Memory (MB)": "mem_bytes",
           "throughput/device/MFU": "mfu"},
    units={"System/Peak GPU Memory (MB)": "MB", "throughput/device/MFU": "%"},
)  # fmt: skip
COMPOSER = LineFormat(
    "composer",
    "Composer, llm-foundry",
    _blocks(
        (("=", lazy(
            r"(?:^|\s)\[(?:epoch=(?P<epoch>\d+)(?:/\d+)?\]\[)?(?:batch|iteration|sample|token|epoch)=(?P<step>\d+)(?:/(?P<total>\d+))?\]:"
        )),),
        (
            ("[metric]", lazy(rf"^\[metric\]\[batch=(?P<step>\d+)\]: (?P<name>.+?): (?P<number>{NUM})$")),
            (": ", lazy(rf"^(?:Train|Eval) (?P<name>.+?): (?P<number>{NUM})$")),
        ),
        settle=_drop_rounded_rates,
    ),
    (
        ("Train ", lazy(rf"^(?:.*\s)?Train (?:loss/train/total|metrics/train/\w+|time/batch): {NUM}")),
        ("[metric][batch=", lazy(r"\[metric\]\[batch=\d+\]: ")),
    ),
    names={"time/batch": None, "throughput/device/mfu": "mfu", "trainer/device_train_microbatch_size": None,
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
    names={"eval_error": "val/loss", "throughput": "samples_per_sec"},
)  # fmt: skip
