"""The words of a name: `.`, `/`, `_`, `-`, blanks, brackets and the humps of camelCase separate them alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from lmdiag.metrics import TIME_UNITS

_WORD = re.compile(r"[^\W_]+|%")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z]|[A-Z]{2})|(?<=[A-Z])(?=[A-Z][a-z]{2})")  # GiB and TFLOPs have none
_SAME = {  # words that mean the same, and words that people write as one
    "training": "train", "tr": "train", "trn": "train", "average": "avg", "averaged": "avg", "ave": "avg", "mean": "avg",
    "current": "cur", "losses": "loss", "ppls": "ppl", "perplexity": "ppl", "perplexities": "ppl", "perp": "ppl", "pplx": "ppl",
    "acc": "accuracy", "accs": "accuracy", "accuracies": "accuracy", "gradient": "grad", "gradients": "grad", "grads": "grad",
    "norms": "norm", "memory": "mem", "tok": "tokens", "toks": "tokens", "iteration": "iter", "iterations": "iter",
    "lrate": "lr", "iters": "iter", "it": "iter", "percent": "%", "pct": "%", "lrs": "lr", "learningrate": "lr", "gradnorm": "grad norm",
    "gradnorms": "grad norm", "crossentropy": "ce", "crossentropyloss": "ce loss", "languagecrossentropy": "language ce",
    "languageperplexity": "language ppl", "nllloss": "nll loss", "lmloss": "lm loss", "trainloss": "train loss",
    "trainingloss": "train loss", "valloss": "val loss", "validloss": "valid loss", "validationloss": "validation loss",
    "trainiterstats": "train", "evalstats": "eval", "evalloss": "eval loss", "testloss": "test loss", "devloss": "dev loss",
    **{word + kept: word for word in ("train", "val", "valid", "eval", "dev", "test") for kept in ("set", "data", "split", "bin")},
}  # fmt: skip
_PHRASES = {  # words that stand for one
    "cross_entropy": "ce", "learning_rate": "lr", "learning_rates": "lr", "l_r": "lr", "held_out": "heldout", "hold_out": "holdout",
    "bits_per_byte": "bpb", "nats_per_byte": "npb", "bits_per_token": "bpt", "nats_per_token": "nats", "bits_per_character": "bpc",
    "bits_per_char": "bpc", "bits_char": "bpc", "bits_byte": "bpb", "bits_token": "bpt", "nats_byte": "npb", "nats_token": "nats",
    **dict.fromkeys(("nats_char", "nats_per_char", "nats_per_character"), "npc"), "metrics_train": "train", "metrics_training": "train", "metrics_eval": "eval", "loss_metrics": "train",
    "train_iter_stats": "train", "eval_stats": "eval", "cv_loss": "val loss",
    "validation_metrics": "val", **{f"{measure}_tok": measure for measure in ("loss", "nll", "ce", "xent")},
}  # fmt: skip
_STARTS_OF_PHRASES = frozenset(phrase.partition("_")[0] for phrase in _PHRASES)
SECOND = frozenset({"s", "sec", "secs", "second", "seconds"})
STEPS = frozenset({"step", "steps", "iter", "batch", "batches", "update", "updates"})
DEVICE = frozenset({"device", "gpu", "chip", "rank"})
Words = list[tuple[str, int, int]]  # a word in lower case, and where in the name it stands


def split_up(name: str) -> Words:
    """Take a name apart; `/` before a unit of time is the word `per`."""
    words: Words = []
    for match in _WORD.finditer(name):
        start = match.start()
        whole = match[0]
        for part in (whole,) if whole.islower() else _HUMP.split(whole):
            word = part.lower()
            behind = words[-1][0] if words else ""
            if start and name[start - 1] == "/" and behind != "per" and _is_per(behind, word):
                words.append(("per", start, start))
            words.append((word, start, start + len(part)))
            start += len(part)
    return words


def _is_per(word: str, behind: str) -> bool:
    """Tell whether a slash between two words stands for `per`: `tok/s`, `ms/batch`, `tok/s/gpu`."""
    return (
        behind in SECOND
        or (word in TIME_UNITS and _SAME.get(behind, behind) in STEPS)
        or (word in SECOND and behind in DEVICE)
    )


def _joined(words: Sequence[tuple[str, int, int]]) -> str:
    return "_".join(word for word, _, _ in words)


def plain_words(words: Words) -> Words:
    """Return one word for each that means the same, and for each phrase."""
    plain: Words = []
    at = 0
    while at < len(words):
        word, start, end = words[at]
        at += 1
        said = _SAME.get(word, word)
        for more in (2, 1) if word in _STARTS_OF_PHRASES else ():
            behind = words[at : at + more]
            if len(behind) == more and (phrase := _PHRASES.get(f"{word}_{_joined(behind)}")):
                said, end = phrase, behind[-1][2]
                at += more
                break
        plain += [(part, start, end) for part in said.split()] if " " in said else [(said, start, end)]
    return plain


@lru_cache(maxsize=8192)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, one for each that means the same.

    >>> words_of("TrainingLoss"), words_of("tok/s"), words_of("metrics.eval.mean_loss")
    (('train', 'loss'), ('tokens', 'per', 's'), ('eval', 'avg', 'loss'))
    """
    return tuple(word for word, _, _ in plain_words(split_up(name)))
