"""fairseq and metaseq: losses in bits, as `k=v`, as `k v |` and as JSON with quoted numbers."""

from __future__ import annotations

import json
import re

from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.table import STEP, Table

_INNER = lazy(r"epoch (\d+):\s+(\d+) / (\d+) (\w+=.*)$")
_SUMMARY = lazy(
    r"\| epoch (\d+) \| (?:(?P<split>valid|test)\S* on '(?P<subset>[^']+)' subset \| )?(?P<items>(?:[a-z]\w* [^|]+\|? ?)+)$"
)
_JSON = lazy(
    r"(?:\| |\]\[|\[)(?P<tag>train_inner|train|valid[\w/.-]*|test[\w/.-]*)(?:\]\[INFO\] - | \| |\] - )(?P<json>\{.*\})\s*$"
)
_EQUALS = lazy(rf"(\w+)=\s*({NUM})")
_BLANK = lazy(rf"^\s*(\w+)\s+({NUM})\s*$")
_IN_BITS = ("loss", "nll_loss")


class FairseqScanner:
    """Reads interval lines, summaries of epochs and evaluations."""

    def __init__(self, table: Table, text: str) -> None:
        self._table = table

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        if "{" in piece and (match := _JSON.search(piece)):
            return self._json(line, match)
        if "epoch " not in piece:
            return False
        if match := _INNER.search(piece):
            return self._inner(line, match)
        match = _SUMMARY.search(piece)
        return bool(match) and self._summary(line, match)

    def _inner(self, line: int, match: re.Match[str]) -> bool:
        values = {name: number(word) for name, word in _EQUALS.findall(match[4])}
        within = (number(match[1]) - 1) * number(match[3]) + number(match[2])
        step = values.pop("num_updates", within if number(match[3]) < 1e8 else number(match[2]))
        self._table.add(line, {STEP: step, "epoch": number(match[1]), **values})
        return True

    def _summary(self, line: int, match: re.Match[str] | None) -> bool:
        assert match is not None
        found = (_BLANK.match(item) for item in match["items"].split("|"))
        values = {m[1]: number(m[2]) for m in found if m}
        return self._under(line, match["subset"] or match["split"] or "train", values)

    def _json(self, line: int, match: re.Match[str]) -> bool:
        try:
            record = json.loads(match["json"])
        except ValueError:
            self._table.skip(line, f"torn record: {match['json'][:80]}")
            return True
        values = {}
        for name, word in record.items():
            try:
                values[name] = float(word)
            except (TypeError, ValueError):
                continue
        if match["tag"] == "train_inner":
            step = values.pop("num_updates", None)
            self._table.add(line, {**({} if step is None else {STEP: step}), **values})
            return True
        prefix = re.split(r"[/_]", match["tag"])[0] + "_"
        return self._under(line, match["tag"], {name.removeprefix(prefix): v for name, v in values.items()})

    def _under(self, line: int, name: str, values: dict[str, float]) -> bool:
        """Add the summary of an epoch (`train`) or an evaluation, under the name of its set."""
        if not {"loss", "nll_loss"} & values.keys():
            return False
        step = values.pop("num_updates", self._table.last_step)
        split = {"valid": "val", "train": "train"}.get(name, name)
        kept = {f"{name} {key}": v for key, v in values.items() if key in (*_IN_BITS, "ppl", "accuracy")}
        for key in kept:
            measure = key.rpartition(" ")[2]
            self._table.names[key] = f"{split}/{'loss' if measure == 'nll_loss' else measure}"
            if measure in _IN_BITS:
                self._table.units[key] = "bits"
        if f"{name} nll_loss" in kept:
            self._table.names[f"{name} loss"] = f"{split}/smoothed_loss"
        self._table.add(line, {**({} if step is None else {STEP: float(step)}), **kept})
        return True

    def finish(self) -> None:
        """With label smoothing the likelihood is the loss; without interval lines the summaries of epochs are the curve."""
        names = self._table.names
        if "nll_loss" in self._table.columns:
            names["loss"], names["nll_loss"] = "smoothed_loss", "loss"
        elif "loss" not in self._table.columns:
            for key in ("train nll_loss", "train loss"):
                if names.get(key) == "train/loss":
                    names[key] = "loss"


FAIRSEQ = LineFormat(
    "fairseq",
    "fairseq, metaseq",
    FairseqScanner,
    (
        ("train_inner", lazy(r"train_inner\]?(?: \| |\[INFO\] - )")),
        ("epoch ", lazy(r"\bepoch \d+:\s+\d+ / \d+ loss=")),
        ("num_updates", lazy(r"\| epoch \d+ \| .*loss [\d.]+ \| .*num_updates")),
        ("valid_loss", lazy(r"\{.*\"valid_loss\": \"?[\d.]+")),
    ),
    names={"wps": "tokens_per_sec", "clip": "clip_frac", "wall": "elapsed_s", "cuda_gb_allocated": "mem_bytes",
           "cuda_gb_reserved": "mem_reserved_bytes", "update": "epoch_fraction", "epoch": "epoch"},
    units={"loss": "bits", "nll_loss": "bits", "clip": "%", "cuda_gb_allocated": "GiB", "cuda_gb_reserved": "GiB"},
    reductions={"loss": "window_mean", "nll_loss": "window_mean", "train loss": "epoch_mean", "train nll_loss": "epoch_mean"},
)  # fmt: skip
