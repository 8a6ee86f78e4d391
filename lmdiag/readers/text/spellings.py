"""Spellings that are brought to a common one before a piece is taken apart: a table of rewrites, each with who writes so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from lmdiag.languages import english
from lmdiag.naming import is_other_term
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number, unwrapped
from lmdiag.readers.tables.column_names import ROUNDED, is_called_a_loss, is_split, may_name_a_set, metric_of
from lmdiag.readers.text.names import EVALUATIONS, NAME

_MEASURE = r"(?:[A-Za-z]+ ){0,2}(?:loss|cost|error|perplexity|ppl|accuracy)"
_MEASURE_OF_A_SET = r"(?:[\w-]*[_-])?(?:loss|perplexity|ppl|accuracy\d*|acc)"
PLACE = r"(?:step|iteration|iter|update|batch|epoch)"
_MEASURED = r"\b(?:\w*[Ll]oss|LR|lr|ppl|perplexity|\w*acc(?:uracy)?|grad_norm)"
_SIZED = ("ms", "s", "sec", "us", "µs", "GiB", "GB", "MiB", "MB", "KB")
_OF_SPACY = "tok2vec|transformer|tagger|morphologizer|parser|senter|ner|spancat|textcat|textcat_multilabel|trainable_lemmatizer|entity_linker"
_FIRST = lazy(rf"\s*({NUM}[kKMB]?)\s?(ms|s|GiB|GB|MiB|MB|%)?\s+([A-Za-z][\w/]*(?: [A-Za-z][\w/]*){{0,2}})\s*")
_SEPARATOR = lazy(r"\s*(?:[,;|]\s|:\s|\s-\s)\s*")
_AT = lazy(rf"(?:(?:{PLACE}\W*\d+(?:\s*/\s*\d+)?|\[?\s*\d+\s*/\s*\d+)\W*)+", re.IGNORECASE)
_NAMED_BEFORE = lazy(rf"[A-Za-z]\s?[:=]\s*{NUM}")
_DIGIT = lazy(r"\d|\b(?:nan|inf)\b", re.IGNORECASE)
_OF_A_MODEL = lazy(r"loss|ppl|perplexity|acc", re.IGNORECASE)
# A count in front of all: `12 4.31 s run, 8.9 loss`
_COUNTED = lazy(rf"\s*(?:(\d+)|\[?\s*\d+\s*/\s*\d+\s*\]?)\s+(?={NUM}\s)")
# Quick to look for, and rare
_BEHIND = lazy(r"\d\s?(?:[A-Za-z]+(?:\s+|_))?(?:loss|LR|lr|ppl|perplexity|nll|bits/\w+|bp[bcd])\b", re.IGNORECASE)
TWO_COUNTS = lazy(r"^\[(\d+)(?:/\d+)?(?:\]\s*\[|,\s+)\s*(\d+)(/\d+)?\](?=[\s:]*\w)[\s:]*")
_NAMED = lazy(rf"([A-Za-z][\w/]*)[\s=:]+({NUM})")
_TERMS = frozenset({"lm", "mlm", "clm", "aux", "kl", "kld", "mtp"})
_EVALUATED = lazy(
    rf"(?<![\w/.-])({EVALUATIONS})[ _/](loss|nll|ppl|perplexity|bpb|bpc|acc(?:uracy)?)(?=\s*[:=]?\s*{NUM})",
    re.IGNORECASE,
)
_IN_BRACKETS = lazy(rf"\s?\(({NAME})\)")
_BEHIND_EVAL = lazy(rf"(?<![\w/.-])(?:{EVALUATIONS})$", re.IGNORECASE)


@dataclass(frozen=True)
class Rewrite:
    """Pieces that hold one of the `hints` are rewritten by `pattern`; `by` names a program that writes so."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    by: str | Callable[[re.Match[str]], str]
    source: str


def _seconds(match: re.Match[str]) -> str:
    return f"{int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]):g}s"


def _reduced(match: re.Match[str]) -> str:
    """Leave `loss(sum)` its name where the line has the mean beside it."""
    if match[1] not in ("sum", "total") or match.string.count("oss(") < 2:
        return ""
    return f"_{match[1]}" if match.string[match.end() :].lstrip()[0] in ":=" else f"_{match[1]}:"


def _indexed(match: re.Match[str]) -> str:
    """Name a second `lr[1]` of a line apart from the first; the index of one loss alone may be a place."""
    name, index = match[1], match[2]
    if re.search(rf"\b{name} ?\[", match.string[: match.start()]):
        return f"{name}_{index}"
    return f"index={index}, {name}" if name.lower().endswith("loss") and match.string.count(f"{name}[") < 2 else name


def _of_python(match: re.Match[str]) -> str:
    """Name what `f"{loss.mean().item()=}"` prints by its variable, `optimizer.param_groups[0]['lr']` by its key."""
    return match[1] or ("lr" if "get_last_lr" in match[0] else match[0].partition(".")[0])


def _summed(match: re.Match[str]) -> str:
    """Call a total the loss where it is the sum of the losses in the brackets behind it: `total 2.5 (lm 2.4 aux 0.1)`.

    Times and sizes add up, too, so that each term must be known for a loss, and no other number of the line.
    """
    line, terms = match.string, _NAMED.findall(match[2])
    others = _NAMED.findall(f"{line[: match.start()]} | {line[match.end() :]}")
    known = any(_is_a_loss(name) for name, _ in terms) and all(_is_a_loss(n) or is_other_term(n) for n, _ in terms)
    if not known or any(_is_a_loss(name) for name, _ in others):
        return match[0]
    off = abs(sum(number(term) for _, term in terms) - number(match[1]))
    parts = ", ".join(f"{name}: {term}" for name, term in terms)
    return match[0] if off > ROUNDED else f"loss: {match[1]}, {parts}, "  # NaN, where one of them is


def _is_a_loss(name: str) -> bool:
    return name.lower() in _TERMS or is_called_a_loss(name) or (metric_of(name) == "loss" and not is_split(name))


def _clock(match: re.Match[str]) -> str:
    return "," if match[0].count(":") > 1 or "-" in match[0] else match[0]


def _nested(match: re.Match[str]) -> str:
    """Name the numbers of a dictionary after it, the first as it is called: `{'0_default': 2.1, '1_fp32': 0.0}`."""
    names = re.findall(rf"['\"]?([\w./-]+)['\"]?\s*[:=]\s*({NUM})", match[2])
    return ", ".join(f"{match[1]}{'/' + name if k else ''}={number}" for k, (name, number) in enumerate(names)) + ", "


def _averages(match: re.Match[str]) -> str:
    """Leave the losses of a batch as they are, and name the averages over the batches before it: `tot_loss[loss=2.1, …]`."""
    return match[2] if match[1] == "loss" else _nested(match)


def _each(match: re.Match[str]) -> str:
    """Give each number its own name: `Loss span/total=0.5/0.9`, `train/val loss: 2.1/2.3`."""
    names, numbers = (match[k].split("/") for k in ("names", "numbers"))
    word = match["before"] or match["behind"] or ""
    if len(names) != len(numbers) or not _OF_A_MODEL.search(match[0]):
        return match[0]
    return ", ".join(f"{name.strip()} {word.strip()}: {number.strip()}" for name, number in zip(names, numbers))


def _of_a_set(match: re.Match[str]) -> str:
    """Put the name of a set before the measure: `eval loss [c4]: 2.1`, `Eval [c4]: 2.1`."""
    name = match[3] or match[4]
    return f"{match[1]} {name} {match[2] or 'loss'}" if may_name_a_set(name) else match[0]


def _of_each(match: re.Match[str]) -> str:
    """Name the evaluations of a line after its set: `dataset=c4 | eval_loss 2.1`."""
    name = match[1]
    evaluated = _EVALUATED.sub(rf"\1 {name} \2", match[2]) if may_name_a_set(name) else match[2]
    return match[0] if evaluated == match[2] else evaluated


def _remark(match: re.Match[str]) -> str:
    """Leave the name of a set behind `eval`, and nothing else in brackets."""
    named = _IN_BRACKETS.fullmatch(match[0])
    of_set = named and _BEHIND_EVAL.search(match.string, 0, match.start()) and may_name_a_set(named[1])
    return match[0] if of_set else ""


def _of_marian(match: re.Match[str]) -> str:
    """Name the mean per word plainer than the sum over a sentence, which the log may have beside it."""
    measured = {"ce-mean-words": "ce", "cross-entropy": "total cross-entropy"}.get(match[3], match[3] or "")
    return f"epoch {match[1]} step {match[2]} : {measured}"


def _place_of_mmengine(match: re.Match[str]) -> str:
    """Write `Epoch(train) [1][10/735]` in words; the batches of an evaluation, as in `Epoch(val) [1][50/50]`, are no steps."""
    phase, epoch, n, total = match[1] or "train", match[2], match[3], match[4]
    if match[0].startswith("Epoch") and epoch is None and total is None:  # mmcv's Epoch(val) [1]
        epoch = n
    at_epoch = f"epoch {epoch} " if epoch else ""
    return at_epoch + (f"step {n}/{total}, " if phase == "train" else f", {phase}: ")


REWRITES = (
    Rewrite(("“", "”", "‘", "’"), lazy("[“”‘’]"), "'", "logs pasted into forums"),
    Rewrite(("`",), lazy("`+"), " ", "code in a forum"),
    Rewrite(("metric '",), lazy(r"\b(?:[Ee]valuation )?metric '(\w+)'(?=\s*=)"), r"\1", "GluonTS"),
    Rewrite(("第",), lazy(r"第\s*(\d+)\s*(?:个\s*)?(?:轮|(步|step)|epoch)"), lambda m: f"{'step' if m[2] else 'epoch'} {m[1]}", "Chinese tutorials"),
    Rewrite(("%|",), lazy(r"\d+%\|[^|]*\|\s*[\d.]+[kMG]?/[\d.]+[kMG]?\s*\[[\d:]+<[\d:?]+(?:,\s*[^,=\]]*)?"), ",", "records printed behind a tqdm bar"),
    Rewrite((":",), lazy(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?|\b(?:\d+ days?, )?\d+:\d\d(?::\d\d)?(?:[.,]\d+)?\b"), _clock, "clocks inside of lines"),
    Rewrite(("nanxxx", "infxxx"), lazy(r"\b(nan|inf)xxx\b"), r"\1", "PaddleOCR pads to six characters"),
    Rewrite(("|g",), lazy(r"\|{1,2}(?:g|grad|gradient|g_param|grads)\|{1,2}"), " grad_norm ", "word_language_model's descendants"),
    Rewrite(("poch",), lazy(r"(?i:\b(?:1|one) epoch\s*=\s*\d[\d,]*(?![\d.]))"), ",", "RWKV"),
    Rewrite(("={", ": {"), lazy(r"(?<![\w.])([A-Za-z_][\w/.-]*)['\"]?\s*[=:]\s*\{([^{}]*\d[^{}]*)\}"), _nested, "InternEvo"),
    Rewrite(("{'",), lazy(rf"^\s*\{{(?:'(?:{_OF_SPACY})': \d+\.\d+(?:e[-+]\d+)?(?:, |(?=\}}$)))+\}}$"), lambda m: f"Losses {m[0].strip()}", "spaCy's losses, printed without a word"),
    Rewrite(("oss",), lazy(r"\b([Ll]oss(?:es)?)[\s:]*['\"]?,?\s*\{([^{}]*\d[^{}]*)\}"), _nested, "spaCy's tutorials: `Losses {'ner': 9.1}`, in Python 2 a tuple"),
    Rewrite(("~", "@"), lazy(r"(?<=[A-Za-z]) ?[~@] ?\d+(?:\.\d+)?%(?=\s*[:=]?\s+\d)"), "", "a share of a set: `Val~20% 9.1`"),
    Rewrite(("[", "(", "<", " on "), lazy(
        rf"(?<![\w/.-])({EVALUATIONS})(?:[ _](loss|nll|ppl|perplexity|bpb|bpc|acc(?:uracy)?))?(?:\s?[\[(<]\s?({NAME})\s?[\])>]|(?:(?<=loss)|(?<=plexity)) on ({NAME}))(?=\s*[:=]?\s*{NUM}(?![\w/]))", re.IGNORECASE
    ), _of_a_set, "loops with several sets: `eval loss [c4]: 2.5`"),
    Rewrite(("set=", "set:", "set ="), lazy(rf"\bdata_?set\s?[=:]\s?['\"]?({NAME})['\"]?[\s,;|]+(.*)", re.IGNORECASE), _of_each, "`step 3 | dataset=c4 | eval_loss 2.5`"),
    Rewrite(("(",), lazy(rf"(?<=\w)\s?\((?!(?i:{PLACE})\b)(?=[^()]*\d)(?=[^()]*[A-Za-z])[^()=:]*\)(?=\s*[:=])"), _remark, "`Training Loss (avg over last 50): 9.1`"),
    Rewrite(("(",), lazy(rf"({_MEASURED}) ?\((?!(?i:{PLACE})\b)(?=[^()]*\d)(?=[^()]*[A-Za-z])[^()=:]*\)(?=\s+{NUM}(?![\w:/]|\.\d))"), r"\1", "`loss (100 steps) 2.5`"),
    Rewrite(("/",), lazy(
        rf"(?P<before>(?<![\w.])[A-Za-z]\w* )?\(?\b(?P<names>[A-Za-z]\w*(?: ?/ ?[A-Za-z]\w*)+)\)?(?P<behind> [A-Za-z]\w*)?\s*[:=]\s*(?P<numbers>{NUM}(?: ?/ ?{NUM})+)"
    ), _each, "GluonNLP: `Loss span/total=0.5/0.9`; `train/val loss: 2.1/2.3`"),
    Rewrite((")",), lazy(rf"(?<=\w) ?\(({'|'.join(_SIZED)})\)(\s*[:=]\s*|\s+)({NUM})(?![\w/%]|\.\d)"), r"\2\3 \1", "Megatron-LM: `elapsed time per iteration (ms): 812.5`"),
    Rewrite((") :", "):"), lazy(r"(?<=\w)\s?\((?:cur|curr|current|avg|mean|[A-Za-z]+(?: [A-Za-z]+)+)\)(?=\s*:)"), "", "DeepSpeed-Chat: `acc (higher is better) : 0.6`"),
    Rewrite(("loss[",), lazy(r"(\b\w*loss)\[((?:[\w/]+=[^,\]]+, )+over [\d.]+ frames\.? ?)\]"), _averages, "icefall"),
    Rewrite(("tf_loss[",), lazy(rf"\bstep, tf_loss\[({NUM})\]\[(\d+)\]"), r"step \2, loss \1", "T5 on Mesh TensorFlow"),
    Rewrite(("=", ": ", ":"), lazy(
        rf"(?<![\w.])(?:event|phase|mode|stage|split|kind|msg|type)\s?[=:]\s?['\"]?(?:(?:log|epoch|step|end)_)?({EVALUATIONS})(?:_(?:step|epoch|end|loop))?['\"]?(?=[\s,;|])[,;|]?", re.IGNORECASE
    ), r"\1,", "logfmt: `event=log_eval step=3`, `phase=val`"),
    Rewrite(("Saving dict for global step",), lazy(r"Saving dict for global step (\d+)\s*:"), r"eval step \1 |", "TensorFlow's Estimator"),
    Rewrite((" - f1-score (", " - accuracy ("), lazy(r" - (f1|accuracy)(?:-score)? \([\w -]+\)\s+(?=\d)"), r" - \1 = ", "Flair"),
    Rewrite(("split ",), lazy(r"\bsplit\s+(\d+)\s*/\s*(\d+) \|(?:\s*epoch\s+\d+ \|)?"), r"epoch \1/\2 |", "Flair's language models"),
    Rewrite(("TRAIN Batch ", "CV Batch "), lazy(r"\bTRAIN Batch (\d+)/(\d+)(?=\s)|\bCV Batch \d+/\d+\s.*"), lambda m: f"epoch {m[1]} step {m[2]}" if m[1] else "", "WeNet; a batch is a part of an evaluation"),
    Rewrite(("CV info cv_loss", "history loss "), lazy(r"\b(?:CV info cv_loss|(history) loss)(?=\s)"), lambda m: "history=" if m[1] else "val loss", "WeNet"),
    Rewrite(("e", "E"), lazy(r"^\s*[eE]\s?(\d+(?:/\d+)?)[\s|,]+[bB]\s*(\d+(?:/\d+)?)(?=[\s|,])"), r"epoch \1 batch \2, ", "abbreviated counters"),
    Rewrite(("e", "E"), lazy(r"^\s*[eE](\d+(?:/\d+)?)[\s:|,]+(?=[A-Za-z]\w*\s?[=:])"), r"epoch \1, ", "`E001 tr=2.5 va=2.75`"),
    Rewrite(("[",), TWO_COUNTS, lambda m: f"epoch {m[1]} step {m[2]}{m[3] or ''}, ", "PyTorch's CIFAR tutorial; MMEngine"),
    Rewrite((":",), lazy(r"(poch\W{0,3}\d+(?:/\d+)?\]?\s*(?:[Bb]atch|[Ss]tep|[Ii]ter)?\s*\[)\s*(\d+)\s*:\s*(\d+)\s*\]"), r"\1\2/\3]", "Paddle's tutorials"),
    Rewrite(("train) ", "train)[", "val) ", "val)[", "test) ", "test)[", "- Epoch [", "- Iter ["), lazy(
        r"\b(?:Epoch|Iter)(?:\((train|val|test)\)|(?= \[\d+\]?\[? *\d*/))\s*(?:\[(\d+)\])?\s*\[\s*(\d+)(?:/\s*(\d+))?\]"
    ), _place_of_mmengine, "MMEngine, mmcv"),
    Rewrite(("Pass ", "pass "), lazy(r"^\W*[Pp]ass (?:id)?\W{0,2}(\d+)(?=,? (?:[Bb]atch|end|test|cost|Cost)\b)"), r"epoch \1", "Paddle's first releases: `Pass 0, batch 100, loss 2.5`"),
    Rewrite(("Train: ",), lazy(r"^Train: (\d+)(?=(?:/\d+)? \[\s*\d+/\d+)"), r"epoch \1", "timm"),
    Rewrite((" at ", " after ", " for ", " in ", " on ", " ("), lazy(
        rf"\b({_MEASURE})\s+(?:(?:at|after|for|in|on)\s+|\()((?:epoch\s*[#:]?\s*\d+,?\s*(?:and\s+)?)?{PLACE}\s*[#:]?\s*\d+)\)?(?=\s*(?:[:=]|is\b|was\b))", re.IGNORECASE
    ), r"\2 \1", "courses: `Average loss at step 2000: 4.5`, `Val loss (step 2000): 4.5`"),
    Rewrite(("oss ",), lazy(
        rf"\b((?:train(?:ing)?|valid(?:ation)?|eval(?:uation)?|val|dev|test)[ _][Ll]oss)\s+(\d+)(?:\s*:)?\s+(?={NUM}(?![\w:/]))(?=-?\d*\.\d|nan|inf)", re.IGNORECASE
    ), r"step \2, \1: ", "NVIDIA's Tacotron 2: `Train loss 30 2.5 Grad Norm 0.5`"),
    Rewrite(("_",), lazy(rf"^\s*(step|iter|epoch)_(\d+)[\s:,|]+(\w*loss)_(?={NUM}\s*$)"), r"\1 \2, \3: ", "`step_100: loss_2.5`"),
    Rewrite(("#",), lazy(r"^\s*#(\d+)(?=[\s:,|]+[A-Za-z])"), r"step \1,", "numbered lines: `#100 loss=2.5`"),
    Rewrite(("[",), lazy(rf"({_MEASURED}) ?\[\s*(\d+)\s*\](?=\s*[:=]?\s*{NUM}(?![\w:/]|\.\d))"), _indexed, "`train_loss[ 6510 ]: 2.5`, where the index may grow with every line, or stay; `lr[0] 1e-4`"),
    Rewrite(("fter ",), lazy(r"^\W*[Aa]fter (\d[\d,]*) (step|iteration|update|epoch|batch)(?:e?s)?\b"), r"\2 \1, ", "`After 50 steps the training loss is 2.5`"),
    Rewrite(("epoch",), lazy(r"^\W*(?:(?:[Aa]fter|[Ff]inished|[Cc]ompleted) )?(\d+) (?:completed |full )?epochs?(?:, | and |, and )(\d[\d,]*) (step|iteration|iter|update|batch)(?:e?s)?\b(?=.*oss)"), r"epoch \1, \3 \2, ", "`0 completed epochs, 100 batches, loss: 2.5`"),
    Rewrite(("ETA", "eta", "lapsed", "emaining"), lazy(r"\b(eta|elapsed|remaining)[\s:=]{1,3}\d{1,3}:[0-5]\d(?![\d:.])", re.IGNORECASE), r"\1,", "clocks of minutes: `ETA: 19:24`"),
    Rewrite(("min",), lazy(rf"\b(\w*loss)\W{{1,3}}min\s*[=:]?\s*{NUM}[\s,/|]+(?:avg|mean)\s*[=:]?\s*(?={NUM})", re.IGNORECASE), r"\1=", "statistics of a batch: `loss min=2 avg=2.5 max=3`"),
    Rewrite((" |",), lazy(rf"(?:^|(?<=- ))(?!val)({_MEASURE_OF_A_SET})\s+\|\s*({NUM}|N/A)\s+\|\s*({NUM}|N/A)\s*$"), r"training \1: \2, validation \1: \3", "AllenNLP: `loss | 1.8 | 1.6`, below `Training | Validation`"),
    Rewrite(("ing of Epoch ", "ion of Epoch "), lazy(r"\b(Train|Valid)(?:ing|ation) of Epoch (\d+)(?= - loss: )"), lambda m: f"epoch {m[2]}{', val' if m[1] == 'Valid' else ''}", "DeepSpeech"),
    Rewrite(("f0", "f-", "32"), lazy(r"(?<![\w.])(?:(\d+\.\d+)f(-?\d+)|(NaN|Inf)32)\b"), lambda m: m[3] or f"{m[1]}e{m[2]}", "Julia: `loss = 2.5f0`"),
    Rewrite(("(tensor(",), lazy(rf"^\(tensor\(({NUM})(?:, \w+=[^,()]+)*\), <.*>\)\s*$"), r"val loss: \1", "an annotated Transformer: the loss of a validation, and its state"),
    Rewrite(("otal",), lazy(rf"\b[Tt]otal[\s=:]+({NUM})\s*[(\[]((?:[\s,|+]*[A-Za-z]\w*[\s=:]+{NUM})+)\s*[)\]]"), _summed, "`total 2.5 (lm 2.4 aux 0.1)`"),
    Rewrite((")=", "]="), lazy(
        r"(?<![\w.])[A-Za-z_](?:[\w.]|\.\w+\(\))*(?:\[\d\]\['(\w+)'\]|(?<=get_last_lr)\(\)\[\d\]|(?<=item|mean)\(\))(?==)"
    ), _of_python, "Python's `{loss.item()=}`"),
    Rewrite(("k step", "k iter", "k update"), lazy(r"^\W*([\d.]+k) (step|iter|update)\w*\b(?! ?/| (?:per|each|left|to|remain))(?!.*\b(?i:step|iter|update|batch)\w*\W{0,3}\d)"), r"\2 \1", "`1.5k steps  loss 2.5`"),
    Rewrite((" nach ", " dopo ", " après ", " tras ", " após "), lazy(
        r"((?:^|(?<=[|,;:]))\W*(?:[^\W\d]+ ){1,4})(?:nach|dopo|après|tras|após) (?:el |il |la |o |a |l[’'])?(Schritt|Epoche|passo|epoca|étape|époque|paso|época)\s*(\d+)"
    ), r"\2 \3 \1", "`Validierungsverlust nach Schritt 500: 2.5`"),
    Rewrite(("Ep. ",), lazy(r"\bEp\. (\d+(?:\.\d+)?) : Up\. (\d+) : (ce-mean-words|cross-entropy)?"), _of_marian, "Marian"),
    Rewrite(("Score at iteration ",), lazy(r"\bScore at iteration (\d+) is(?=\s+\d+\.\d{8,}(?:E-?\d+)?\s*$)"), r"step \1, loss:", "Deeplearning4j: all digits of its score, which is the loss"),
    Rewrite(("eval: bucket ",), lazy(r"\beval: bucket (\d+)(?=\s)"), r"eval bucket_\1", "TensorFlow's translation tutorial"),
    Rewrite(("] ",), lazy(rf"\[((?:[A-Za-z]+[ _-])?(?:\w*[Ll]oss|[Pp]erplexity|PPL|ppl|[Aa]ccuracy))\](?=\s+{NUM}%?\s*(?:[\[|,;]|$))"), r"\1:", "names in brackets: `[Loss] 2.5 [Accuracy] 40%`"),
    Rewrite(("oss(",), lazy(rf"(?<=[Ll]oss)\((sum|mean|avg|average|total)\)(?=[\s:=]+{NUM})"), _reduced, "`loss(sum) 2.5`"),
    Rewrite(("loss at iteration",), lazy(r"\b(validation|valid|test) loss at iteration (\d+)(?: on \w+ set)?\s*(?=\|)"), r"iteration \2, \1 set: ", "Megatron-LM's forks"),
    Rewrite(("epoch", "batch", "step", "iter"), lazy(r"(?<![\w.])(?:\d+-)?(\d+)(epoch|batch|step|iter)\b"), r" \2 \1", "ESPnet"),
    Rewrite((" epoch", " batch", " step", " iter"), lazy(r"^\s*(0\d+) (epoch|batch|step|iter)\b(?![\s:=#\[(]*\d)"), r"\2 \1", "counts that are padded with zeros: `007 epoch`"),
    Rewrite(("s",), lazy(r"(?<![\w.])(?:(\d+)h ?)?(\d+)m ?(\d+(?:\.\d+)?)s\b"), _seconds, "PyTorch's tutorials: `1m 5s`"),
)  # fmt: skip


@lru_cache(maxsize=8)  # a line is looked at more than once
def rewritten(piece: str) -> str:
    """Return a piece with the words and signs that the names of numbers are looked up with.

    >>> rewritten("第 3 轮 完成，验证损失：2.5"), rewritten("3epoch:train:1-50batch: loss=2.5  |g| 0.7  time 1m 5s")
    ('epoch 3  done , val loss: 2.5', ' epoch 3:train: batch 50: loss=2.5   grad_norm  0.7  time 65s')
    >>> rewritten("Loss (mean of 50): 2.5, norm={'a': 1.5, 'b': 0.5} x"), rewritten("step 3: 2.5 loss, 8.83 GB used, 0.001 LR")
    ('Loss: 2.5, norm=1.5, norm/b=0.5,  x', 'step 3, loss: 2.5, used: 8.83 GB, LR: 0.001')
    >>> rewritten("50/300: 8.5 loss, 12.5k tok/s"), rewritten("event=log_eval step=3")
    ('50/300, loss: 8.5, tok/s: 12.5k', 'eval, step=3')
    >>> rewritten("12 4.3 s run, 8.5 loss, 0.1 LR"), rewritten("acc (higher is better) : 0.5"), rewritten("loss[loss=2.5, over 9 frames], x")
    ('step 12, run: 4.3 s, loss: 8.5, LR: 0.1', 'acc : 0.5', 'loss=2.5, over 9 frames, x')
    """
    for rewrite in REWRITES:
        if any(hint in piece for hint in rewrite.hints):
            piece = rewrite.pattern.sub(rewrite.by, piece)
    if "(" in piece or "numpy=" in piece:
        piece = unwrapped(piece)
    if not piece.isascii():
        piece = english(piece)
    return _names_first(piece) if _BEHIND.search(piece) else piece


def _names_first(piece: str) -> str:
    """Put the names of a line before its numbers where all but its place have them behind: `step 3: 10.5 loss, 0.001 LR`."""
    counted = _COUNTED.match(piece)
    items = ([f"step {counted[1]}" if counted[1] else counted[0]] if counted else []) + _SEPARATOR.split(
        piece[counted.end() :] if counted else piece
    )
    found = [_FIRST.fullmatch(item) for item in items]
    others = [item for item, first in zip(items, found) if not first]
    if found[-1] and found[-1][3] in _SIZED:
        return piece
    if (
        _NAMED_BEFORE.search(piece)
        or sum(map(bool, found)) < 2
        or not all(_AT.fullmatch(item) or not _DIGIT.search(item) for item in others)
    ):
        return piece
    turned = (f"{f[3]}: {f[1]}{' ' + f[2] if f[2] else ''}" if f else item for item, f in zip(items, found))
    return ", ".join(turned)
