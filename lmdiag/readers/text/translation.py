"""What toolkits of machine translation print: Sockeye's checkpoints, and the file of JoeyNMT's validations."""

from __future__ import annotations

import math
import re

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat, Said, Shape, shaped
from lmdiag.readers.text.named_numbers import name_columns
from lmdiag.readers.text.names import canonical
from lmdiag.readers.text.plans import Record
from lmdiag.readers.text.table import STEP, Table

_CHECKPOINT = lazy(r"Checkpoint \[(\d+)\]\t(?=\w)(.*)$")
_BATCH = lazy(r"\bE=\d+ B=(\d+)\t(?=s/sec=)(.*)$")
_ACCUMULATED = lazy(r"Gradient accumulation over (\d+) batch")
_ITEM = lazy(rf"([A-Za-z][\w./-]*)=({NUM})")
_VALIDATION = lazy(r"^Steps: (?P<step>\d+)\t(?P<rest>(?:[\w/-]+: [^\t]*\t)+LR: \S+)")
_NAMED = lazy(rf"([\w/-]+): ({NUM})")


class SockeyeScanner:
    """Gives each line about a checkpoint the updates that its first line tells; the lines between count batches."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._updates: dict[str, float] = {}
        self._batches = 1.0  # of one update

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was about a checkpoint or batch."""
        if "Checkpoint [" in piece and (found := _CHECKPOINT.search(piece)):
            values = {name: number(word) for name, word in _ITEM.findall(found[2])}
            if "Updates" in values:
                self._updates[found[1]] = values.pop("Updates")
            at = self._updates.get(found[1])
            return self._add(line, values if at is None else {STEP: at, **values})
        if " B=" in piece and (found := _BATCH.search(piece)):
            values = {f"{name} of batches": number(word) for name, word in _ITEM.findall(found[2])}
            return self._add(line, {STEP: number(found[1]) / self._batches, **values})
        if "accumulation" in piece and (found := _ACCUMULATED.search(piece)):
            self._batches = max(number(found[1]), 1.0)
        return False

    def _add(self, line: int, values: dict[str, float]) -> bool:
        if values.keys() - {STEP}:
            self._table.add(line, values)
        return bool(values)

    def finish(self) -> None:
        """Say what each column stands for; what was measured since the last checkpoint is measured again at the next."""
        for name in self._table.columns:
            own = name.removesuffix(" of batches")
            metric = (canonical(own) or (own,))[0]
            if own != name and metric not in ("loss", "ppl", "accuracy"):
                self._table.names[name] = metric
        name_columns(self._table, {})


SOCKEYE = LineFormat("sockeye", "Sockeye", SockeyeScanner, (("Checkpoint [", _CHECKPOINT), (" B=", _BATCH)))


def _validated(match: re.Match[str], text: str) -> Record:
    """Return what was measured on the validation set; older releases print a sum as the loss, beside the perplexity of a token."""
    values = {STEP: number(match["step"])}
    for name, word in _NAMED.findall(match["rest"]):
        values[name.lower() if name == "LR" else f"val/{name.lower()}"] = number(word)
    loss, ppl = values.get("val/loss"), values.get("val/ppl")
    if loss is not None and ppl is not None and ppl > 0 and abs(loss - math.log(ppl)) > 0.1 * abs(loss) + 0.01:
        values["val/summed loss"] = values.pop("val/loss")
    return values, Said()


_LINE = Shape("Steps: ", _VALIDATION, parse=_validated, looks=lazy(r"^Steps: \d+\t"))
JOEYNMT = LineFormat("joeynmt", "JoeyNMT, validations.txt", shaped(_LINE), (("Steps: ", _VALIDATION),))
