"""Numbers of a printed line and what each is called, whatever the punctuation: `loss: 2.3`, `loss=2.3`, `Loss 2.3 |`.

Each number is named by the text between it and the number before. That text repeats from line to line, so that what
it means is worked out once per spelling (`heading`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

from lmdiag.naming import is_other_term, words_of
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, SUFFIXES, number
from lmdiag.readers.tables.column_names import (
    ROUNDED,
    SHORT_FOR_LOSS,
    canonical,
    is_called_a_loss,
    is_split,
    of_training,
)
from lmdiag.readers.text.names import OF_A_TASK, Heading, counts_evaluated, heading
from lmdiag.readers.text.spellings import rewritten

_RATE = r"tok(?:ens)?/s(?:ec)?|samples/s(?:ec)?|words/s(?:ec)?|s(?:ec)?/(?:it(?:er)?|step|batch)|bpc|bpb|BPC|BPB"  # units that say what was measured
_UNIT = rf"{_RATE}|ms|sec|min|us|µs|GiB|GB|MiB|MB|KB|it/s|s/it|[smhxKkMBGT%]"
_VALUE = lazy(
    rf"(?<![\w.@#$^])({NUM})(?:({_UNIT})(?:(?<=[kKMB])\s({_RATE})(?=[\s,|;)]|$))?|\s(ms|s|GiB|GB|MiB|MB|{_RATE}|it/s)(?=[\s,|;)]|$))?(?![\w])(?!\.\w)"
)
_NAMES_THE_NEXT = lazy(  # `loss 2.5 ms 100`; in `2.5 bits 92 ms` the number behind has a unit of its own
    rf"\s+(?:[=:]\s*)?{NUM}(?=[\s,|;)]|$)(?!\s(?:ms|s|GiB|GB|MiB|MB|{_RATE}|it/s)(?:[\s,|;)]|$)(?!\s*[\d.]))"
)
_WORD_BEFORE = lazy(  # micro 4, but no May 13
    r"[A-Za-z](?<!\bJan)(?<!\bFeb)(?<!\bMar)(?<!\bApr)(?<!\bMay)(?<!\bJu[nl])(?<!\bAug)(?<!\bSep)(?<!\bOct)(?<!\bNov)(?<!\bDec) $"
)
_GLUED = lazy(r"[A-Za-z]-$")
_IS_RATE = lazy(rf"(?:{_RATE})$")
_IN_MS = lazy(r"\d\s?ms(?!\w|/(?!step|it|batch|update))")  # a time, and no 0.9 ms/tok
_NAMED_BEHIND = lazy(  # 12ms fwd; in `12 ms lr 0.1` the word is of the next number
    r"(?!\s*(?:/|per )\s*(?:step|it|iter|iteration|batch|update)\b)(?:[^,;|()\[\]\d]*[A-Za-z][^,;|()\[\]\d]*(?:[,;|()\[\]]|$)|\s*/|\s+per\b)"
)
_EVALUATION_AT = lazy(
    r"\W*(?:completed )?(?:eval(?:uat(?:e|ion))?|valid(?:at(?:e|ion))?|val|(?P<test>test))(?: metrics)?(?: set| at| @| after(?: train)?)?"
    r"(?:\s+(?:step|iter):?\s+(?P<step>\d+)(?!\s*/)\b|\s+(?P<n>\d+)(?:\s*[:|]|(?=\s+[a-z]\w*\s*[:=]?\s*[-.\d])))",
    re.IGNORECASE,
)
_ENDS_A_PAIR = lazy(rf"\s*(?:$|[,;|)\]])|\s+[A-Za-z_][\w./]*\s*[:=]?\s*{NUM}(?:[\s,;|]|$)")
_LIST = lazy(rf"(?:loss(?:es)?|ppl|perplexity)['\"]?\s*[:=]?\s*\[\s*{NUM}(?:\s*,\s*|\s+){NUM}", re.IGNORECASE)
_OF_ALL = lazy(r"global|total_train|^gstep$", re.IGNORECASE)  # beside a counter that starts again
_SAMPLES = lazy(r"\s*(?:examples|samples|sequences|sentences)\b")
_OF_THE_SAME_SET = ("accuracy", "ppl", "bpb", "bpc", "f1")
MEASURES = frozenset({"loss", "ppl", "bpb", "bpc"})
CORE = MEASURES | {"accuracy", "lr", "grad_norm", "reward"}
BESIDE_A_RECORD = frozenset(
    """
    step_time_s data_time_s mem_bytes mem_reserved_bytes tokens_per_sec tokens_per_sec_per_device tflops_per_device mfu
    loss_scale tokens samples
    """.split()
)
_COUNTED_IN_UNITS = {"tokens", "tokens_per_sec", "tokens_per_sec_per_device", "samples", "n_tokens"}


def _number(default: float | None = None) -> Any:
    """Return a field for a number, in which lines of the same text differ."""
    return field(default=default, compare=False)


@dataclass
class Line:
    """The named numbers of one piece, and what its text says of them: lines of the same text are equal.

    `position` is a place within the epoch, as in `Epoch 1 [640/60000]`.
    """

    step: float | None = _number()
    total: float = _number(0)
    inner: float = _number(0)  # a second counter
    epoch: float | None = _number()
    epochs: float = _number(0)
    position: float | None = _number()
    values: dict[str, float] = field(default_factory=dict, compare=False)
    units: dict[str, str] = field(default_factory=dict)
    core: bool = False  # holds a metric one knows a training run by
    measured: bool = False  # holds a loss, perplexity or bits
    judged: bool = False  # holds one of these or an accuracy
    strong: bool = False
    unnamed: bool = False  # the step is a number that nothing names
    counted: bool = False  # the step is the number of an evaluation: a step, an epoch, a count or a set
    spare: int = 0  # numbers that no known name stands before, or that come twice
    counts: int = 0  # whole numbers behind unknown words
    lists: bool = False  # gives several losses in a list
    of_batches: bool = False  # counts the batches of an evaluation
    counter: str = ""  # what the step was called
    samples: bool = False  # the step counts samples
    of_epoch: bool = False  # the total is that of an epoch, which was named before
    wholes: dict[str, tuple[str, bool]] = field(default_factory=dict)  # longer name -> its known ending, is strong
    training: dict[str, str] = field(default_factory=dict)  # numbers of training in a section of this evaluation set
    split: str = ""  # the evaluation set of the last metric that named one
    shortened: dict[str, str] = field(default_factory=dict)  # name -> the longer one it stands for
    # Found by `said`, in the text as a whole:
    kind: str = ""  # record, text (no metric), none (source, a summary), result (after the training) or loose
    names: tuple[str, ...] = ()
    losses: Mapping[str, str] = field(default_factory=dict)  # name: canonical metric
    of_checkpoint: bool = False
    ends_epoch: bool = False
    indented: bool = False
    headline: bool = False
    place: bool = False  # nothing but a place in the run
    of_model: bool = False
    guessed: bool = False  # two counts in brackets, of which nothing says that they are an epoch and a step
    alone: bool = False  # one named number that is no core metric, and no place
    beside: bool = False  # tells the speed, the memory or the loss scale of a step, and no core metric

    @property
    def placed(self) -> bool:
        """Whether the piece itself says where in the run it stands."""
        return self.step is not None or self.epoch is not None or self.position is not None

    @property
    def whole_epoch(self) -> bool:
        """Whether the piece names an epoch and no place in it."""
        return self.epoch is not None and self.step is None and self.position is None

    def rename(self, names: Mapping[str, str]) -> None:
        """Give some of the numbers other names."""
        self.values = {names.get(key, key): value for key, value in self.values.items()}
        self.units = {names.get(key, key): unit for key, unit in self.units.items()}

    def judge(self, metric: str, strong: bool) -> None:
        """Note that a value of this canonical metric was read."""
        measure = metric.rpartition("/")[2]
        self.core = self.core or measure in CORE
        self.core = self.core or (measure == "f1" and "/" in metric)  # [EVAL] F1: 0.36
        if measure in MEASURES or measure == "accuracy" or (measure == "f1" and "/" in metric):
            self.judged = True
            self.measured = self.measured or measure in MEASURES
            self.strong = self.strong or strong


def evaluates_at(piece: str) -> bool:
    """Tell whether a piece begins with an evaluation and its place, as `eval step 3 …` does."""
    return _EVALUATION_AT.match(piece) is not None


def parse(piece: str) -> Line:
    """Read the named numbers of one piece.

    >>> line = parse("Epoch [1/10], Step [100/938], Loss: 2.3026, Accuracy: 93.2%")
    >>> line.epoch, line.step, line.total, line.values, line.units
    (1.0, 100.0, 938.0, {'Loss': 2.3026, 'Accuracy': 93.2}, {'Accuracy': '%'})
    """
    line, section, last, end = Line(), "", "", 0
    piece = rewritten(piece)
    line.lists = "[" in piece and _LIST.search(piece) is not None
    if evaluation := _EVALUATION_AT.match(piece):
        line.step, end = float(evaluation["step"] or evaluation["n"]), evaluation.end()
        line.counted = not evaluation["step"]
        section = "test" if evaluation["test"] else "val"
    for match in _VALUE.finditer(piece, end):
        between = piece[end : match.start()]
        end = match.end()
        head = heading(between)
        if head.kind == "none" and match[1].isdigit() and _GLUED.search(between):
            end -= len(match[0]) + len(between)  # of a name: wikitext-103
            continue
        if head.section is not None:
            section = head.section
        elif head.bracketed and section in ("val", "test") and not line.values:
            section = f"{section} {head.bracketed}"  # eval (step 900) [c4] loss
        word = match[1]
        if word[-1:].isalpha() and not (head.strong or head.known):
            alone = _stands_alone(between, piece[end:])
            if not (alone and head.kind == "metric"):
                line.spare += head.kind == "bare" or (alone and head.kind == "none")
                end -= 0 if alone or head.kind == "bare" else len(match[0]) + len(between)
                continue  # "nan" as a word of prose, or of a name: number of nan iterations
        line.of_batches = line.of_batches or (head.kind == "none" and counts_evaluated(head.key))
        if head.kind == "metric" and word[-1].isdigit() and "." not in word and is_split(head.key):
            continue  # sizes of data sets
        if head.kind == "total" and last == "step":
            line.samples = _SAMPLES.match(piece, end) is not None
        if evaluation and head.kind == "bare" and not line.values and "." in word:
            head = Heading("metric", "loss", strong=True)  # val @ 500: 2.5
        value, unit = number(word), match[2] or match[4] or ""
        if match[4] and _has_no_such_unit(head) and _NAMES_THE_NEXT.match(piece, end):
            unit, end = "", match.end(1)
        if match[3]:  # 37.2k tok/s
            value, unit = value * SUFFIXES[unit], match[3]
        if line.step is not None and _is_time_of_step(head, unit, piece, end):
            head = Heading("metric", "step time")
        elif unit == "s" and head.kind == "none" and head.key == "took":
            head = Heading("metric", "time")
        last = _place(line, head, value, unit, section, last, between, word)
        if not last and ("." in word or unit == "ms") and head.kind in ("bare", "metric", "none"):
            line.spare += unit != "%" or not between.endswith(("(", "["))  # and no (29.5%) of the run
        elif not last and head.kind == "none" and _WORD_BEFORE.search(between):
            line.counts += 1
    if line.wholes:
        _name_wholes(line)
    if line.training:
        _place_training(line)
    return line


def _stands_alone(before: str, behind: str) -> bool:
    """Tell whether "nan" stands like the number of a word: `loss 2.1 temp nan lr 1e-4`."""
    return len(before.lstrip(" \t,;|)]").split()) == 1 and _ENDS_A_PAIR.match(behind) is not None


def _is_time_of_step(head: Heading, unit: str, piece: str, end: int) -> bool:
    """Whether a number in ms is called a step, or has no name on either side and is the only such time of its piece."""
    if unit != "ms" or head.kind != "bare":
        return unit == "ms" and head.kind == "step"
    return len(_IN_MS.findall(piece)) == 1 and not _NAMED_BEHIND.match(piece, end)


def _has_no_such_unit(head: Heading) -> bool:
    """Whether a number is a place, a loss or the like, which is of no time, size or rate."""
    found = canonical(head.key) if head.kind == "metric" else None
    return head.kind in ("step", "epoch") or (found is not None and found[0].rpartition("/")[2] in CORE)


def _place(line: Line, head: Heading, value: float, unit: str, section: str, last: str, between: str, word: str) -> str:
    """Put one number where its heading says; return what the next number may refer to."""
    nameless = head.kind in ("total", "bare", "none") or (head.kind == "step" and line.step is not None)
    if nameless and _IS_RATE.match(unit):
        return _metric(line, Heading("metric", unit.replace("samples/s", "samples per s")), value, "", section)
    if head.kind == "total":
        if last in ("step", "position"):
            line.of_epoch = line.of_epoch or (not line.total and line.epoch is not None)
            line.total = line.total or value
        elif last == "inner step":  # iteration:3 step:20/900
            line.epoch, line.step, line.total, line.counter = line.step, line.inner, value, "step"
            line.of_epoch = True
        elif last == "epoch":
            line.epochs = value
        elif unit and last in line.values and last not in line.units:
            line.units[last] = unit  # 5.2/23.7 GiB
        elif last.endswith(("ccuracy", "acc", "Acc")) and last in line.values and value and not value % 1:
            line.values[last] /= value
        elif "." in word:
            line.spare += 1
        return ""
    if head.kind == "bare":
        return _bare(line, value, unit, last, between)
    if head.kind == "step":
        if line.step is None or (line.unnamed and not line.total) or _OF_ALL.search(head.key):
            line.step, line.counter, line.unnamed = value * SUFFIXES.get(unit, 1.0), head.key.lower(), False
            return "step"
        line.inner = value
        return "inner step" if line.epoch is None and not line.total and line.counter.startswith("iter") else ""
    if head.kind == "epoch":
        if line.epoch is None:
            line.epoch = value
            return "epoch"
        return ""
    if head.kind == "metric":
        return _metric(line, head, value, unit, section)
    return ""


def _bare(line: Line, value: float, unit: str, last: str, between: str) -> str:
    if unit or line.position is not None or value % 1:
        return ""
    beside_epoch = line.step is None or (
        line.unnamed and last == "epoch"
    )  # what stood in front was the number of the line
    if last in ("epoch", "") and line.epoch is not None and not line.values and beside_epoch and between.strip():
        line.position, line.step = value, None
        return "position"
    if not line.placed and not line.values and (not between.strip() or between.rstrip().endswith(("[", "("))):
        line.step, line.unnamed = value, True
        return "step"
    return ""


def _measured(key: str, unit: str) -> tuple[str, tuple[str, float] | None, str]:
    """Return what a number is called, the metric that names, and its unit, each in the light of the other."""
    found = canonical(key)
    if (found is None or found[0] in ("time", "elapsed_s")) and _IS_RATE.match(unit):
        key, found, unit = unit, canonical(unit), ""  # speed: 1200 tokens/s
    if found and found[0].endswith("loss") and unit.lower() in ("bpc", "bpb"):
        unit = "bits"
    return key, found, unit


def _metric(line: Line, head: Heading, value: float, unit: str, section: str) -> str:
    key, found, unit = _measured(head.key, unit)
    if unit == "%" and found and found[0].rpartition("/")[2] in MEASURES:
        return ""  # Training: 100%|███
    training = ""
    if of_training(key):
        training, section = section, ""
    elif (
        not section
        and line.split
        and found
        and (_begins_with_its_set(line, found[0]) or _is_logarithm(line, found[0], value))
    ):
        section = _of_split(line.split)  # dev acc: 71.3% loss: 0.86
    elif not section and line.split and found and found[0] in _OF_THE_SAME_SET:
        another = _has(line, f"{line.split}/{found[0]}")
        section = "" if another and not head.whole else _of_split(line.split)  # val Loss: 3.1 Acc: 0.4
    whole = head.whole
    if section and (found is None or "/" not in found[0]) and found != ("lr", 1.0):
        key, whole = f"{section} {key}", whole and f"{section} {whole}"
        found = (f"{section}/{found[0]}", found[1]) if found else canonical(key) if is_called_a_loss(head.key) else None
    if whole and whole not in line.values:
        line.wholes[whole] = key, head.strong
        key = whole
    elif key in line.values:
        if not line.split or f"{line.split} {key}" in line.values:
            return ""
        key = f"{line.split} {key}"  # Train Loss 1.2 Acc 0.3 | Val Loss 1.4 Acc 0.2
        found = canonical(key)
    if unit in ("K", "k", "M", "B", "G", "T") and (found is None or found[0] in _COUNTED_IN_UNITS):
        value *= SUFFIXES[unit]
        unit = ""
    line.values[key] = value
    if training:
        line.training[key] = training
    if unit:
        line.units[key] = unit
    if found is None and (key.lower() in SHORT_FOR_LOSS or is_called_a_loss(key)):
        line.core = True
    if found is None and section and head.strong and not OF_A_TASK.isdisjoint(words_of(key)):
        line.core = line.judged = line.strong = True  # [valid] step 500 : bleu : 26.5
        line.split = line.split or section
    if found:
        line.split = found[0].rpartition("/")[0] or line.split
        if key not in line.wholes:
            line.judge(found[0], head.strong)
    return key


def _of_split(split: str) -> str:
    """Return the words that name an evaluation set before a measure."""
    return split if is_split(split) else f"val {split}"


def _begins_with_its_set(line: Line, metric: str) -> bool:
    """Whether a loss stands behind nothing but other numbers of a set, in a line that is of no step."""
    alone = metric == "loss" and not line.placed and not line.wholes and not line.training
    return alone and all((found := canonical(key)) and found[0].startswith(f"{line.split}/") for key in line.values)


def _is_logarithm(line: Line, metric: str, value: float) -> bool:
    """Whether a loss is that of the perplexity of a set that stands before it: 250 eval ppl 24.9589 loss 3.217229."""
    ppl = next(
        (line.values[key] for key in line.values if (found := canonical(key)) and found[0] == f"{line.split}/ppl"), 0.0
    )
    return metric == "loss" and ppl > 0 and abs(log(ppl) - value) <= ROUNDED


def _has(line: Line, metric: str) -> bool:
    """Whether the line gives this metric already."""
    return any(found[0] == metric for key in line.values if (found := canonical(key)))


def _place_training(line: Line) -> None:
    """Leave `[eval] train 2.1 | val 2.2` as it is; `[Validation Set] Train Loss = 2.2` is of the evaluation."""
    names = {}
    for key, section in line.training.items():
        found = canonical(key)
        if found and not _has(line, f"{section}/{found[0]}"):
            names[key] = f"{section} {key}"
    line.rename(names)


def _name_wholes(line: Line) -> None:
    """Call `CTC loss` a loss where the line has no other; where it has one, or it is a term beside it, leave its name.

    Times are parts of one where several end alike: `Data dt` and `Forward dt`.
    """
    metrics = {metric[0] for key in line.values if (metric := canonical(key))}
    names = {}
    ends = [key for key, _ in line.wholes.values()]
    for whole, (key, strong) in line.wholes.items():
        found = canonical(key)
        part = found is not None and found[0] == "step_time_s" and ends.count(key) > 1
        if found and found[0] not in metrics and key not in line.values and not part and not is_other_term(whole):
            metrics.add(found[0])
            names[whole] = key
            line.shortened[key] = whole
            line.judge(found[0], strong)
        elif found and found[0].rpartition("/")[2] in CORE:
            line.core = line.judged = True
    line.rename(names)
