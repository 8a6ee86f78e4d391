"""Every canonical metric: what it means, its unit, and how other tools spell it.

A metric of the training stream stands under its own name (`loss`), one of an evaluation under `<split>/<name>`
(`val/loss`). `spelling` translates the name a tool wrote; a name it does not know is kept as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lmdiag.patterns import lazy

LN2 = 0.6931471805599453
GIB, MIB = 2.0**30, 2.0**20


@dataclass(frozen=True)
class Metric:
    """One canonical metric; `aliases` are spellings in lower case with `_` for blanks and dashes."""

    name: str
    meaning: str
    unit: str
    aliases: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "loss",
            "training loss of the step, or its mean since the last record",
            "nats per token",
            ("lm_loss", "lm_loss_avg", "reduced_train_loss", "global_avg_loss", "ce_loss", "crossentropyloss",
            "languagecrossentropy", "cross_entropy", "nll_loss", "trl", "epoch_loss", "avg_loss", "ave_loss", "step_loss",
            "batch_loss", "training_loss", "loss_step", "loss_epoch", "total_loss", "loss/train/total", "tel",
            "lm_loss_value", "running_loss", "mean_loss", "ntp", "ntp_loss", "nll", "xent"),
        ),
        Metric("lr", "learning rate of the first parameter group", "", ("learning_rate", "current_learning_rate",
            "lr_group_0", "lr_0", "lr0", "current_lr", "learningrate", "learning_rate_group0", "epoch_learning_rate", "lr_step")),
        Metric("grad_norm", "global L2 norm of the gradient before clipping", "", ("gradnorm", "gnorm", "norm",
            "gradient_norm", "grad", "gn", "total_grad_norm", "l2_norm/grad/global", "actor/grad_norm", "avg_grad_norm",
            "global_grad_norm", "grad_norm_total", "raw_grad_norm")),
        Metric("loss_scale", "loss scale of fp16 training", "", ("loss_scaling", "scale", "grad_scale")),
        Metric("epoch", "passes over the training data, fractional", "epochs", ("epochs",)),
        Metric("tokens", "tokens trained on so far, all devices", "tokens", ("num_input_tokens_seen", "num_tokens",
            "n_tokens_seen", "total_tokens", "consumed_tokens", "tokens_seen", "tokens/total",
            "throughput/total_tokens", "time/token", "track_tokens_seen")),
        Metric("samples", "sequences trained on so far, all devices", "samples", ("consumed_samples", "time/sample",
            "samples_count")),
        Metric("tokens_per_sec", "training speed, all devices", "tokens/s", ("tok/sec", "tok/s", "tok_per_sec", "tok_per_s", "tokens_per_s",
            "train_tokens_per_second", "tokens_per_second", "throughput/tokens_per_sec", "tokens/sec", "tokens/s")),
        Metric("tokens_per_sec_per_device", "training speed of one device", "tokens/s", ("tps", "wps",
            "tokens_per_second_per_gpu", "tokens/s/device", "throughput(tps)", "tokens/train_per_sec_per_gpu",
            "tgs", "tokens_per_sec_per_gpu")),
        Metric("step_time_s", "time of one optimizer step", "s", ("step_time", "iteration_time", "step_time_seconds",
            "seconds", "iter_time", "iter_dt", "dt", "elapsed_time_per_iteration", "time_per_iteration", "train_step_timing",
            "step_avg", "batch_time", "time_per_step")),
        Metric("data_time_s", "time of one step spent waiting for data", "s", ("data_time", "dataloader_time",
            "data_loading_time", "time_data")),
        Metric("mem_bytes", "memory allocated on the device, peak", "bytes", ("memory", "mem", "peak_memory",
            "peak_memory_alloc", "max_active", "peak_memory_active", "gpu_memory", "mem_allocated_bytes",
            "peak_gpu_memory", "memory/max_active")),
        Metric("mem_reserved_bytes", "memory reserved on the device, peak", "bytes", ("peak_memory_reserved",
            "mem_reserved", "max_reserved", "memory/device_reserved")),
        Metric("tflops_per_device", "useful arithmetic of one device", "TFLOP/s", ("tflops", "tflop/s/device",
            "model_tflops_per_gpu")),
        Metric("mfu", "model FLOPs utilisation", "fraction", ("device/mfu", "train_mfu", "bf16_mfu")),
        Metric("param_norm", "global L2 norm of the parameters", "", ("params_norm", "weight_norm", "l2_norm/param/global")),
        Metric("update_norm", "global L2 norm of the last parameter update", "", ("l2_norm/update/global",)),
        Metric("update_ratio", "update norm over parameter norm", "", ("update_to_weight_ratio",)),
        Metric("clip_frac", "share of the steps since the last record whose gradient was clipped", "fraction"),
        Metric("skipped", "optimizer steps skipped since the last record", "steps", ("number_of_skipped_iterations",
            "skipped_iterations", "step_skipped", "skipped_steps")),
        Metric("nan_steps", "steps with a non-finite loss since the last record", "steps", (
            "number_of_nan_iterations", "nan_iterations")),
        Metric("ppl", "perplexity: exp of the mean loss in nats per token", "", ("perplexity", "languageperplexity",
            "lm_loss_ppl", "avg_ppl", "loss_ppl")),
        Metric("bpb", "bits per byte of text", "bits/byte", ("bits_per_byte",)),
        Metric("bpc", "bits per character of text", "bits/character", ("bits_per_character", "bits_per_char")),
        Metric("accuracy", "share of right answers", "fraction", ("acc", "mean_token_accuracy", "token_acc",
            "token_accuracy", "hella", "hellaswag")),
        Metric("f1", "F1 score", "fraction", ("f1_score", "macro_f1", "f1_macro")),
        Metric("auc", "area under the ROC curve", "fraction", ("roc_auc",)),
        Metric("n_tokens", "target tokens the evaluation averaged over", "tokens"),
        Metric("eval_time_s", "time of the evaluation", "s", ("runtime",)),
        Metric("time", "Unix time of the record", "s", ("_timestamp", "timestamp", "wall_time", "unix_time")),
        Metric("elapsed_s", "time since the start of training", "s", ("_runtime", "elapsed", "elapsed_time",
            "train_time", "elapsed_seconds")),
        Metric("reward", "mean reward of reinforcement learning", ""),
        Metric("kl", "divergence from the reference policy", "nats"),
    )
}  # fmt: skip

STEP_NAMES = """
    step global_step iteration iter optimizer_step train_step current_steps num_updates updates update_step steps
    iters step_end trainer/global_step it _step batch_id batch
""".split()

# Losses of auxiliary terms, adversaries and policies: never the loss of a language model.
NOT_A_LANGUAGE_MODEL_LOSS = lazy(
    r"(^|[/_])(aux|z|load_balancing|router|gate|moe_gate|kl|d|g|disc|gen|policy|value|pg|actor|critic|act|cri|entropy)_?loss"
    r"|_aux$|^rewards?/",
    re.IGNORECASE,
)

SPLITS = {
    "eval": "val",
    "evaluation": "val",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "train": "",
}

_ALIASES = {alias: m.name for m in METRICS.values() for alias in (m.name, *m.aliases)}
_UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "gib": GIB, "gb": GIB, "mib": MIB, "mb": MIB}
_UNITS |= {"%": 1e-2, "pct": 1e-2, "percent": 1e-2, "bytes": 1.0, "s/it": 1.0}
TIME_UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "us": 1e-6, "µs": 1e-6}
_SIZE_UNITS = {"GiB": GIB, "GB": GIB, "G": GIB, "MiB": MIB, "MB": MIB, "M": MIB, "KB": 2.0**10}
_SHARES = ("accuracy", "mfu", "hfu", "f1", "auc", "clip_frac")
_UNIT_SUFFIX = lazy(r"(?:[ _]*[(\[]|[ _/])(" + "|".join(sorted(_UNITS, key=len, reverse=True)) + r")[)\]]?$")
_SCALED_ALIASES = {
    "step_ms": ("step_time_s", 1e-3),
    "iter_ms": ("step_time_s", 1e-3),
    "time_ms": ("step_time_s", 1e-3),
    "ms/batch": ("step_time_s", 1e-3),
    "ms_per_step": ("step_time_s", 1e-3),
    "train_speed(s/it)": ("step_time_s", 1.0),
    "lr(1e-3)": ("lr", 1e-3),
}
_TRAINING_ESTIMATE = lazy(
    r"^(?:train_loss_eval|train_eval_loss|train_eval|(?:eval|val|valid|validation)[/_ ](?:train|training)[/_ ]loss|train_loss_estimate)$"
)
_ONLY_OF_EVALUATIONS = ("eval_time_s", "n_tokens")
_OPTIMIZER_LR = lazy(r"^lr-[a-z0-9]+(?:/(?:group0|pg1))?$")
_NOT_A_SET = lazy(r"^(?:best|min|max|avg|mean|ema|running|std|last|final|smooth(?:ed)?)$")
_PLURALS = {"losses": "loss", "ppls": "ppl", "perplexities": "perplexity", "accs": "acc", "accuracies": "accuracy",
            "lrs": "lr", "learning_rates": "learning_rate", "grad_norms": "grad_norm"}  # fmt: skip
_PLURAL = lazy(rf"(?<![a-z])(?:{'|'.join(_PLURALS)})$")
_TRAIN_PREFIX = lazy(
    r"^(metrics/train/|train/|train_|training/|training_|train |learning/|perf/|loss_metrics/|runtime/|optim/|trainer/|trainiterstats/)"
)
_EVAL_PREFIX = lazy(
    r"^(metrics/eval/|validation_metrics/|evalstats/|(?:eval|evaluation|validation|valid|val|dev|test)(?=[/_ .]|$)[/_ .]?)"
)
_SET_NAME = lazy(r"^(?:downstream/)?(.+?)[/_](?:crossentropyloss|cross_entropy_loss|loss|ppl|perplexity)$")


@dataclass(frozen=True)
class Spelling:
    """What a name in a log stands for: canonical name, and the factor that brings its values to the metric's unit."""

    name: str
    scale: float = 1.0
    known: bool = True


def is_step_name(source_name: str) -> bool:
    """Tell whether a column of this name counts steps.

    >>> is_step_name("train/global_step"), is_step_name("loss")
    (True, False)
    """
    return step_rank(source_name) is not None


def step_rank(source_name: str) -> int | None:
    """Return the place of a name among those that count steps, the surest first; None for other names.

    >>> step_rank("train/global_step") < step_rank("_step"), step_rank("loss")
    (True, None)
    """
    name = source_name.strip().lower().replace(" ", "_")
    for spelled in (name, name.removeprefix("train/"), name.partition("/max_steps")[0].removeprefix("train/")):
        if spelled in STEP_NAMES:
            return STEP_NAMES.index(spelled)
    return None


def unit_scale(metric: str, unit: str) -> float:
    """Return the factor that brings a value of a canonical metric, written with this unit, to the unit of the metric.

    >>> unit_scale("step_time_s", "ms"), unit_scale("accuracy", "%"), unit_scale("loss", "x")
    (0.001, 0.01, 1.0)
    """
    measure = metric.rpartition("/")[2]
    if unit == "%":
        return 0.01 if measure.lower() in _SHARES else 1.0
    if measure.endswith("_s"):
        return TIME_UNITS.get(unit, 1.0)
    if measure.endswith("_bytes"):
        return _SIZE_UNITS.get(unit, 1.0)
    return LN2 if unit == "bits" and measure.endswith("loss") else 1.0


@lru_cache(maxsize=65_536)
def spelling(source_name: str) -> Spelling:
    """Translate the name a tool gave to a metric.

    >>> spelling("eval_loss").name, spelling("train/learning_rate").name, spelling("lm loss").name
    ('val/loss', 'lr', 'loss')
    >>> spelling("dt_ms"), spelling("eval/c4_en-validation/CrossEntropyLoss").name
    (Spelling(name='step_time_s', scale=0.001, known=True), 'c4_en-validation/loss')
    >>> spelling("val_losses").name
    'val/loss'
    >>> spelling("my_metric")
    Spelling(name='my_metric', scale=1.0, known=False)
    """
    if source_name in METRICS or source_name.startswith("layers/"):
        return Spelling(source_name)
    lowered = _PLURAL.sub(lambda m: _PLURALS[m[0]], source_name.strip().lower())
    if _TRAINING_ESTIMATE.match(lowered):
        return Spelling("train/loss")
    training = _TRAIN_PREFIX.sub("", lowered)
    plain = _plain(training) or _plain(lowered)
    if plain is not None and plain.name not in _ONLY_OF_EVALUATIONS:
        return plain
    evaluation = _EVAL_PREFIX.match(lowered) or re.match(
        r"^(loss|ppl|acc)[/_](val|valid|validation|eval|test)\w*$", lowered
    )
    if evaluation is None:
        mirrored = re.match(r"^(.+?)[/_ ](train|training)$", lowered)
        return (mirrored and _plain(mirrored[1])) or Spelling(source_name.strip(), known=False)
    return _evaluation_spelling(source_name.strip(), lowered)


def _plain(lowered: str) -> Spelling | None:
    """Look up a training metric: as it is, without a unit at its end, with `_` for blanks and dashes."""
    scaled = _SCALED_ALIASES.get(lowered)
    if scaled:
        return Spelling(*scaled)
    if _OPTIMIZER_LR.match(lowered):
        return Spelling("lr")
    for name, scale in _without_unit(lowered):
        canonical = _ALIASES.get(name) or _ALIASES.get(re.sub(r"[ \-]+", "_", name))
        if canonical:
            return Spelling(canonical, scale)
    return None


def _without_unit(lowered: str) -> list[tuple[str, float]]:
    unit = _UNIT_SUFFIX.search(lowered)
    cut = [(lowered[: unit.start()], _UNITS[unit[1]])] if unit and unit.start() else []
    return [(lowered, 1.0), *cut]


def _evaluation_spelling(source_name: str, lowered: str) -> Spelling:
    mirrored = re.match(r"^(loss|ppl|acc)[/_](val|valid|validation|eval|test)\w*$", lowered)
    if mirrored:
        return Spelling(f"{SPLITS[mirrored[2]]}/{_ALIASES[mirrored[1]]}")
    prefix = _EVAL_PREFIX.match(lowered)
    assert prefix is not None
    word = re.match(r"[a-z]+", prefix[0].removeprefix("metrics/"))
    split = SPLITS.get(word[0], "val") if word else "val"
    rest = lowered[prefix.end() :]
    plain = _plain(rest)
    if plain is not None:
        return Spelling(f"{split}/{plain.name}", plain.scale)
    named_set = _SET_NAME.match(rest)
    if named_set and not (_NOT_A_SET.match(named_set[1]) or NOT_A_LANGUAGE_MODEL_LOSS.search(rest)):
        original = source_name[len(source_name) - len(rest) :][: len(named_set[1])]
        measure = "ppl" if rest.endswith(("ppl", "perplexity")) else "loss"
        return Spelling(f"{original}/{measure}")
    return Spelling(f"{split}/{source_name[len(source_name) - len(rest) :] or 'value'}", known=False)
