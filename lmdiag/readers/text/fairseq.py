"""fairseq and metaseq: losses in bits, as `k=v`, as `k v |` and as JSON with quoted numbers."""

from __future__ import annotations

import json
import re

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.text.line_format import LineFormat, Said, Shape, shaped
from lmdiag.readers.text.plans import Record
from lmdiag.readers.text.table import STEP, Table

_INNER = lazy(r"epoch (\d+):\s+(\d+) / (\d+) (\w+=.*)$")
_SUMMARY = lazy(
    r"\| epoch (\d+) \| (?:(?P<split>valid|test)\S* on '(?P<subset>[^']+)' subset \| )?(?P<items>(?:[a-z]\w* [^|]+\|? ?)+)$"
)
_JSON = lazy(
    r"(?:\| |\]\[|\[)(?P<tag>train_inner|train|valid[\w/.-]*|test[\w/.-]*)(?:\]\[INFO\] - | \| |\] - )(?P<json>\{.*\})\s*$"
)
_EQUALS = lazy(rf"(\w+)=\s*({NUM})")
_BLANK = lazy(rf"^\s*(\w+)\s+({NUM})%?\s*$")
_IN_BITS = ("loss", "nll_loss")
_MEASURES = (*_IN_BITS, "ppl", "accuracy")
_STATES = ("lr", "gnorm", "loss_scale", "wps", "clip", "wall")  # of training, at the end of an epoch
_OF_AN_EPOCH = "epoch's "


def _inner(match: re.Match[str], text: str) -> Record:
    values = {name: number(word) for name, word in _EQUALS.findall(match[4])}
    within = (number(match[1]) - 1) * number(match[3]) + number(match[2])
    step = values.pop("num_updates", within if number(match[3]) < 1e8 else number(match[2]))
    return {STEP: step, "epoch": number(match[1]), **values}, Said()


def _summary(match: re.Match[str], text: str) -> Record | None:
    found = (_BLANK.match(item) for item in match["items"].split("|"))
    return _under(match["subset"] or match["split"] or "train", {m[1]: number(m[2]) for m in found if m})


def _json(match: re.Match[str], text: str) -> Record | None:
    try:
        record = json.loads(match["json"])
    except ValueError:
        return {}, Said(lost=f"torn record: {match['json'][:80]}")
    values = {}
    for name, word in record.items():
        try:
            values[name] = float(word)
        except (TypeError, ValueError):
            continue
    if match["tag"] == "train_inner":
        step = values.pop("num_updates", None)
        return {**({} if step is None else {STEP: step}), **values}, Said()
    return _under(match["tag"], values)


def _under(name: str, values: dict[str, float]) -> Record | None:
    """Return the summary of an epoch (`train`) or an evaluation, under the name of its set."""
    prefix = re.split(r"[/_]", name)[0] + "_"
    plain = {key: key.removeprefix(prefix) for key in values}
    values = {key if plain[key] != key and plain[key] in values else plain[key]: v for key, v in values.items()}
    if values.keys().isdisjoint(_IN_BITS):
        return None
    step = values.pop("num_updates", None)
    split = {"valid": "val", "train": "train"}.get(name, name)
    kept = {f"{name} {key}": value for key, value in values.items() if key in _MEASURES}
    names, units = {}, {}
    for key in kept:
        measure = key.rpartition(" ")[2]
        names[key] = f"{split}/{'loss' if measure == 'nll_loss' else measure}"
        if measure in _IN_BITS:
            units[key] = "bits"
    if f"{name} nll_loss" in kept:
        names[f"{name} loss"] = f"{split}/smoothed_loss"
    if name == "train":
        kept |= {_OF_AN_EPOCH + key: values[key] for key in _STATES if key in values}
    return {**({} if step is None else {STEP: step}), **kept}, Said(names=names, units=units)


def _settle(table: Table) -> None:
    """With label smoothing the likelihood is the loss; without interval lines the summaries of epochs are the curve."""
    table.carry(STEP)
    names = table.names
    if "nll_loss" in table.columns:
        names["loss"], names["nll_loss"] = "smoothed_loss", "loss"
    elif "loss" not in table.columns:
        for key in ("train nll_loss", "train loss"):
            if names.get(key) == "train/loss":
                names[key] = "loss"
    for name in [name for name in table.columns if name.startswith(_OF_AN_EPOCH)]:
        column, plain = table.columns.pop(name), name.removeprefix(_OF_AN_EPOCH)
        table.columns.setdefault(plain, column)


FAIRSEQ = LineFormat(
    "fairseq",
    "fairseq, metaseq",
    shaped(
        Shape("{", _JSON, prefixed=True, parse=_json),
        Shape("epoch ", _INNER, prefixed=True, parse=_inner),
        Shape("epoch ", _SUMMARY, prefixed=True, parse=_summary),
        settle=_settle,
    ),
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
