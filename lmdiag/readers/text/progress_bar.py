"""tqdm bars that show the loss, in front of the bar or behind it: also of Lightning, NeMo 1 and Levanter."""

from __future__ import annotations

import re

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import number
from lmdiag.readers.text.columns import name_columns
from lmdiag.readers.text.epochs import unroll
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.named_number_line import parse
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.record_lines import bars_in
from lmdiag.readers.text.table import EPOCH, STEP, Table

_BAR = lazy(
    r"^(?P<desc>.*?):?\s*(?:(?P<pct>\d+)%\|[^|]*\|\s*)(?P<n>[\d.]+[kKMG]?)/(?P<total>[\d.]+[kKMG]?|\?)\s*\[(?P<inside>[^\]]*)(?:\](?P<after>.*))?$"
)
_OPEN_BAR = lazy(r"^(?P<desc>.*?):?\s*(?P<n>\d[\d.]*[kKMG]?)it \[(?P<inside>[^\]]*)\](?P<after>.*)$")
_EVALUATION = lazy(
    r"\W*(val|valid|validation|validating|eval|evaluating|evaluation|test|testing|sanity)", re.IGNORECASE
)
_EPOCH = lazy(r"\bepoch\W*(\d+)", re.IGNORECASE)
_LOSS = lazy(r"loss|ppl|perplexity", re.IGNORECASE)
_CLOCK = lazy(r"^[\d:?]+(?:<[^,\]]*)?(?:,\s*[^,=\]]*(?:it|s|tok|batch)/(?:s|it|batch)[^,\]]*|,\s*\?[^,\]]*)?,?\s*")


class BarScanner:
    """Keeps the last state of the bar at every count: the first redraw at a count often shows older numbers."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table
        self._state: tuple[tuple[str, float | None, float], int, dict[str, float], float] | None = None

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a bar."""
        if "[" not in piece or ("%|" not in piece and "it [" not in piece):
            return False
        bars = bars_in(piece)
        if len(bars) == 1:
            return self._feed(line, piece)
        taken = [self._feed(line, bar) for bar in bars]
        return any(taken)

    def _feed(self, line: int, piece: str) -> bool:
        match = _BAR.match(payload(piece)[0]) or _OPEN_BAR.match(payload(piece)[0])
        if match is None:
            return False
        if _LOSS.search(piece):
            self._take(line, match)
        return True

    def _take(self, line: int, match: re.Match[str]) -> None:
        split = "val " if _EVALUATION.match(match["desc"]) else ""
        inside, after = match["inside"], match["after"]
        if after is None:  # cut off at the width of the terminal, perhaps within its last number
            inside, after = inside.rpartition(",")[0], ""
        named = parse(match["desc"] + ", " + _CLOCK.sub("", inside) + ", " + after)
        epoch = _EPOCH.search(match["desc"])
        values = {split + name: value for name, value in named.values.items()}
        at = number(match["n"], suffixed=True)
        if epoch:
            values[EPOCH] = float(epoch[1])
        total = match.groupdict().get("total") or "?"
        counted = (split, values.get(EPOCH), at)
        if self._state and self._state[0] != counted:
            self._close()
        if split:
            self._state = (counted, line, values, 0)
            return
        values[STEP] = at if named.step is None else named.step
        self._state = (
            counted,
            line,
            values,
            number(total, suffixed=True) if total != "?" and named.step is None else 0,
        )

    def _close(self) -> None:
        if self._state is not None and self._state[2]:
            _, line, values, total = self._state
            self._table.add(line, values, None, total)
        self._state = None

    def finish(self) -> None:
        """Add the last state, and make one count of all epochs; of an evaluation's bar only its last state counts."""
        self._close()
        unroll(self._table)
        name_columns(self._table, {})


PROGRESS_BAR = LineFormat(
    "progress-bar",
    "tqdm progress bars",
    BarScanner,
    (
        (
            "[",
            lazy(
                r"(?:%\|[^|]*\| *[\d.]+[kKMG]?/|it )[^\[]*\[[^\]]*loss\w*=|loss\W+[\d.]+.*%\|[^|]*\| *\d+/\d+ \[",
                re.IGNORECASE,
            ),
        ),
    ),
    names={"v_num": None, "train_step_timing in s": "step_time_s"},
)
