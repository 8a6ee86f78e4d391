"""What the columns of a table stand for, where their names alone do not tell; each guess is said in a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from lmdiag.metrics import TIME_UNITS, unit_scale
from lmdiag.naming import SPLIT_WORDS, SPLITS, is_other_term, is_step_name, spelling, words_of
from lmdiag.patterns import lazy
from lmdiag.readers.tables.table import EPOCH, POSITION, STEP, Table

_SPLIT_ALONE = lazy(
    r"(?:train|training|trn?|val|valid|validation|eval|dev|test|va|vl|held-?out|held_out)$", re.IGNORECASE
)
_EPOCH_WORDS = lazy(
    r"^(?:(?:train|training|end of|current|cur|in|finished|completed|val|valid|validation|eval|test|dev)\.?[ _-])*(?:epoch|ep)(?: train(?:ing)?)?$",
    re.IGNORECASE,
)
_OF_LOGGERS = ("_step", "total_timesteps", "num_timesteps")  # calls of one, and the length of a run in its header
SHORT_FOR_LOSS = frozenset({"l", "tl", "obj", "objective", "mlm", "clm", "tlm"})
_LANGUAGE = lazy(r"(?:mlm|clm|tlm)-\w+$", re.IGNORECASE)  # MLM-en, as XLM prints it
_COUNTED = {"words": "tokens", "sentences": "samples", "examples": "samples"}  # what a count that grows counts
_NO_NAME_OF_A_SET = frozenset(
    """
    set sets result results metric metrics stat stats summary data dataset phase split run done finished finish complete
    completed all mean avg average total time took after at on for the in is only best final start started starting begin end
    ended model score scores report loop pass stage round size samples examples info debug warning error output log
    perf performance cur current now new old ok nats bits smooth smoothed macro micro weighted top1 top5 sum per
    count counts median std stddev var training held-out evaluating validating validate
    """.split()
)
FEWEST = 3
ROUNDED, MOSTLY = 0.01, 0.9  # two decimals of a loss, in all records but those that a spike or a cut line spoils
UNIX_TIMES = 1e8


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


def counts_steps(name: str) -> bool:
    """Tell whether a printed name counts steps."""
    return name.lower() not in _OF_LOGGERS and is_step_name(name)


def counts_epochs(name: str) -> bool:
    """Tell whether a printed name counts epochs, as `Finished epoch` does."""
    return _EPOCH_WORDS.match(name) is not None


def is_split(key: str) -> bool:
    """Tell whether a name is that of a data set alone, as in `train 2.1 | val 2.3`."""
    return _SPLIT_ALONE.match(key) is not None


@lru_cache(maxsize=8192)
def of_training(key: str) -> bool:
    """Tell whether a name says that it was measured on the training data."""
    return "train" in words_of(key)


def guess_step(table: Table) -> None:
    """Take a count that grows with every loss for the step where nothing else says where a record stands."""
    losses = [rows for name, (rows, _) in table.columns.items() if metric_of(name) == "loss"]
    judged = max(losses, key=len, default=range(len(table.lines)))
    if any(name in table.columns for name in (STEP, EPOCH, POSITION)) or len(judged) < FEWEST:
        return
    for name, (rows, values) in table.columns.items():
        numbers = np.asarray(values, float)
        if np.array_equal(rows, judged) and canonical(name) is None and "/" not in name and _counts(numbers):
            table.columns[STEP] = table.columns.pop(name)
            if name.lower() in _COUNTED:
                table.config["step_kind"] = _COUNTED[name.lower()]
            table.notes.append(f'"{name}" grows with every record and was taken for the step')
            return


def is_called_a_loss(name: str) -> bool:
    """Tell whether a name that stands for nothing known is that of a loss of something in training: `Mask_Loss`, `loss_L`, `mel_loss_before`."""
    words = words_of(name)
    if len(words) > 2 and words[-1] in ("before", "after"):  # the layers that refine an output
        words = words[:-1]
    called = words[-1:] == ("loss",) or (len(words) == 2 and words[0] == "loss" and len(words[1]) == 1)
    return called and SPLIT_WORDS.keys().isdisjoint(words) and canonical(name) is None


def may_name_a_set(word: str) -> bool:
    """Tell whether a word beside one for evaluations can be the name of a set."""
    plain = word.lower()
    known = plain in _NO_NAME_OF_A_SET or plain in SPLITS or plain in SPLIT_WORDS or is_split(word)
    counts = counts_steps(word) or counts_epochs(word)
    return not (known or counts or canonical(word) is not None or is_called_a_loss(word))


def _counts(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) > 0).all() and (numbers == np.floor(numbers)).all() and numbers[0] >= 0)


def guess_loss(table: Table, short_for: Mapping[str, tuple[str, bool]]) -> None:
    """Take a column such as `L`, or the only one called a loss of something, for the loss; drop the records if it cannot be one.

    Of several losses of something without a total one that stops being finite is as good as the total, which was not finite then either.
    `short_for` says for the names of losses what each stood for at first, and whether in a record with a place.
    """
    _take_by_perplexity(table, short_for)
    metrics = {(canonical(name) or ("", 1.0))[0] for name in table.columns}
    called = [name for name in table.columns if is_called_a_loss(name)]
    single = called if len(called) == 1 and not is_other_term(called[0]) else []
    broken = [name for name in called if len(called) > 1 and _stops_being_finite(table.columns[name][1])]
    short = (
        [name for name in table.columns if name.lower() in SHORT_FOR_LOSS or _LANGUAGE.match(name)] or single or broken
    )
    if not short or not metrics.isdisjoint({"loss", "train/loss", "ppl", "bpb", "bpc"}):
        return
    rows, values = table.columns[short[0]]
    finite = [value for value in values if np.isfinite(value)]
    if len(rows) >= FEWEST and (not finite or any(value != int(value) for value in finite)):
        table.names[short[0]] = "loss"
        table.notes.append(f'no column is called a loss; "{short[0]}" was taken for it')
    elif not any(metric.rpartition("/")[2] in ("loss", "accuracy", "lr", "grad_norm") for metric in metrics):
        table.keep(np.zeros(len(table.lines), bool))


def _stops_being_finite(values: Sequence[float]) -> bool:
    finite = np.flatnonzero(np.isfinite(values))
    return len(finite) > 0 and int(finite[-1]) < len(values) - 2


def _take_by_perplexity(table: Table, short_for: Mapping[str, tuple[str, bool]]) -> None:
    """Take the loss that the perplexity is of for the loss, where another, such as `style loss`, is short for it."""
    ppl = next((name for name in table.columns if metric_of(name) == "ppl"), "")
    short = next((name for name, (whole, _) in short_for.items() if metric_of(name) == "loss" and whole != name), "")
    if not ppl or short not in table.columns:
        return
    whole, _ = short_for[short]
    fitting = (
        name
        for name in (short, *filter(is_called_a_loss, table.columns))
        if _is_perplexity(table.cells(ppl), table.cells(name))
    )
    if (name := next(fitting, short)) != short and whole not in table.columns:
        table.columns[whole] = table.columns.pop(short)
        table.names[name], table.names[whole] = "loss", whole
        table.notes.append(f'"{name}" was taken for the loss: "{ppl}" is its exponential')


def _is_perplexity(ppl: np.ndarray, loss: np.ndarray) -> bool:
    both = np.isfinite(ppl) & np.isfinite(loss) & (ppl > 0)
    near = np.abs(np.log(ppl[both]) - loss[both]) <= ROUNDED
    return int(both.sum()) >= FEWEST and bool(np.mean(near) > MOSTLY)


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
        timed = metric_of(f"{name} {units[name]}") if units.get(name) in TIME_UNITS else ""  # data: 0.1s
        metric = table.names.get(name) or metric_of(name) or timed or name
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
