"""What one line with named numbers says: a record, a result, a headline or prose, and of which place in the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from lmdiag.languages import plain_english
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import canonical, is_called_a_loss, metric_of
from lmdiag.readers.tables.table import EPOCH, POSITION, RANK, STEP, TOTAL
from lmdiag.readers.text.named_number_line import BESIDE_A_RECORD, MEASURES, Line, evaluates_at, parse
from lmdiag.readers.text.plans import Record
from lmdiag.readers.text.record_lines import is_after_training, is_code, names_model, records_in
from lmdiag.readers.text.spellings import PLACE, TWO_COUNTS, rewritten

WORTH_A_LOOK = lazy(r"\d|nan|inf")
_SUMMARY = "train_runtime"  # what the Trainer prints at the end of a training
_ABOUT_A_CHECKPOINT = lazy(  # and not an evaluation of one: Checkpoint [6]  Validation-perplexity=9.5
    r"\b(?:sav(?:ed|ing)|checkpoint(?!\W{1,2}\d+\W+(?:val|test|dev))|best|improv\w+)\b", re.IGNORECASE
)
_BESIDE_ONE = lazy(r"(?<=\d)\s*[|,;(]\s*(?:best|min|lowest)\b[^|,;]*", re.IGNORECASE)  # ppl 9.5 | best 9.1
# eval loss [best] 3.2
_MARKED = lazy(rf"\b(?:loss|perplexity|ppl)\s?[\[(<][^\])>\d]*[\])>]\s?[:=]?\s?{NUM}\b", re.IGNORECASE)
# - Initial loss: train 3.2
_OF_OTHERS = lazy(
    r"\W*(?:initial|best|previous|baseline) (?:loss|losses|results?|perplexity)\s*:\s*[A-Za-z]", re.IGNORECASE
)
_END_OF_EPOCH = lazy(r"\b(?:complet\w*|finish\w*|done|ended|end of|results?|summary)\b", re.IGNORECASE)
_PLACE_ALONE = lazy(rf"\W*(?:(?:train(?:ing)?|global)?[ _]?{PLACE}\W*\d+(?:\s*(?:/|of)\s*\d+)?\W*)+", re.IGNORECASE)
_MEASURED_AT = lazy(
    r"^(?!.*\b(?:sav(?:ed|ing)|checkpoint|best|improv\w+|delta|target)\b).*(?:loss|perplexity|\bppl\b)", re.IGNORECASE
)
_ENDS_WITH_ONE = lazy(rf"[:=]\s*{NUM}\s*$")
_PLURAL = ("steps", "iterations", "iters", "batch", "batches", "updates")  # how many there will be, or how large one is
_GROWING = ("tokens", "samples")
_RANK_BEHIND = lazy(r"(?<![\w.-])rank (\d+)\s*$")  # WeNet
EPOCHS = " epochs"  # how many epochs a line says there are


def said(piece: str) -> tuple[dict[str, float], Line]:
    """Return the named numbers of one piece, with its place in the run, and what it says of them."""
    text, rank = payload(piece)
    line = parse(text)
    if others := len(line.values) if _OF_OTHERS.match(text) else 0:
        line = Line()
    if rank is None and "rank " in text and (behind := _RANK_BEHIND.search(text)):
        rank = int(behind[1])
        line.counts -= 1
    numbers = dict(line.values)
    for name, value in ((STEP, line.step), (POSITION, line.position), (EPOCH, line.epoch), (RANK, rank)):
        if value is not None:
            numbers[name] = float(value)
    for name, value in ((TOTAL, line.total), (EPOCHS, line.epochs)):
        if value:
            numbers[name] = float(value)
    plain = rewritten(text)
    line.kind = _kind(line, text)
    line.names = tuple(line.values)
    line.losses = _losses_among(line.names)
    line.of_checkpoint = not line.placed and bool(_ABOUT_A_CHECKPOINT.search(_BESIDE_ONE.sub("", plain)))
    line.ends_epoch = bool(_END_OF_EPOCH.search(plain))
    line.indented = piece[0].isspace()
    line.headline = len(text) < 200
    line.place = line.kind == "text" and bool(_PLACE_ALONE.fullmatch(plain[:200]))
    counts = TWO_COUNTS.match(text) if line.epoch is not None else None
    line.guessed = counts is not None and not counts[3]
    line.of_model = line.epoch is not None and names_model(text)
    measured = line.placed and line.headline and _MEASURED_AT.search(plain_english(plain))
    evaluated = line.placed and evaluates_at(plain)
    if line.kind == "text" and not measured and not evaluated and not _MARKED.search(plain):
        line.spare = others
    line.spare += 0 if line.kind == "text" else line.counts
    line.beside = line.step is not None and any(_is_beside(name) for name in line.names)
    line.alone = _is_alone(line, text)
    return numbers, line


def _is_beside(name: str) -> bool:
    return metric_of(name) in BESIDE_A_RECORD or name.startswith(("val ", "test "))


def _is_alone(line: Line, text: str) -> bool:
    """Whether a line is a text with one named number behind it, and nothing else."""
    plain = line.kind == "text" and not (line.placed or line.spare or line.counts or line.of_checkpoint or line.units)
    return plain and line.headline and len(line.names) == 1 and _ENDS_WITH_ONE.search(text) is not None


def _kind(line: Line, text: str) -> str:
    if not line.core:
        return "text"
    if line.measured and line.lists and not line.placed:
        return "list"
    if is_code(text) or _SUMMARY in text:
        return "none"
    if is_after_training(text):
        return "result"
    return "record" if is_record(line) else "loose"


def said_in(piece: str) -> list[Record]:
    """Return what each record of a piece says."""
    return [said(part) for part in records_in(piece)]


def is_record(line: Line) -> bool:
    """Tell whether named numbers are those of a training record: a place and a metric, or at least a loss."""
    if line.placed:
        counted = line.step is not None and (line.counter not in _PLURAL or any(map(is_called_a_loss, line.values)))
        return line.judged or (line.core and counted)
    if (
        line.measured
        and not line.of_batches
        and (line.split or any(metric_of(name) in _GROWING for name in line.values))
    ):
        return True  # DEV : loss 2.3, or tokens 1.5B | loss 2.3
    return line.strong and (line.measured or (line.judged and bool(line.split)))


def looks_like_record(piece: str) -> bool:
    """Tell whether a piece names a place and a loss, perplexity or bits."""
    found = said(piece)[1] if WORTH_A_LOOK.search(piece) else Line()
    return found.measured and found.kind in ("record", "result")


@lru_cache(maxsize=1024)
def _losses_among(names: tuple[str, ...]) -> Mapping[str, str]:
    found = {name: metric[0] for name in names if (metric := canonical(name))}
    return {name: metric for name, metric in found.items() if metric.rpartition("/")[2] in MEASURES}
