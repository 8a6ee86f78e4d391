"""What printed numbers are called."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from lmdiag.languages import plain_english
from lmdiag.naming import SPLIT_WORDS, SPLITS, words_of
from lmdiag.patterns import lazy
from lmdiag.readers.tables.column_names import (
    canonical,
    counts_epochs,
    counts_steps,
    is_called_a_loss,
    is_split,
    may_name_a_set,
)

_CUT = lazy(r"[,;|\t\[\](){}»•→←<>%]|\s-+\s|\s{3,}|:\s|:$|\.\s(?=[A-Z][a-z]+ )|\s[-—]\s")
_TRAILING = " \t:=≈~[('\"<>-|*`→,"
_KEY = lazy(r"[^\W\d][\w./%@()^+\-]*(?: [\w./%@()^+\-]+){0,3}$")
_SECTIONS = (
    {"training": ""}
    | dict.fromkeys(("held-out", "evaluating", "evaluate", "validating", "validate"), "val")
    | SPLITS
    | SPLIT_WORDS
)
_SETS = "|".join(_SECTIONS)
EVALUATIONS = "|".join(word for word, split in _SECTIONS.items() if split)
_SECTION = lazy(
    rf"\W*(?:on |the |in |eval )*({_SETS})"
    r"(?:[ _](?:set|results?|metrics|stats|summary|data|phase|split|step|epoch|run))?\W*$",
    re.IGNORECASE,
)
NAME = r"(?![\W\d])[\w.-]+(?:/[\w.-]+)*"
_NAMED_SET = lazy(  # eval [wikitext], val/c4:, test on lambada |
    rf"(?<![\w/.-])({EVALUATIONS})(?:uation|ing|idation)?(?:[ _]set)?"
    rf"(?:\s*\]?\s*[\[(<]\s*|\s?(?:[/:@=]|->|=>)\s?|\s(?:on|for|set|data|dataset)[\s=:]+|\s)({NAME})\s*[\])>]?[\s:|=,-]*$",
    re.IGNORECASE,
)
_SET_OF_ITS_SET = lazy(rf"(?<![\w/.-])(?:{EVALUATIONS})=({EVALUATIONS})[\s|,]*$", re.IGNORECASE)  # valid=dev loss=2.5
_BRACKETED = lazy(rf"[\[(<]\s*({NAME})\s*[\])>][\s:|-]*$")  # [wikitext] eval loss
_PAST_OR_GOAL = lazy(
    r"\b(?:best|min|minimum|lowest|max|target|previous|prev|initial|early|patience|delta|improving)\b", re.IGNORECASE
)
_ON_A_SET = lazy(
    rf"^(.*?)[ _](?:on|over|for)(?: the)? ({_SETS})(?: (?:set|data|dataset|split))?$",
    re.IGNORECASE,
)
_QUALIFIED = lazy(  # loss after forward pass: 2.5
    r"^((?:[A-Za-z]+ ){0,2}(?:loss|perplexity|ppl)) (?:after|during|over|across|within) (?:(?:the|this|a|each|every|all|last|forward|backward|training) ){0,3}"
    r"(?:pass(?:es)?|step|iteration|update|batch|epoch)(?:e?s)?$",
    re.IGNORECASE,
)
_FILLER = lazy(r"\b(?:is|was|of|at|after|for|the|on|in|now|value|reached|improved to|(?<=time )cost)$", re.IGNORECASE)
_COUNTED, _EVALUATED = "step|iter|iteration|batch", "|".join(SPLIT_WORDS)
_EVALUATED_STEP = lazy(rf"^(?:(?:{_EVALUATED})[ _](?:{_COUNTED})|(?:{_COUNTED})[ _](?:{_EVALUATED}))$", re.IGNORECASE)
_IDENTIFIER = lazy(r"[A-Za-z]+(?:_[A-Za-z0-9]+)+")  # prose has no such words
_NOTHING = lazy(r"\b(?:None|N/A|n/a)\b")  # what stands in place of a number
OF_A_TASK = frozenset({"bleu", "sacrebleu", "chrf", "rouge", "rouge1", "rouge2", "rougel", "meteor", "wer", "cer"})
_SCORES = OF_A_TASK | {"precision", "recall", "auc", "mcc", "mae", "mse", "rmse"}  # need no sign before their number
_OF = ("/", "of", "out of", "von", "de", "di", "sur")
_EACH = ("per", "each", "every")


@dataclass(frozen=True)
class Heading:
    """What the text before a number says of it: `kind` is step, epoch, total, bare, metric or none."""

    kind: str
    key: str = ""
    section: str | None = None  # the split this and the following numbers belong to; None: unchanged
    strong: bool = False  # followed by `:` or `=`
    known: bool = False
    whole: str = ""  # the name with the words in front that say nothing known: `CTC loss`
    bracketed: str = ""  # what stands in brackets in front, and can name a set


def _section_of(text: str) -> str | None:
    """Return the split that a segment such as `Test set:` announces for the numbers behind it."""
    if (named := _NAMED_SET.search(text)) and may_name_a_set(named[2]):
        return f"{_SECTIONS[named[1].lower()]} {named[2]}"
    if named := _SET_OF_ITS_SET.search(text):
        return _SECTIONS[named[1].lower()]
    found = [match[1].lower() for match in map(_SECTION.match, _CUT.split(text)) if match]
    return _SECTIONS.get(found[-1], "") if found else None


@lru_cache(maxsize=8192)
def heading(between: str) -> Heading:
    """Say what the number after this text stands for.

    >>> heading("Epoch: ").kind, heading(", train loss ").key, heading(" / ").kind
    ('epoch', 'train loss', 'total')
    """
    if between.strip(" []") in _OF:
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
    if is_split(key) and between.rstrip().endswith(("[", "(")):
        return Heading("bare", section=_section_of(key))
    first = key.partition(" ")[0]
    named = _BRACKETED.search(before)
    bracketed = named[1] if named and may_name_a_set(named[1]) else ""
    if bracketed and is_split(first) and first != key:
        key = f"{first} {bracketed}{key[len(first) :]}"
    found = _name(key, _section_of(before), strong, column=before.rstrip().endswith(("|", ",", ";")))
    return replace(found, bracketed=bracketed) if bracketed else found


def _name(key: str, section: str | None, strong: bool, column: bool = False) -> Heading:
    if _PAST_OR_GOAL.search(key):
        return Heading("metric" if strong and _KEY.match(key) else "none", key, section, strong)
    key = _QUALIFIED.sub(r"\1", _ON_A_SET.sub(r"\2 \1", key))
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
        if counts_epochs(name):
            return Heading("epoch", name, section or _evaluated(name), strong)
        if counts_steps(name):
            return Heading("step", name, section, strong)
        if count < 3 and _EVALUATED_STEP.search(name):
            return Heading("none", name, _evaluated(name))
        if canonical(name) and (count == len(words) or not is_split(name)):
            before = _section_of(" ".join(words[:-count]))
            whole = key if before is None and count < len(words) and _KEY.match(key) else ""
            return Heading("metric", name, section or before, strong, known=True, whole=whole)
    strong = strong or _IDENTIFIER.fullmatch(key) is not None
    alone = len(words) == 1 and (is_called_a_loss(key) or (column and len(key) > 1))
    score = (
        bool(words) and words[-1].lower() in _SCORES and (len(words) == 1 or (len(words) == 2 and is_split(words[0])))
    )
    if (strong or alone or score) and _KEY.match(key) and len(key) <= 40:
        return Heading("metric", key, section, strong)
    return Heading("none", key, section or _section_of(key))


def _evaluated(name: str) -> str | None:
    """Return the evaluation set that a counter is named after, as in `VALID Epoch`."""
    return next((SPLIT_WORDS[word] for word in words_of(name) if word in SPLIT_WORDS), None)


def counts_evaluated(key: str) -> bool:
    """Tell whether a name counts the batches of an evaluation, as `VALID Batch` does."""
    return _EVALUATED_STEP.search(key) is not None
