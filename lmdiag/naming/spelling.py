"""What a name in a log stands for: its metric, evaluation set and unit.

Its words say a metric by one of its aliases, or by a measure such as `loss` among words that change nothing.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from msgspec import Struct
from msgspec.structs import replace

from lmdiag.languages import in_english
from lmdiag.metrics import LN2, METRICS, TIME_UNITS, UNITS
from lmdiag.naming.sets import NAMESPACES, SPLIT_WORDS
from lmdiag.naming.terms import OTHER_TERMS
from lmdiag.naming.words import DEVICE, SECOND, STEPS, Words, plain_words, split_up, words_of

_NOT_IN_A_NAME = frozenset("?!=<>+*^&;$")
_MEASURES = {
    **dict.fromkeys(("loss", "cost", "ce", "nll", "xent", "ntp", "closs"), ("loss", 1.0)),
    **{name: (name, 1.0) for name in ("ppl", "accuracy", "bpb", "bpc")},
    "bpt": ("loss", LN2),
    "npb": ("bpb", 1 / LN2),
    "npc": ("bpc", 1 / LN2),
}
_UNSAID = frozenset(  # words beside a measure that leave it what it is
    """
    avg running cur epoch batch smoothed smooth so far final lm interval window step total combined overall set log model iter last
    per sample token word words example raw tot gpt ema reduced global local language mlm clm masked main
    """.split()
)
_AROUND = {  # metric: words around its alias that leave it what it is
    "grad_norm": frozenset("avg total global raw l2 cur last step".split()),
    "lr": frozenset("cur avg base last epoch actor".split()),
    **dict.fromkeys(
        "step_time_s data_time_s mem_bytes mem_reserved_bytes mfu tflops_per_device tokens_per_sec tokens_per_sec_per_device".split(),
        frozenset({"avg", "cur"}),
    ),
}
_LEADING = frozenset("train metrics learning perf runtime optim optimizer trainer misc".split())
_TIMED = {  # words that name a time where a unit of time follows
    **dict.fromkeys(("step", "iter", "update", "updt", "batch", "time", "dt"), "step_time_s"),
    **dict.fromkeys(("data", "dataloader"), "data_time_s"),
}
_TOKENS = frozenset({"token", "tokens"})
_BESIDE_A_RATE = frozenset("train interval speed throughput avg cur perf global".split())
_OPTIMIZERS = frozenset(
    """
    adam adamw adafactor adagrad lamb lion muon sgd rmsprop sophia shampoo soap nadam radam novograd schedulefree adamw8bit
    decoupled fused cpu deep speed deepspeed paged 8bit distributed hybrid group0 pg1 w
    """.split()
)
_EXACT = {"_runtime": ("elapsed_s", 1.0), **dict.fromkeys(("lr(1e-3)", "train/lr(1e-3)"), ("lr", 1e-3))}
_ESTIMATES = frozenset(  # of the training loss, in evaluation mode
    [
        "train_loss_eval",
        "train_eval_loss",
        "train_eval",
        "train_loss_estimate",
        *(f"{v}_train_loss" for v in SPLIT_WORDS),
    ]
)
_OF_VERL = re.compile(r"val-core/(?P<set>.+)/(?:reward|score|acc)/mean(?:@\d+)?|val/test_score/(?P<old>.+)")
_PART_OF_REWARD = re.compile(  # one of several functions that reward: rewards/format/mean, eval_rewards/format
    r"(?:train/)?(?:(?P<split>[a-z]+)[_/])?rewards ?/ ?(?P<part>[^/]+?)(?: ?/ ?(?P<measure>mean|std))?"
)
_DICTIONARY = re.compile(r"\w+_(?:stats|metrics|logs)/(.+/.+)")  # of a trainer: ppo_stats/ppo/val/var_explained
_OF_DPO = re.compile(r"(rewards|logps|logits)_(train|eval)/(\w+)")  # the code of its authors: rewards_eval/chosen
_OF_A_WHOLE_TRAINING = re.compile(
    r"train_train_(loss|runtime|samples|\w+_per_second)"
)  # what the Trainer sums it up with
_NO_PARTS = frozenset("chosen rejected margin margins accuracy avg std min max sum total".split())
_ONLY_OF_EVALUATIONS = ("eval_time_s", "n_tokens")
_NO_SET = frozenset("best min max avg ema running std last final smooth smoothed lowest highest prev target".split())


class Spelling(Struct, frozen=True):
    """What a name in a log stands for: canonical name, and the factor that brings its values to the metric's unit.

    `surplus` is the number of words that say nothing: of two columns for one metric the plainer is meant.
    """

    name: str
    scale: float = 1.0
    known: bool = True
    surplus: int = 0


@cache
def _aliases() -> dict[str, tuple[str, float]]:
    found = {"ktokens_per_sec": ("tokens_per_sec", 1e3), "ktokens_per_s": ("tokens_per_sec", 1e3)}
    for metric in METRICS.values():
        for alias in (metric.name, *metric.aliases):
            found.setdefault("_".join(words_of(alias)), (metric.name, 1.0))
    return found | _EXACT


@lru_cache(maxsize=65_536)
def spelling(source_name: str) -> Spelling:
    """Translate the name a tool gave to a metric.

    >>> spelling("eval_loss").name, spelling("train/learning_rate").name, spelling("lm loss").name
    ('val/loss', 'lr', 'loss')
    >>> spelling("dt_ms"), spelling("eval/c4_en-validation/CrossEntropyLoss").name
    (Spelling(name='step_time_s', scale=0.001, known=True, surplus=0), 'c4_en-validation/loss')
    >>> spelling("my_metric")
    Spelling(name='my_metric', scale=1.0, known=False, surplus=0)
    >>> spelling("Trainingsverlust").name, spelling("验证损失").name
    ('loss', 'val/loss')
    """
    name = source_name.strip().removesuffix("@1")  # Acc@1
    if name in METRICS or name.startswith("layers/"):
        return Spelling(name)
    exact = _aliases().get(name.lower())
    if exact:
        return _known_or_not(Spelling(*exact), name)
    of_verl = _OF_VERL.fullmatch(name)
    if of_verl:
        return Spelling(f"{of_verl['set'] or of_verl['old']}/reward")
    of_dpo = _OF_DPO.fullmatch(name)
    if of_dpo:
        return spelling(f"{'eval_' if of_dpo[2] == 'eval' else ''}{of_dpo[1]}/{of_dpo[3]}")
    inside = _DICTIONARY.fullmatch(name)
    if inside and "_".join(words_of(inside[1])) in _aliases():
        return replace(spelling(inside[1]), surplus=1)  # the loop's own name for it comes first
    part = _PART_OF_REWARD.fullmatch(name)
    if part and not _NO_PARTS.issuperset(words_of(part["part"])):
        split = f"{SPLIT_WORDS[part['split']]}/" if part["split"] in SPLIT_WORDS else ""
        return Spelling(f"{split}rewards/{part['part']}{'/std' if part['measure'] == 'std' else ''}", known=False)
    placed = plain_words(split_up(name))
    words = [word for word, _, _ in placed]
    joined = "_".join(words)
    if joined in _ESTIMATES:
        return Spelling("train/loss")
    if name.lower().endswith("loss/value"):  # of a critic; "loss value" is any loss
        return Spelling("value_loss")
    if _OF_A_WHOLE_TRAINING.fullmatch(joined) or not _NOT_IN_A_NAME.isdisjoint(name):
        return Spelling(name, known=False)
    found = _of_training(words) or _of_evaluation(name, placed)
    if found:
        return _known_or_not(found, name)
    translated = in_english(name)
    return spelling(translated) if translated != name else Spelling(name, known=False)


def _known_or_not(found: Spelling, name: str) -> Spelling:
    return Spelling(name, known=False) if found.name in _ONLY_OF_EVALUATIONS else found


def _of_training(words: list[str]) -> Spelling | None:
    """Look up a name: as it is, without the words for training in front of it or behind it."""
    start = 0
    while start < len(words):
        found = _with_unit(words[start:])
        if found:
            return found
        if words[start] not in _LEADING:
            break
        start += 1
    if words[-1:] == ["train"]:
        return _with_unit(words[:-1])
    return None


def _with_unit(words: list[str]) -> Spelling | None:
    """Look up words of which the last may be the unit of what the others mean."""
    found = _meant(words)
    if found or len(words) < 2:
        return found
    *base, unit = words
    if unit in TIME_UNITS and "_".join(base) in _TIMED:
        timed = _TIMED["_".join(base)]
        if (base, timed) != (["time"], "step_time_s") or TIME_UNITS[unit] < 1:
            return Spelling(timed, TIME_UNITS[unit])
    known = _meant(base)
    kind = METRICS[known.name.rpartition("/")[2]].unit if known else ""
    scale = UNITS.get(kind, {}).get(unit)
    return replace(known, scale=known.scale * scale) if known and scale else None


def _meant(words: list[str]) -> Spelling | None:
    """Look up words that hold no unit: an alias, a rate, the rate of an optimizer, or what stands among words that say nothing."""
    found = _aliases().get("_".join(words))
    if found:
        return Spelling(*found)
    half = len(words) // 2
    if half and words[:half] == words[half:]:  # `grad-norm/grad-norm`
        return _meant(words[:half])
    if words and words[0] == "lr" and _OPTIMIZERS.issuperset(words[1:]):
        return Spelling("lr")
    return _rate(words) or _measure(words) or _among_others(words)


def _rate(words: list[str]) -> Spelling | None:
    """Look up `it/s`, `tokens per second per GPU`, `s/it`."""
    if len(words) == 2 and words[0] in _TOKENS and words[1] in SECOND:  # tok_s
        return Spelling("tokens_per_sec")
    if "per" not in words:
        return None
    at = words.index("per")
    before, behind = words[:at], words[at + 1 :]
    while len(before) > 1 and before[0] in _BESIDE_A_RATE:
        before = before[1:]
    if len(before) != 1 or not behind:
        return None
    if behind[0] in STEPS and len(behind) == 1 and before[0] in TIME_UNITS:
        return Spelling("step_time_s", TIME_UNITS[before[0]])
    if behind[0] not in SECOND:
        return None
    if before[0] in STEPS and len(behind) == 1:
        return Spelling("steps_per_sec")
    if before == ["words"] and len(behind) == 1:
        return Spelling("words_per_sec")
    if before[0] in _TOKENS:
        device = len(behind) == 3 and behind[1] == "per" and behind[2] in DEVICE
        name = "tokens_per_sec_per_device" if device else "tokens_per_sec"
        return Spelling(name) if device or len(behind) == 1 else None
    return None


def _measure(words: list[str]) -> Spelling | None:
    """Look up a measure such as a loss among words that leave it what it is, or say its set."""
    if words[-2:] == ["loss", "value"]:
        words = words[:-1]
    measures = {_MEASURES[word] for word in words if word in _MEASURES}
    if len(measures) == 2 and _MEASURES["loss"] in measures and _MEASURES["accuracy"] not in measures:
        measures -= {_MEASURES["loss"]}  # loss_bits_per_byte
    if len(measures) != 1 or (words[-1:] == ["cost"] and "batch" in words):  # so Paddle calls the time of a batch
        return None
    if not all(word in _MEASURES or word in _UNSAID or word == "train" or word in SPLIT_WORDS for word in words):
        return None
    metric, scale = measures.pop()
    split = next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), "")  # eval/test/loss
    surplus = sum(word in _UNSAID for word in words)
    return Spelling(f"{split}/{metric}" if split else metric, scale, surplus=surplus)


def _among_others(words: list[str]) -> Spelling | None:
    for metric, around in _AROUND.items():
        if not around.isdisjoint(words):
            rest = [word for word in words if word not in around]
            found = _aliases().get("_".join(rest))
            if found and found[0] == metric and rest != ["norm"]:
                return Spelling(*found, surplus=len(words) - len(rest))
    return None


def _of_evaluation(name: str, placed: Words) -> Spelling | None:
    """Look up what an evaluation measured: `eval_f1`, `f1/test`, `eval_easy_loss`, `easy/val_loss`, `loss/val_easy`."""
    if placed and placed[0][0] == "avg":  # Average Validation WER
        placed = placed[1:]
    words = [word for word, _, _ in placed]
    at = next((at for at, word in enumerate(words) if word in SPLIT_WORDS), None)
    if at is None:
        return None
    split = SPLIT_WORDS[words[at]]
    before, rest = words[:at], words[at + 1 :]
    if not before:
        found = _with_unit(rest)
        if found and "/" not in found.name and found.name != "steps_per_sec":  # an evaluation has batches
            return replace(found, name=f"{split}/{found.name}")
        found = _of_a_set(name, placed[1:])
        if found or name[placed[0][2] : placed[0][2] + 1].isalnum():  # EvalErr may be a measure of the training
            return found
        return Spelling(f"{split}/{name[placed[0][2] :].lstrip('/_.- ') or 'value'}", known=False)
    found = _with_unit(before) if not rest else None
    if found and "/" not in found.name:
        return replace(found, name=f"{split}/{found.name}")
    if found is None and rest and "_".join(before) in _MEASURES:
        return _a_set(name, placed[at + 1 :], before)
    if name[: placed[at][1]].endswith("/") and before[0] not in NAMESPACES and _measure(rest):
        return _a_set(name, placed[:at], rest)
    return None


def _of_a_set(name: str, placed: Words) -> Spelling | None:
    """Look up the loss or perplexity that ends a name, behind the name of its set."""
    words = [word for word, _, _ in placed]
    for length in (2, 1):
        measure = words[-length:]
        if len(words) > length and measure[-1] in ("loss", "ppl") and all(word in _MEASURES for word in measure):
            return _a_set(name, placed[:-length], measure)
    return None


def _a_set(name: str, placed: Words, measure: list[str]) -> Spelling | None:
    """Return the measure of the set whose name these words are, unless they name something else."""
    words = [word for word, _, _ in placed]
    found = _measure(measure)
    if found is None or "/" in found.name or words[0] in _NO_SET or not OTHER_TERMS.isdisjoint(words):
        return None
    return replace(found, name=f"{name[placed[0][1] : placed[-1][2]]}/{found.name}")
