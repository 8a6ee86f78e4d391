"""Lines of `name: value |` items: Megatron-LM and its forks, GPT-NeoX, NeMo 2 and nanotron."""

from __future__ import annotations

import re

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.naming import spelling
from lmdiag.readers.numbers import NUM, SUFFIXES, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event

_ITERATION = lazy(r"(?:^|\| |\] |\s)iteration:?\s+(\d+)\s*/\s*(\d+)\s*(?=\||$)")
_NEMO = lazy(r"Training epoch (\d+), iteration (\d+)/(\d+) \|")
_ITEM = lazy(rf"^\s*(.+?):\s*({NUM})\s*(%|[KMBGTPE]?(?:FLOPS|FLOP/s|B|iB)?|ms|s)\s*$")
_EVALUATION = lazy(
    r"^\W*(?P<set>[\w./-]*?)[- ]?(?:loss|results) at (?P<place>.+?) \| (?P<items>.*)$|^\W*iteration (?P<n>\d+) on (?P<what>\w+) set \| (?P<more>.*)$"
)
_PLACE = lazy(r"iteration (\d+)")
_CLOCK = lazy(r":\s*\d+:\d\d")
_NO_NUMBER = lazy(r"\beta\b|\d:\d\d|None|N/A")
_VALUE = lazy(rf"^\s*(.+?)(?: value)?:\s*({NUM})\s*$")
_LOSS = lazy(r"loss$", re.IGNORECASE)
_AUXILIARY = lazy(r"balanc|z[_ ]loss|aux|sop|mtp|moe|router", re.IGNORECASE)
_SKIPPED, _NAN = "number of skipped iterations", "number of nan iterations"


class PipedScanner:
    """Reads lines of items between bars, and the evaluations between them."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if "|" not in piece:
            return False
        if "iteration" in piece and (match := _NEMO.search(piece) or _ITERATION.search(piece)):
            return self._record(line, piece, match)
        if " at " in piece or " on " in piece:
            text, rank = payload(piece)
            evaluation = _EVALUATION.match(text)
            if evaluation:
                return self._evaluation(line, evaluation, text, rank)
        return False

    def _record(self, line: int, piece: str, match: re.Match[str]) -> bool:
        nemo = match.re.pattern == _NEMO.pattern
        step, total = number(match[2 if nemo else 1]), number(match[3 if nemo else 2])
        values, broken = {STEP: step}, 0
        for item in piece.split("|"):
            found = _ITEM.match(item)
            if found and not _CLOCK.search(item):
                values[found[1].strip()] = number(found[2]) * self._factor(found[1], found[3])
            elif item.strip() and "iteration" not in item and ":" in item and not _NO_NUMBER.search(item):
                broken += 1
        if len(values) < 3:
            return False
        if nemo:
            values["epoch"] = number(match[1])
            values[STEP] = values.pop("global_step", step)
        if broken:
            self._table.skip(line, f"{broken} items of the record are no numbers: {piece.strip()[:80]}")
        self._table.add(
            line, values, payload(piece[: match.start()] + " ")[1], 0 if nemo and "global_step" in piece else total
        )
        return True

    def _factor(self, name: str, suffix: str) -> float:
        """Bring FLOPS to TFLOPS and human suffixes to numbers; other units are left to the name."""
        if suffix.endswith(("FLOPS", "FLOP/s")):
            return SUFFIXES[suffix[:1] if suffix[0] in SUFFIXES else ""] / 1e12
        if suffix == "%":
            self._table.units.setdefault(name.strip(), "%")
            return 1.0
        return SUFFIXES.get(suffix, 1.0)

    def _evaluation(self, line: int, match: re.Match[str], text: str, rank: int | None) -> bool:
        items = [_VALUE.match(item) for item in (match["items"] or match["more"] or "").split("|")]
        measured = {m[1].strip(): number(m[2]) for m in items if m}
        place = _PLACE.search(match["place"] or f"iteration {match['n']}")
        if not measured:
            return False
        if place is None or "end of training" in text or (match["place"] or "").startswith("the end"):
            self._table.happened(Event("final_evaluation", self._table.last_step, text[:300], measured))
            return True
        split = self._split(match["what"] or match["set"] or "validation")
        values = {f"{split} {name}": value for name, value in measured.items()}
        for column in values:
            measure = spelling(column.removeprefix(split + " ")).name
            if measure in ("loss", "ppl"):
                self._table.names.setdefault(column, f"{split}/{measure}")
        self._table.add(line, {STEP: number(place[1]), **values}, rank)
        return True

    @staticmethod
    def _split(word: str) -> str:
        """Translate `validation`, `valid`, `test`; any other word is the name of an evaluation set."""
        plain = word.strip("- ").removeprefix("validation-")
        return {"validation": "val", "valid": "val", "": "val"}.get(plain, plain)

    def finish(self) -> None:
        """A missing loss is NaN, unless every iteration of the interval was skipped; then tokens per step."""
        table = self._table
        losses = [
            n
            for n in table.columns
            if _LOSS.search(n) and not _AUXILIARY.search(n) and table.names.get(n, "loss") == "loss"
        ]
        if _NAN in table.columns and losses:
            main = max(losses, key=lambda n: len(table.columns[n][0]))
            steps, skipped, nan = table.cells(STEP), table.cells(_SKIPPED), table.cells(_NAN)
            missing = ~np.isnan(nan)
            missing[table.columns[main][0]] = False
            interval = np.diff(np.maximum.accumulate(np.nan_to_num(steps)), prepend=0)
            lost = np.flatnonzero(missing & ((nan > 0) | (skipped < np.maximum(interval, 1))))
            if len(lost):
                self._fill_nan(main, lost)
        context = table.config.get("model", {}).get("context")
        batch = table.columns.get("global batch size")
        if context and batch:
            put_fact(table.config, "batch_tokens", float(np.median(batch[1])) * context)

    def _fill_nan(self, name: str, lost: np.ndarray) -> None:
        rows, values = self._table.columns[name]
        merged = sorted([*zip(rows, values), *((int(row), float("nan")) for row in lost)], key=lambda cell: cell[0])
        self._table.columns[name] = ([row for row, _ in merged], [value for _, value in merged])
        self._table.notes.append(f"{len(lost)} records print no {name}, which is how this program prints NaN")


_NAMES: dict[str, str | None] = {
    "throughput per GPU (TFLOP/s/GPU)": "tflops_per_device",
    "approx flops per GPU": "tflops_per_device",
    "TFLOPs": "tflops_per_device",
    "lm-loss": "loss",
    "lm loss": "loss",
    "train_step_timing in s": "step_time_s",
    "samples/sec": "samples_per_sec",
    "eta": None,
}

NEMO = LineFormat(
    "nemo",
    "NeMo 2",
    PipedScanner,
    linewise=True,
    marks=(("Training epoch", _NEMO),),
    names={**_NAMES, "val_loss": "val/loss"},
)
NANOTRON = LineFormat(
    "nanotron",
    "nanotron",
    PipedScanner,
    linewise=True,
    marks=(("consumed_tokens", lazy(r"iteration: \d+ / \d+ \| .*consumed_tokens")),),
    names=_NAMES,
)
MEGATRON = LineFormat(
    "megatron",
    "Megatron-LM, its forks, GPT-NeoX",
    PipedScanner,
    linewise=True,
    marks=(("iteration", lazy(r"\biteration\s+\d+/\s*\d+ \|.*:.*\|")),),
    names=_NAMES,
    units={"MFU": "%", "HFU": "%"},
    reductions={"lm loss": "window_mean", "lm_loss": "window_mean", "lm-loss": "window_mean"},
)
