"""Numbers of a printed line and what each is called, whatever the punctuation: `loss: 2.3`, `loss=2.3`, `Loss 2.3 |`.

Each number is named by the text between it and the number before. That text repeats from line to line, so that what
it means is worked out once per spelling (`heading`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from lmdiag.metrics import LN2, SPLITS, is_step_name, spelling
from lmdiag.readers.text.lexing import NUM, SUFFIXES, number

_UNIT = r"ms|sec|min|us|µs|GiB|GB|MiB|MB|KB|it/s|s/it|tok/s|[smhxKkMBGT%]"
_VALUE = re.compile(
    rf"(?<![\w.@#$^])({NUM})(?:({_UNIT})|\s(ms|s|GiB|GB|MiB|MB|tok/s|it/s)(?=[\s,|;)]|$))?(?![\w])(?!\.\w)"
)
_CLOCK = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?|\b\d+:\d\d(?::\d\d)?(?:[.,]\d+)?\b")
_CUT = re.compile(r"[,;|\t\[\](){}»•→←<>%]|\s-+\s|\s{3,}|:\s|:$|\.\s(?=[A-Z][a-z]+ )|\s[-—]\s")
_TRAILING = " \t:=≈~[('\"<>-|*`→,"
_KEY = re.compile(r"[^\W\d][\w./%@()^+\-]*(?: [\w./%@()^+\-]+){0,3}$")
_SECTION = re.compile(
    r"\W*(?:on |the |in )*(train|training|val|valid|validation|eval|evaluation|test|dev)"
    r"(?:[ _](?:set|results?|metrics|stats|data|phase|split|step|epoch|run))?\W*$",
    re.IGNORECASE,
)
_SPLIT_ALONE = re.compile(r"(?:train|training|val|valid|validation|eval|dev|test)$", re.IGNORECASE)
_PAST_OR_GOAL = re.compile(
    r"\b(?:best|min|minimum|lowest|max|target|previous|prev|initial|early|patience|delta)\b", re.IGNORECASE
)
_SECTIONS = {"evaluation": "val", "training": "", **SPLITS}
_FILLER = re.compile(r"\b(?:is|was|of|at|after|for|the|on|in|now|value|set|reached|improved to)$", re.IGNORECASE)
_STEP_WORDS = re.compile(
    r"^(?:(?:train|training|trainer|global|current|cur|optimizer|optimiser|opt|total|local)[ _/])*"
    r"(?:steps?|iter|iters|iterations?|it|updates?|up\.?|batch|batches|num_updates|minibatch|mini-batch)$",
    re.IGNORECASE,
)
_EPOCH_WORDS = re.compile(
    r"^(?:(?:train|training|end of|current|cur|in|finished|completed|val|eval)[ _])*(?:epoch|ep)$", re.IGNORECASE
)
_AVERAGED = {"avg", "average", "averaged", "mean", "ave", "running", "cur", "current", "epoch", "batch", "smoothed", "smooth",
             "so", "far", "final", "lm", "ce", "nll", "interval", "window", "step", "total", "overall", "set", "log",
             "model", "iter", "last"}  # fmt: skip
_TRAIN_WORDS = {"train", "training", "tr", "trn"}
_MEASURES = {"loss": "loss", "losses": "loss", "ppl": "ppl", "perplexity": "ppl", "perp": "ppl", "acc": "accuracy",
             "accuracy": "accuracy", "bpb": "bpb", "bpc": "bpc", "cross-entropy": "loss", "crossentropy": "loss", "cost": "loss", "xent": "loss", "bpt": "bpt"}  # fmt: skip
_SPLIT_WORDS = {"val": "val", "valid": "val", "validation": "val", "eval": "val", "evaluation": "val", "dev": "val",
                "test": "test", "testing": "test", "heldout": "val", "vl": "val"}  # fmt: skip
_OF_THE_SAME_SET = ("accuracy", "ppl", "bpb", "bpc", "f1")
MEASURES = frozenset({"loss", "ppl", "bpb", "bpc"})
CORE = MEASURES | {"accuracy", "lr", "grad_norm"}
_COUNTED_IN_UNITS = {"tokens", "tokens_per_sec", "tokens_per_sec_per_device", "samples", "n_tokens"}
_TIME_UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "us": 1e-6, "µs": 1e-6}
_SIZE_UNITS = {"GiB": 2.0**30, "GB": 2.0**30, "G": 2.0**30, "MiB": 2.0**20, "MB": 2.0**20, "M": 2.0**20, "KB": 2.0**10}


@dataclass(frozen=True)
class Heading:
    """What the text before a number says of it: `kind` is step, epoch, total, bare, metric or none."""

    kind: str
    key: str = ""
    section: str | None = None  # the split this and the following numbers belong to; None: unchanged
    strong: bool = False  # followed by `:` or `=`
    known: bool = False


@dataclass
class Line:
    """The named numbers of one piece; `position` is a place within the epoch, as in `Epoch 1 [640/60000]`."""

    step: float | None = None
    total: float = 0
    epoch: float | None = None
    epochs: float = 0
    position: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    core: bool = False  # holds a metric one knows a training run by
    measured: bool = False  # holds a loss, perplexity or bits
    judged: bool = False  # holds one of these or an accuracy
    strong: bool = False
    split: str = ""  # the evaluation set of the last metric that named one

    @property
    def placed(self) -> bool:
        """Whether the piece itself says where in the run it stands."""
        return self.step is not None or self.epoch is not None or self.position is not None


def canonical(key: str) -> tuple[str, float] | None:
    """Translate a printed name to (canonical metric, scale); None for a name that stands for nothing known.

    >>> canonical("avg_train_loss"), canonical("Val. Loss"), canonical("queue length")
    (('loss', 1.0), ('val/loss', 1.0), None)
    """
    plain = key.replace(". ", " ").rstrip(".").removesuffix("@1")
    found = spelling(plain)
    if found.known:
        return found.name, found.scale
    words = [w for w in re.split(r"[\s_./\-]+", plain.lower()) if w]
    if words[-1:] == ["entropy"] and words[-2:-1] == ["cross"]:
        words[-2:] = ["loss"]
    measure = list({_MEASURES[w] for w in words if w in _MEASURES})
    splits = [_SPLIT_WORDS[w] for w in words if w in _SPLIT_WORDS]
    if not measure and len(words) == 1 and _SPLIT_ALONE.match(words[0]):
        measure = ["loss"]
    if len(measure) != 1 or not all(
        w in _AVERAGED | _TRAIN_WORDS | _MEASURES.keys() | _SPLIT_WORDS.keys() for w in words
    ):
        return None
    if measure[0] == "bpt":
        return (f"{splits[0]}/loss" if splits else "loss"), LN2
    return (f"{splits[0]}/{measure[0]}" if splits else measure[0]), 1.0


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
    tail = between.rstrip(" \t'\"[(")
    strong = tail.endswith((":", "=", "≈"))
    head = between.rstrip(_TRAILING)
    parts = _CUT.split(head)
    key = parts[-1].strip(" \t'\"`*#=~_-—│║")
    before = head[: len(head) - len(parts[-1])]
    if not key:
        return Heading("bare", section=_section_of(before))
    if _SPLIT_ALONE.match(key) and between.rstrip().endswith(("[", "(")):
        return Heading("bare", section=_section_of(key))
    return _name(key, _section_of(before), strong)


def _name(key: str, section: str | None, strong: bool) -> Heading:
    if _PAST_OR_GOAL.search(key):
        return Heading("metric" if strong and _KEY.match(key) else "none", key, section, strong)
    while True:
        shorter = _FILLER.sub("", key).rstrip(" :'\"")
        if shorter == key or not shorter:
            break
        key = shorter
    words = key.split()
    for count in range(min(len(words), 4), 0, -1):
        name = " ".join(words[-count:])
        if _EPOCH_WORDS.match(name):
            return Heading("epoch", name, section, strong)
        if _STEP_WORDS.match(name) or (is_step_name(name) and name != "_step"):
            return Heading("step", name, section, strong)
        if canonical(name):
            return Heading("metric", name, section or _section_of(" ".join(words[:-count])), strong, known=True)
    if strong and _KEY.match(key) and len(key) <= 40:
        return Heading("metric", key, section, True)
    return Heading("none", key, section or _section_of(key))


def parse(piece: str) -> Line:
    """Read the named numbers of one piece.

    >>> line = parse("Epoch [1/10], Step [100/938], Loss: 2.3026, Accuracy: 93.2%")
    >>> line.epoch, line.step, line.total, line.values, line.units
    (1.0, 100.0, 938.0, {'Loss': 2.3026, 'Accuracy': 93.2}, {'Accuracy': '%'})
    """
    line, section, last, end = Line(), "", "", 0
    if ":" in piece:
        piece = _CLOCK.sub(lambda m: "," if m[0].count(":") > 1 or "-" in m[0] else m[0], piece)
    for match in _VALUE.finditer(piece):
        between = piece[end : match.start()]
        end = match.end()
        head = heading(between)
        if head.section is not None:
            section = head.section
        word = match[1]
        if word[-1:].isalpha() and not (head.strong or head.known):
            continue  # "nan" as a word of prose
        last = _place(line, head, number(word), match[2] or match[3] or "", section, last, between)
    return line


def _place(line: Line, head: Heading, value: float, unit: str, section: str, last: str, between: str) -> str:
    """Put one number where its heading says; return what the next number may refer to."""
    if head.kind == "total":
        if last in ("step", "position"):
            line.total = line.total or value
        elif last == "epoch":
            line.epochs = value
        elif last.endswith(("ccuracy", "acc", "Acc")) and last in line.values and value:
            line.values[last] /= value
        return ""
    if head.kind == "bare":
        return _bare(line, value, unit, last, between)
    if head.kind == "step":
        if line.step is None or (line.step is not None and "global" in head.key.lower()):
            line.step = value * SUFFIXES.get(unit, 1.0)
            return "step"
        return ""
    if head.kind == "epoch":
        if line.epoch is None:
            line.epoch = value
            return "epoch"
        return ""
    if head.kind == "metric":
        return _metric(line, head, value, unit, section)
    return ""


def _bare(line: Line, value: float, unit: str, last: str, between: str) -> str:
    if unit == "tok/s":
        line.values.setdefault("tok/s", value)
    if unit or line.position is not None:
        return ""
    if last in ("epoch", "") and line.epoch is not None and not line.values and line.step is None and between.strip():
        line.position = value
        return "position"
    if not line.placed and not line.values and (not between.strip() or between.rstrip().endswith(("[", "("))):
        line.step = value
        return "step"
    return ""


def _metric(line: Line, head: Heading, value: float, unit: str, section: str) -> str:
    key, found = head.key, canonical(head.key)
    if not section and line.split and found and found[0] in _OF_THE_SAME_SET:
        section = line.split  # val Loss: 3.1 Acc: 0.4
    if section and found and "/" not in found[0]:
        key = f"{section} {key}"
        found = f"{section}/{found[0]}", found[1]
    if key in line.values:
        if not line.split or f"{line.split} {key}" in line.values:
            return ""
        key = f"{line.split} {key}"  # Train Loss 1.2 Acc 0.3 | Val Loss 1.4 Acc 0.2
        found = canonical(key)
    if unit in ("K", "k", "M", "B", "G", "T") and (found is None or found[0] in _COUNTED_IN_UNITS):
        value *= SUFFIXES[unit]
        unit = ""
    line.values[key] = value
    if unit:
        line.units[key] = unit
    split, _, measure = found[0].rpartition("/") if found else ("", "", "")
    line.split = split or line.split
    line.core = line.core or measure in CORE
    line.judged = line.judged or measure in MEASURES or measure == "accuracy"
    if measure in MEASURES:
        line.measured = True
        line.strong = line.strong or head.strong
    return key


def unit_scale(metric: str, unit: str) -> float:
    """Return the factor that brings a value of a canonical metric, printed with this unit, to the unit of the metric.

    >>> unit_scale("step_time_s", "ms"), unit_scale("accuracy", "%"), unit_scale("loss", "x")
    (0.001, 0.01, 1.0)
    """
    measure = metric.rpartition("/")[2]
    if unit == "%":
        return 0.01 if measure in ("accuracy", "mfu", "f1", "auc", "clip_frac") else 1.0
    if measure.endswith("_s"):
        return _TIME_UNITS.get(unit, 1.0)
    if measure.endswith("_bytes"):
        return _SIZE_UNITS.get(unit, 1.0)
    return 1.0
