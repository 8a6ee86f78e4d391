"""Records that are spread over lines: OLMo and Composer print a head line with the step and one metric a line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.table import RANK, STEP, TOTAL, Table, filled
from lmdiag.readers.text.line_format import LineFormat, Mark, Settle
from lmdiag.run import Skipped

_UNREADABLE = lazy(r"\w[\w ().-]*/[\w/ ().-]*(?:=|: )[-+]?\d[\d.,]*[A-Za-z%]+$")  # optim/lr=0.5z


class BlockScanner:
    """Reads blocks: a head with the `step`, or the set that items are `under`, and items with a `name` and a `number`.

    A head with a group `aside`, such as a batch of an evaluation, begins a block that is not read.

    Items outside of a block whose name begins with `alone`, and a block without a step, belong to the last step. Where
    blocks have no head, a name that comes again begins the next. `settle` does what is left when blocks with one were read.
    """

    def __init__(
        self,
        table: Table,
        text: str,
        *,
        heads: tuple[Mark, ...],
        items: tuple[Mark, ...],
        alone: str = "",
        settle: Settle | None = None,
    ) -> None:
        self._table, self._heads, self._items, self._alone, self._settle = table, heads, items, alone, settle
        self._values: dict[str, float] = {}
        self._beside: dict[str, float] = {}  # the rank, and the number of steps planned
        self._line, self._under = 0, ""  # line 0: outside of a block
        self._headed = False
        self._unread = 0

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a block."""
        for hint, pattern in self._heads:
            if hint in piece and (head := pattern.search(piece)):
                self._headed = True
                self._open(line, groups := head.groupdict(), payload(piece)[1])
                self._line = 0 if groups.get("aside") else line
                return True
        for hint, pattern in self._items:
            if hint in piece and (item := pattern.match((text := payload(piece))[0])):
                return self._take(line, item.groupdict(), text[1])
            if hint in piece and self._line and _UNREADABLE.match(text[0]):
                self._unread += 1
        return False

    def _take(self, line: int, item: dict[str, str | None], rank: int | None) -> bool:
        """Add an item to its block, if it has one."""
        name, word, step = item["name"] or "", item["number"] or "", item.get("step")
        again = not self._heads and name in self._values
        if again or (step and self._values.get(STEP) != number(step)):
            self._open(line, item, rank)
        elif not self._line:
            if not name.startswith(self._alone):
                return False
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
        if self._unread:
            reason = "a number of a block with an unknown unit"
            self._table.skipped.append(Skipped(0, reason, self._unread, "value"))
        if self._settle and self._headed:
            self._settle(self._table)


def _settle_composer(table: Table) -> None:
    """Count the batches of the run where the heads count those of an epoch, and drop learning rates that four decimals cannot show."""
    if "epoch" in table.columns and "time/batch" in table.columns:
        done = table.cells("time/batch") + 1  # it is logged before the batch is counted
        table.put(STEP, filled(done, first=0.0))
        table.totals = np.zeros(len(table.lines))  # those of an epoch
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
    marks=(("[step=", _OLMO_HEAD),),
    reads=partial(
        BlockScanner,
        heads=(("[step=", _OLMO_HEAD), ("evals in", lazy(r"Finished (?P<under>\S.*?) evals in .* Metrics:\s*$"))),
        items=(("=", lazy(rf"^(?P<name>[\w/].*)=(?P<number>{NUM}[kKMGBTPE]?)$")),),
        alone="eval/",
    ),
    names={"throughput/device/tokens_per_second": "tokens_per_sec_per_device", "System/Peak GPU Memory (MB)": "mem_bytes",
           "throughput/device/MFU": "mfu"},
    units={"System/Peak GPU Memory (MB)": "MB", "throughput/device/MFU": "%"},
)  # fmt: skip
COMPOSER = LineFormat(
    "composer",
    "Composer, llm-foundry",
    marks=(
        ("Train ", lazy(rf"^(?:.*\s)?Train (?:loss/train/total|metrics/train/\w+|time/batch): {NUM}")),
        ("[metric][batch=", lazy(r"\[metric\]\[batch=\d+\]: ")),
    ),
    reads=partial(
        BlockScanner,
        heads=(("=", lazy(
            r"(?:^|\s)\[(?:epoch=(?P<epoch>\d+)(?:/\d+)?\]\[)?(?:batch|iteration|sample|token|epoch)=(?P<step>\d+)(?:/(?P<total>\d+))?\]:"
        )),),
        items=(
            ("[metric]", lazy(rf"^\[metric\]\[batch=(?P<step>\d+)\]: (?P<name>.+?): (?P<number>{NUM})$")),
            (": ", lazy(rf"^(?:Train|Eval) (?P<name>.+?): (?P<number>{NUM})$")),
        ),
        settle=_settle_composer,
    ),
    names={"time/batch": None, "throughput/device/mfu": "mfu", "trainer/device_train_microbatch_size": None,
           "throughput/device/tokens_per_sec": "tokens_per_sec_per_device", "metrics/train/LanguageCrossEntropy": "train_batch_loss"},
)  # fmt: skip
PPO_STATISTICS = LineFormat(
    "ppo-statistics",
    "TRL's PPO, its statistics printed one a line",
    marks=(("/", lazy(rf"^(?:objective/(?:kl|scores|rlhf_reward)|ppo/mean_scores): {NUM}$")),),
    reads=partial(
        BlockScanner,
        heads=(),
        items=((": ", lazy(rf"^(?P<name>(?:(?:objective|ppo|policy|loss|val|env|tokens)/[\w/]+|lr|eps|episode|epoch)): (?P<number>{NUM})$")),),
    ),
)  # fmt: skip


def _settle_coqui(table: Table) -> None:
    """Of the totals `loss_0` and `loss_1`, one of each optimizer, one alone is the loss, and so is one that is not finite at the end."""
    totals = [name for name in table.columns if _TOTAL.fullmatch(name)]
    broken = [name for name in totals if not np.isfinite(table.columns[name][1][-1])]
    taken = totals if len(totals) == 1 else broken[:1]
    if taken and "loss" not in table.columns:
        table.names[taken[0]] = "loss"
        table.notes.append(f'no column is called a loss; "{taken[0]}" was taken for it')


_TOTAL = lazy(r"loss_\d+")
COQUI = LineFormat(
    "coqui",
    "Coqui TTS and its trainer",
    marks=(("GLOBAL_STEP: ", lazy(r"STEP: \d+(?:/\d+)? -- GLOBAL_STEP: \d")),),
    reads=partial(
        BlockScanner,
        heads=(
            ("GLOBAL_STEP", lazy(r"--> STEP: \d+(?:/\d+)? -- GLOBAL_STEP: (?P<step>\d+)")),
            ("EVAL PERF", lazy(r"--> (?P<under>EVAL) PERFORMANCE")),
            ("-", lazy(r"--> (?P<aside>STEP: \d+\s*$|TRAIN PERFORMANCE)")),
        ),
        items=((">", lazy(rf"^(?P<name>[A-Za-z]\w*): ?(?P<number>{NUM})(?:\s+\([^()]*\))?\s*$")),),
        alone="eval/",
        settle=_settle_coqui,
    ),
    names={"loader_time": "data_time_s"},
)  # fmt: skip
