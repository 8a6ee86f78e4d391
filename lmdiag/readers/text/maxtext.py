"""MaxText and verl: `name: value` items behind the step."""

from __future__ import annotations

import re

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.scanner import Shape, Values, shaped
from lmdiag.readers.text.table import STEP, Table

_ITEM = lazy(rf"([A-Za-z_][\w./ ]*?)[:=]\s*({NUM})(?=,|\s*$)")


def _items(match: re.Match[str], table: Table) -> Values:
    return {STEP: number(match["step"]), **{name.strip(): number(word) for name, word in _ITEM.findall(match["rest"])}}


def _evaluation(match: re.Match[str], table: Table) -> Values:
    values = _items(match, table)
    return {name if name == STEP else f"eval {name}": value for name, value in values.items()}


_STEP_LINE = Shape(
    "completed step:",
    lazy(r"completed step: (?P<step>\d+), (?P<rest>.*loss: .*)$"),
    _items,
    lazy("completed step:"),
)
_EVAL_LINE = Shape(
    "after",
    lazy(r"(?:Completed eval after train step|eval metrics after step:) (?P<step>\d+), (?P<rest>.*loss=.*)$"),
    _evaluation,
)
MAXTEXT = LineFormat(
    "maxtext",
    "MaxText",
    shaped(_STEP_LINE, _EVAL_LINE),
    (("completed step:", lazy(rf"completed step: \d+, seconds: {NUM}")),),
    linewise=True,
    names={"lm_loss": "lm_loss", "total_weights": "target_tokens", "eval total_weights": "val/n_tokens"},
)


_VERL_ITEM = lazy(rf"^(.+?):\s*({NUM})$")


def _verl(match: re.Match[str], table: Table) -> Values | None:
    values = {STEP: number(match["step"])}
    for item in match["rest"].split(" - "):
        found = _VERL_ITEM.match(item.strip())
        if found:
            values[found[1]] = number(found[2])
    return values if len(values) > 1 else None


VERL = LineFormat(
    "verl",
    "verl",
    shaped(Shape("step:", lazy(r"(?:^|\s)step:(?P<step>\d+) - (?P<rest>\S.*)$"), _verl)),
    (("step:", lazy(r"(?:^|\s)step:\d+ - [\w/]+:")),),
)
