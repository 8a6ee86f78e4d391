"""What printed numbers are called, and what the columns made of them stand for; each guess is said in a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lmdiag.metrics import TIME_UNITS, unit_scale
from lmdiag.naming import SPLIT_WORDS, SPLITS, is_other_term, is_step_name, spelling, words_of
from lmdiag.patterns import lazy
from lmdiag.readers.text.spellings import plain_english
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table

_CUT = lazy(r"[,;|\t\[\](){}»•→←<>%]|\s-+\s|\s{3,}|:\s|:$|\.\s(?=[A-Z][a-z]+ )|\s[-—]\s")
_TRAILING = " \t:=≈~[('\"<>-|*`→,"
_KEY = lazy(r"[^\W\d][\w./%@()^+\-]*(?: [\w./%@()^+\-]+){0,3}$")
_SECTION = lazy(
    r"\W*(?:on |the |in |eval )*(train|training|val|valid|validation|eval|evaluation|test|dev)"
    r"(?:[ _](?:set|results?|metrics|stats|data|phase|split|step|epoch|run))?\W*$",
    re.IGNORECASE,
)
_SPLIT_ALONE = lazy(r"(?:train|training|val|valid|validation|eval|dev|test|vl|held-?out|held_out)$", re.IGNORECASE)
_PAST_OR_GOAL = lazy(
    r"\b(?:best|min|minimum|lowest|max|target|previous|prev|initial|early|patience|delta|improving)\b", re.IGNORECASE
)
_SECTIONS = {"evaluation": "val", "training": "", **SPLITS}
_ON_A_SET = lazy(
    r"^(.*?)[ _](?:on|over|for)(?: the)? (train|training|val|valid|validation|eval|dev|test|held-?out)(?: (?:set|data|dataset|split))?$",
    re.IGNORECASE,
)
_FILLER = lazy(r"\b(?:is|was|of|at|after|for|the|on|in|now|value|set|reached|improved to)$", re.IGNORECASE)
_EPOCH_WORDS = lazy(
    r"^(?:(?:train|training|end of|current|cur|in|finished|completed|val|valid|validation|eval|test|dev)[ _])*(?:epoch|ep)(?: train(?:ing)?)?$",
    re.IGNORECASE,
)
_COUNTED, _EVALUATED = "step|iter|iteration|batch", "|".join(SPLIT_WORDS)
_EVALUATED_STEP = lazy(rf"^(?:(?:{_EVALUATED})[ _](?:{_COUNTED})|(?:{_COUNTED})[ _](?:{_EVALUATED}))$", re.IGNORECASE)
_NOTHING = lazy(r"\b(?:None|N/A|n/a)\b")  # what stands in place of a number
_EACH = ("per", "each", "every")
_COUNTS_AND_ALSO = (
    "_step",
    "total_timesteps",
    "num_timesteps",
)  # calls of a logger, and the length of a run in its header


@dataclass(frozen=True)
class Heading:
    """What the text before a number says of it: `kind` is step, epoch, total, bare, metric or none."""

    kind: str
    key: str = ""
    section: str | None = None  # the split this and the following numbers belong to; None: unchanged
    strong: bool = False  # followed by `:` or `=`
    known: bool = False
    whole: str = ""  # the name with the words in front that say nothing known: `CTC loss`


@lru_cache(maxsize=8192)
def canonical(key: str) -> tuple[str, float] | None:
    """Translate a printed name to (canonical metric, scale); None for a name that stands for nothing known.

    >>> canonical("avg_train_loss"), canonical("Val. Loss"), canonical("queue length")
    (('loss', 1.0), ('val/loss', 1.0), None)
    """
    if is_split(key):  # train 2.1 | val 2.3
        key = f"{key} loss"
    found = spelling(key)
    return (found.name, found.scale) if found.known else None


def metric_of(key: str) -> str:
    """Return the canonical metric of a printed name, "" where it stands for nothing known."""
    return (canonical(key) or ("",))[0]


def _section_of(text: str) -> str | None:
    """Return the split that a segment such as `Test set:` announces for the numbers behind it."""
    found = [match[1].lower() for match in map(_SECTION.match, _CUT.split(text)) if match]
    return _SECTIONS.get(found[-1], "") if found else None


@lru_cache(maxsize=8192)
def heading(between: str) -> Heading:
    """Say what the number after this text stands for.

    >>> heading("Epoch: ").kind, heading(", train loss ").key, heading(" / ").kind
    ('epoch', 'train loss', 'total')
    """
    if between.strip() in ("/", "of", "out of"):
        return Heading("total")
    between = plain_english(_NOTHING.split(between)[-1] if "N" in between or "n/a" in between else between)
    tail = between.rstrip(" \t'\"[(")
    strong = tail.endswith((":", "=", "≈"))
    head = between.rstrip(_TRAILING)
    parts = _CUT.split(head)
    key = parts[-1].strip(" \t'\"`*#=~_-—│║/:")
    before = head[: len(head) - len(parts[-1])]
    if not key:
        return Heading("bare", section=_section_of(before))
    if _SPLIT_ALONE.match(key) and between.rstrip().endswith(("[", "(")):
        return Heading("bare", section=_section_of(key))
    return _name(key, _section_of(before), strong, column=before.rstrip().endswith(("|", ",", ";")))


def _name(key: str, section: str | None, strong: bool, column: bool = False) -> Heading:
    if _PAST_OR_GOAL.search(key):
        return Heading("metric" if strong and _KEY.match(key) else "none", key, section, strong)
    key = _ON_A_SET.sub(r"\2 \1", key)
    while True:
        shorter = _FILLER.sub("", key).rstrip(" :'\"")
        if shorter == key or not shorter:
            break
        key = shorter
    words = key.split()
    for count in range(min(len(words), 4), 0, -1):
        name = " ".join(words[-count:])
        if count > 1 and not (name[0].isalnum() or name[0] in "_|("):
            continue  # an arrow, a tick
        if words[-count - 1 : -count] and words[-count - 1].lower() in _EACH:
            continue  # time per epoch
        if _EPOCH_WORDS.match(name):
            return Heading("epoch", name, section or _evaluated(name), strong)
        if name.lower() not in _COUNTS_AND_ALSO and is_step_name(name):
            return Heading("step", name, section, strong)
        if count < 3 and _EVALUATED_STEP.search(name):
            return Heading("none", name, _evaluated(name))
        if canonical(name) and (count == len(words) or not _SPLIT_ALONE.match(name)):
            before = _section_of(" ".join(words[:-count]))
            whole = key if before is None and count < len(words) and _KEY.match(key) else ""
            return Heading("metric", name, section or before, strong, known=True, whole=whole)
    if (strong or (column and len(words) == 1 and len(key) > 1)) and _KEY.match(key) and len(key) <= 40:
        return Heading("metric", key, section, strong)
    return Heading("none", key, section or _section_of(key))


def _evaluated(name: str) -> str | None:
    """Return the evaluation set that a counter is named after, as in `VALID Epoch`."""
    return next((SPLIT_WORDS[word] for word in words_of(name) if word in SPLIT_WORDS), None)


def counts_evaluated(key: str) -> bool:
    """Tell whether a name counts the batches of an evaluation, as `VALID Batch` does."""
    return _EVALUATED_STEP.search(key) is not None


def is_split(key: str) -> bool:
    """Tell whether a name is that of a data set alone, as in `train 2.1 | val 2.3`."""
    return _SPLIT_ALONE.match(key) is not None


@lru_cache(maxsize=8192)
def of_training(key: str) -> bool:
    """Tell whether a name says that it was measured on the training data."""
    return "train" in words_of(key)


SHORT_FOR_LOSS = frozenset({"l", "tl", "obj", "objective", "mlm", "clm", "tlm"})
_LANGUAGE = lazy(r"(?:mlm|clm|tlm)-\w+$", re.IGNORECASE)  # MLM-en, as XLM prints it
FEWEST = 3
UNIX_TIMES = 1e8


def guess_step(table: Table) -> None:
    """Take a count that grows with every record for the step where nothing else says where a record stands."""
    if any(name in table.columns for name in (STEP, EPOCH, POSITION)) or len(table.lines) < FEWEST:
        return
    for name, (rows, values) in table.columns.items():
        numbers = np.asarray(values, float)
        if len(rows) == len(table.lines) and canonical(name) is None and "/" not in name and _counts(numbers):
            table.columns[STEP] = table.columns.pop(name)
            table.notes.append(f'"{name}" grows with every record and was taken for the step')
            return


def is_called_a_loss(name: str) -> bool:
    """Tell whether a name that stands for nothing known is that of a loss of something in training: `Mask_Loss`."""
    words = words_of(name)
    return words[-1:] == ("loss",) and SPLIT_WORDS.keys().isdisjoint(words) and canonical(name) is None


def _counts(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) > 0).all() and (numbers == np.floor(numbers)).all() and numbers[0] >= 0)


def guess_loss(table: Table) -> None:
    """Take a column such as `L`, or the only one called a loss of something, for the loss; drop the records if it cannot be one."""
    metrics = {(canonical(name) or ("", 1.0))[0] for name in table.columns}
    called = [name for name in table.columns if is_called_a_loss(name)]
    single = called if len(called) == 1 and not is_other_term(called[0]) else []
    short = [name for name in table.columns if name.lower() in SHORT_FOR_LOSS or _LANGUAGE.match(name)] or single
    if not short or not metrics.isdisjoint({"loss", "train/loss", "ppl", "bpb", "bpc"}):
        return
    rows, values = table.columns[short[0]]
    if len(rows) >= FEWEST and any(value != int(value) for value in values if np.isfinite(value)):
        table.names[short[0]] = "loss"
        table.notes.append(f'no column is called a loss; "{short[0]}" was taken for it')
    elif not any(metric.rpartition("/")[2] in ("loss", "accuracy", "lr", "grad_norm") for metric in metrics):
        table.keep(np.zeros(len(table.lines), bool))


def _clock(named: str, values: Sequence[float], unit: str) -> str:
    """Return what a column called "time" holds: dates, the time since the start, the time of a step, or another one."""
    if len(values) < 3 and named != "time":
        return named
    finite = [value for value in values if value == value]
    if finite and min(finite) > UNIX_TIMES:
        return "time"
    if unit in ("ms", "us", "µs"):
        return "step_time_s"
    ascends = len(finite) > 2 and all(a <= b for a, b in zip(finite, finite[1:])) and finite[0] < finite[-1]
    return "elapsed_s" if ascends else "duration_s"


def name_columns(table: Table, units: Mapping[str, str]) -> None:
    """Say which metric a column is where its name alone does not, and which units the columns were printed with."""
    metrics = set(map(metric_of, table.columns))
    for name, (_, values) in table.columns.items():
        if name in (STEP, EPOCH):
            continue
        metric = table.names.get(name) or metric_of(name) or name
        if metric in ("time", "elapsed_s") and name not in table.names:
            metric = _clock(metric, values, units.get(name, ""))
        term = name.partition(" ")[2]
        if metric.endswith("/loss") and is_called_a_loss(term) and term in table.columns and "val/loss" in metrics:
            table.names[name] = f"val/{term}"  # a term of the loss that the training has, too, and no set
        elif metric.endswith("loss") and units.get(name) in TIME_UNITS:
            table.names.setdefault(name, name)  # time cost 81.23s
        elif metric not in (name, spelling(name).name):
            table.names.setdefault(name, metric)
        if name in units:
            table.units.setdefault(name, units[name])
        if name in table.names and unit_scale(metric, table.units.get(name, "")) == 1.0:
            table.scales.setdefault(name, (canonical(name) or ("", 1.0))[1])
