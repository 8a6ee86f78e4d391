"""torchtitan and torchtune."""

from __future__ import annotations

import re

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.scanner import Shape, Values, shaped
from lmdiag.readers.text.table import STEP, Table

_ITEM = lazy(rf"([A-Za-z_][\w./-]*):\s+({NUM})(GiB|%|(?=\s|$))")
_KEY_VALUE = lazy(rf"(\S+?):({NUM})(?=\s|$)")


def _titan(match: re.Match[str], table: Table) -> Values:
    items = {name: number(word) for name, word, _ in _ITEM.findall(match["rest"])}
    if match["kind"]:
        items = {f"validate {name}": value for name, value in items.items()}
    return {STEP: number(match["step"]), **items}


_TITAN = Shape(
    "step:",
    lazy(r"(?P<kind>validate )?step:\s+(?P<step>\d+)\s+(?P<rest>loss:\s+.*)$"),
    _titan,
    lazy(r"step:\s+\d+\s+loss:"),
)
TORCHTITAN = LineFormat(
    "torchtitan",
    "torchtitan",
    shaped(_TITAN),
    (("step:", lazy(rf"step:\s+\d+\s+loss:\s+{NUM}\s+.*memory:\s+{NUM}GiB")),),
    names={"validate loss": "val/loss", "memory": "mem_bytes", "validate memory": "val/mem_bytes", "tps": "tokens_per_sec_per_device",
           "wps": "tokens_per_sec_per_device", "validate tps": "val/tokens_per_sec_per_device", "tflops": "tflops_per_device"},
    units={"memory": "GiB", "validate memory": "GiB", "mfu": "%"},
    not_measured={"loss": -1.0},  # what pipeline stages print that never see the loss
    linewise=True,
)  # fmt: skip


def _tune(match: re.Match[str], table: Table) -> Values | None:
    values = {name: number(word) for name, word in _KEY_VALUE.findall(match["rest"])}
    return {STEP: number(match["step"]), **values} if values else None


_TUNE = Shape("Step ", lazy(r"^Step (?P<step>\d+) \| (?P<rest>\S+:\S+.*)$"), _tune, lazy(r"^Step \d+ \| \w+:"))
TORCHTUNE = LineFormat(
    "torchtune",
    "torchtune",
    shaped(_TUNE),
    (("Step ", lazy(rf"^(?:.*\s)?Step \d+ \| (?:\S+:{NUM} )*(?:val_)?loss:{NUM}(?: |$)")),),
    units=dict.fromkeys(("peak_memory_active", "peak_memory_alloc", "peak_memory_reserved"), "GiB"),
    reductions={"loss": "step_mean"},
    linewise=True,
)
