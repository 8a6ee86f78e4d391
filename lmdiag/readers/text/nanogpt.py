"""nanoGPT, build-nanogpt, nanochat and llm.c: small trainers whose prints were copied all over the world."""

from __future__ import annotations

import re

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.scanner import Shape, ShapeScanner, Values, shaped
from lmdiag.readers.text.table import STEP, Table

_REST = lazy(rf"([A-Za-z_][\w /]*?)\s*[: ]\s*({NUM})(ms|%|s\b)?(?=[,\s)]|$)")


def _with_rest(match: re.Match[str], table: Table) -> Values:
    """Take the named groups, and from the group `rest` every `name value`."""
    values = {k: number(v) for k, v in match.groupdict().items() if v is not None and k != "rest"}
    for name, word, _ in _REST.findall(match.groupdict().get("rest") or ""):
        values.setdefault(name.strip(), number(word))
    return values


_EVAL = Shape(
    "val loss",
    lazy(rf"^step (?P<step>\d+): train loss (?P<train_loss_estimate>{NUM}), val loss (?P<val_loss>{NUM})(?P<rest>.*)$"),
    _with_rest,
    lazy(r"^step \d+: train loss"),
)
_ITER = Shape(
    "iter ",
    lazy(rf"^iter (?P<step>\d+)(?:/(?P<total>\d+))?: loss (?P<loss>{NUM}),? (?P<rest>time {NUM}ms.*)$"),
    _with_rest,
    lazy(r"^iter \d+: loss"),
)
NANOGPT = LineFormat(
    "nanogpt",
    "nanoGPT",
    shaped(_EVAL, _ITER),
    (("iter ", lazy(rf"\biter \d+(?:/\d+)?: loss {NUM},? time {NUM}ms")), ("val loss", lazy(rf"\bstep \d+: train loss {NUM}, val loss {NUM}"))),
    names={"train_loss_estimate": "train/loss", "val_loss": "val/loss", "time": "step_time_s"},
    units={"time": "ms", "mfu": "%"},
    not_measured={"mfu": -100.0},
    linewise=True,
)  # fmt: skip


class _WithStepless(ShapeScanner):
    """Also reads evaluations printed without a step, which belong to the step printed next."""

    stepless = lazy(
        rf"^(?P<name>val(?:idation)? loss|HellaSwag(?: accuracy)?):?\s+(?:(?P<right>\d+)/(?P<all>\d+)\s*=\s*)?(?P<value>{NUM})\s*$"
    )
    first_step = 0

    def __init__(self, shapes: tuple[Shape, ...], table: Table) -> None:
        super().__init__(shapes, table)
        self._pending: list[int] = []

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if ("val" in piece or "HellaSwag" in piece) and (match := self.stepless.search(piece.strip())):
            name = "hellaswag/accuracy" if match["name"].startswith("H") else "val_loss"
            self._pending.append(len(self._table.lines))
            self._table.add(line, {name: number(match["value"])})
            return True
        taken = super().feed(line, piece)
        if taken and self._pending and self._table.last_step is not None:
            self._settle(self._table.last_step - self.first_step)
        return taken

    def _settle(self, step: int) -> None:
        rows, values = self._table.columns.setdefault(STEP, ([], []))
        for row in self._pending:
            at = (
                next((i for i, known in enumerate(rows) if known > row), len(rows))
                if rows and rows[-1] > row
                else len(rows)
            )
            rows.insert(at, row)
            values.insert(at, float(step))
        self._pending = []

    def finish(self) -> None:
        """Evaluations behind the last step stand at the end of the run."""
        if self._pending and self._table.last_step is not None:
            self._settle(self._table.last_step + 1 - self.first_step)


def _stream(match: re.Match[str], table: Table) -> Values:
    return {STEP: number(match["step"]), match["stream"]: number(match["value"])}


_BUILD_FILE = Shape(
    " ",
    lazy(rf"^(?P<step>\d+) (?P<stream>train|val|hella) (?P<value>{NUM})$"),
    _stream,
    lazy(r"^\d+ (?:train|val|hella)\b"),
)
_BUILD_CONSOLE = Shape(
    "| loss",
    lazy(
        rf"^step\s+(?P<step>\d+) \| loss: (?P<loss>{NUM}) \| lr (?P<lr>{NUM}) \| norm: (?P<norm>{NUM}) \| dt: (?P<dt>{NUM})ms \| tok/sec: (?P<tok_per_sec>{NUM})"
    ),
)
BUILD_NANOGPT = LineFormat(
    "build-nanogpt",
    "build-nanogpt",
    lambda table, text: _WithStepless((_BUILD_CONSOLE, _BUILD_FILE), table),
    ((" | norm: ", _BUILD_CONSOLE.pattern), (" ", lazy(rf"^\d+ (?:train|val|hella) {NUM}\s*$"))),
    names={"train": "loss", "val": "val/loss", "val_loss": "val/loss", "hella": "hellaswag/accuracy"},
    units={"dt": "ms"},
)

_ITEM = lazy(rf"([A-Za-z_][\w/. ]*?)[:=]\s*({NUM})([KMB]?)(?:ms|%|m|s|h)?(?=[\s|]|$)")


def _piped(match: re.Match[str], table: Table) -> Values | None:
    """Take `name: value` items, between bars or blanks."""
    values = {STEP: number(match["step"])}
    if match["total"]:
        values["total"] = number(match["total"])
    for name, word, suffix in _ITEM.findall(match["rest"]):
        values.setdefault(name.strip(), number(word + suffix, suffixed=True))
    return values if len(values) > 1 + ("total" in values) else None


_NANOCHAT = Shape(
    "tep ",
    lazy(rf"^[Ss]tep (?P<step>\d+)(?:/(?P<total>\d+))?(?: \({NUM}%\))?\s*\| (?P<rest>.*\w:.*)$"),
    _piped,
    lazy(r"^step \d+(?:/\d+)? \([\d.]+%\)"),
)
NANOCHAT = LineFormat(
    "nanochat",
    "nanochat",
    shaped(_NANOCHAT),
    (
        ("lrm:", lazy(r"\bstep \d+(?:/\d+)? .*\| lrm: ")),
        ("Step ", lazy(r"\bStep \d+(?:/\d+)? \| (?:Validation (?:bpb|loss)|CORE metric|ChatCORE|Average reward|Training loss): ")),
    ),
    names={"Validation bpb": "val/bpb", "Validation loss": "val/loss", "Training loss": "loss", "dt": "step_time_s", "lrm": "lr_multiplier",
           "bf16_mfu": "mfu", "total time": "elapsed_s", "eta": None, "Average reward": "reward", "CORE metric": "core/accuracy"},
    units={"dt": "ms", "mfu": "%", "bf16_mfu": "%", "total time": "min"},
    reductions={"loss": "ema"},
    linewise=True,
)  # fmt: skip

_LLMC_FILE = Shape(
    "s:",
    lazy(rf"^s:(?P<step>\d+) (?:trl:(?P<trl>{NUM})|tel:(?P<tel>{NUM})|eval:(?P<hellaswag>{NUM}))(?: lr:(?P<lr>{NUM}))?(?: norm:(?P<norm>{NUM}))?\s*$"),
    None,
    lazy(r"^s:\d+ "),
)  # fmt: skip
LLMC_LOG = LineFormat(
    "llm.c-log",
    "llm.c, main.log",
    shaped(_LLMC_FILE),
    (("s:", lazy(rf"^s:\d+ (?:trl|tel|eval):{NUM}")),),
    linewise=True,
    names={"trl": "loss", "tel": "val/loss", "hellaswag": "hellaswag/accuracy"},
)

_C = "step"
_LLMC_CONSOLE = Shape(
    _C,
    lazy(
        rf"^step\s+(?P<step>\d+)/(?P<total>\d+) \| loss\s+(?P<loss>{NUM}) \([^)]*z\)\| norm\s+(?P<norm>{NUM}) \([^)]*z\)\| lr (?P<lr>{NUM}) \| (?P<time_ms>{NUM}) ms \| (?P<mfu>{NUM})% bf16 MFU \| (?P<tok_per_sec>{NUM}) tok/s"
    ),
)
_LLMC_OLD = Shape(
    _C,
    lazy(
        rf"^step\s+(?P<step>\d+)(?:/(?P<total>\d+))?(?::| \|) train loss (?P<loss>{NUM})(?: \| norm (?P<norm>{NUM}) \| lr (?P<lr>{NUM}) \|)? \((?:took )?(?P<time_ms>{NUM}) ms(?:(?:,| \|) (?P<tok_per_sec>{NUM}) tok/s)?\)"
    ),
)


class _OneBased(_WithStepless):
    first_step = 1


LLMC_CONSOLE = LineFormat(
    "llm.c-console",
    "llm.c, console",
    lambda table, text: _OneBased((_LLMC_CONSOLE, _LLMC_OLD), table),
    (("tok/s", _LLMC_CONSOLE.pattern), ("train loss", _LLMC_OLD.pattern)),
    names={"val_loss": "val/loss", "time_ms": "step_time_s"},
    units={"time_ms": "ms", "mfu": "%"},
)
FORMATS = (NANOGPT, BUILD_NANOGPT, NANOCHAT, LLMC_LOG, LLMC_CONSOLE)
