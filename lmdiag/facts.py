"""Every fact of a log's header that the settings of a program state, and how other tools spell it.

One table for all of them: headers that programs print, configs that trackers save, trainer states and JSON documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from lmdiag.patterns import lazy

# Name in the header of lmdiag-log/1: spellings, the most telling first. Behind `|` stand those that mean this only in
# a printed header: as a setting `num_steps` can be the length of a rollout, `batch_size` that of one device.
_TABLE = {
    "max_steps": "max_steps train_iters max_iters num_iterations total_steps training_steps num_train_steps max_update"
    " train_steps max_train_steps total_training_steps total_optimization_steps opt_learning_rate_training_steps"
    " | iterations num_steps",
    "warmup_steps": "warmup_steps lr_warmup_iters warmup_iters num_warmup_steps lr_warmup_steps warmup_updates"
    " opt_learning_rate_warmup_steps",
    "grad_clip": "grad_clip max_grad_norm clip_grad gradient_clip_val clip_grad_norm grad_clip_norm gradient_clipping"
    " clip_norm opt_gradient_clip_norm grad_norm_clip gradient_clip",
    "batch_tokens": "batch_tokens total_batch_size_tokens tokens_per_step train_batch_tokens tokens_per_iteration"
    " tokens_per_iteration_will_be total_desired_batch_size",
    "batch_size": "global_batch_size total_train_batch_size | batch_size train_batch_size",
    "grad_accum": "gradient_accumulation_steps grad_accum accumulate_grad_batches grad_accum_steps",
    "world_size": "world_size",
    "label_smoothing": "label_smoothing label_smoothing_factor",
    "model.vocab_size": "vocab_size padded_vocab_size vocabulary_size",
    "model.classes": "num_labels num_classes n_classes number_of_classes",
    "model.params": "number_of_parameters num_parameters model_params number_of_trainable_parameters num_params"
    " total_parameter_count trainable_params",
    "model.context": "seq_length train_seq_len block_size sequence_len max_seq_len sequence_length context_length"
    " max_sequence_length",
    "model.n_layer": "n_layer num_layers n_layers",
    "model.d_model": "n_embd hidden_size d_model model_dim",
}
SETTINGS = {fact: names.partition("|")[0].split() for fact, names in _TABLE.items()}
PRINTED = {name: fact for fact, names in _TABLE.items() for name in names.replace("|", " ").split()}
_TASKS = {
    "CausalLM": "causal-lm",
    "LMHeadModel": "causal-lm",
    "MaskedLM": "masked-lm",
    "SequenceClassification": "classification",
}
_BETWEEN_WORDS = lazy(r"[\s./_-]+")
_GROUPS = lazy(r"(?:(?:model|train(?:er|ing)?|optim(?:izer|ization)?|config|args)_)+(?=.)")
DEEPEST = 5  # groups within groups of settings


def header_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of a run whose program had these settings; the settings themselves stand under `config`.

    >>> sorted(header_facts({"max_grad_norm": 1.0, "max_steps": -1, "bf16": True}))
    ['config', 'grad_clip', 'precision']
    >>> header_facts({"optimization": {"max-update": "1000"}, "model.block_size": 1024, "dtype": "bfloat16"}) | {"config": {}}
    {'config': {}, 'max_steps': 1000, 'model': {'context': 1024}, 'precision': 'bfloat16'}
    """
    if not settings:
        return {}
    named = dict(_named(settings))
    named = {_GROUPS.sub("", name, count=1): value for name, value in named.items()} | named
    header: dict[str, Any] = {"config": dict(settings)}
    for fact, spellings in SETTINGS.items():
        for name in spellings:
            put_fact(header, fact, named.get(name))
    return header | _precision(named) | _task(named)


@lru_cache(maxsize=4096)
def printed_fact(name: str) -> str | None:
    """Return which fact a name in a printed header stands for.

    >>> printed_fact("tokens per iteration will be"), printed_fact("model.n_layer"), printed_fact("seed")
    ('batch_tokens', 'model.n_layer', None)
    """
    name = _plain(name)
    return PRINTED.get(name) or PRINTED.get(_GROUPS.sub("", name, count=1))


def put_fact(header: dict[str, Any], fact: str, value: Any) -> None:
    """Set a fact that is not set yet; `model.x` goes into `header["model"]`.

    What is no positive number says that the program was to decide, or not to do it: -1, 0, None.

    >>> header = {}
    >>> put_fact(header, "model.vocab_size", 50257.0); put_fact(header, "max_steps", -1)
    >>> header
    {'model': {'vocab_size': 50257}}
    """
    number = _positive(value)
    if number is None:
        return
    plain = int(number) if number == int(number) and fact != "grad_clip" else number
    if fact.startswith("model."):
        header.setdefault("model", {}).setdefault(fact.removeprefix("model."), plain)
    else:
        header.setdefault(fact, plain)


def unsound(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a header that should be finite numbers and are none, such as DeepSpeed's `auto`: {name: value}.

    >>> unsound({"max_steps": "auto", "grad_clip": 1.0, "warmup_steps": float("inf"), "model": {"vocab_size": "50k"}})
    {'max_steps': 'auto', 'warmup_steps': inf, 'model.vocab_size': '50k'}
    """
    found = {}
    for fact in (*SETTINGS, "bytes_per_token", "log_every"):
        group, _, name = fact.rpartition(".")
        held = config.get(group) if group else config
        value = held.get(name) if isinstance(held, Mapping) else None
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
        if value is not None and not number:
            found[fact] = value
    return found


def stated(header: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """Return the first finite number, 0 or more, that a header or the settings in it give under one of some names.

    >>> stated({"grad_clip": 1.0, "config": {"optimizer": {"lr": "3e-4"}, "seed": 7}}, ("learning_rate", "lr"))
    0.0003
    """
    named = list(_named(header))
    plain = {_GROUPS.sub("", name, count=1): value for name, value in reversed(named)} | dict(named)
    numbers = (_number(plain.get(name)) for name in names)
    return next((number for number in numbers if number is not None and 0 <= number < float("inf")), None)


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 < number < float("inf") else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _plain(name: str) -> str:
    return _BETWEEN_WORDS.sub("_", name.strip().lower())


def _named(settings: Mapping[str, Any], group: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every setting by its plain name, with the names of its groups in front."""
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            yield _plain(f"{group}{name}"), value
        elif depth < DEEPEST:
            yield from _named(value, f"{group}{name}.", depth + 1)


def _precision(named: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("bf16", "fp16"):
        if named.get(name) in (True, "True", "true"):
            return {"precision": name}
    said = named.get("precision", named.get("dtype"))
    return {"precision": said} if isinstance(said, str) else {}


def _task(named: Mapping[str, Any]) -> dict[str, Any]:
    architectures = str(named.get("architectures", ""))
    known = [task for ending, task in _TASKS.items() if ending in architectures]
    return {"task": known[0]} if known else {}
