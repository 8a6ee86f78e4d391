"""The settings a program wrote down, and which facts of a log header they state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmdiag.readers.rawlog import RawLog

# Header name: spellings, the most telling first. Hugging Face, Megatron-LM, nanoGPT, Lightning, torchtitan.
_NUMBERS = {
    "max_steps": (
        "max_steps",
        "train_iters",
        "max_iters",
        "num_iterations",
        "total_steps",
        "training.steps",
        "num_train_steps",
    ),
    "warmup_steps": ("warmup_steps", "lr_warmup_iters", "warmup_iters", "num_warmup_steps"),
    "grad_clip": ("grad_clip", "max_grad_norm", "clip_grad", "gradient_clip_val", "clip_grad_norm", "grad_clip_norm"),
    "batch_tokens": ("batch_tokens", "total_batch_size_tokens", "tokens_per_step"),
    "grad_accum": ("gradient_accumulation_steps", "grad_accum", "accumulate_grad_batches"),
    "world_size": ("world_size",),
}
_TASKS = {
    "CausalLM": "causal-lm",
    "LMHeadModel": "causal-lm",
    "MaskedLM": "masked-lm",
    "SequenceClassification": "classification",
}


def with_header(raw: RawLog) -> RawLog:
    """Return the log with the facts that the settings of its program state; what the reader found counts more."""
    return replace(raw, config={**header_facts(raw.settings), **raw.config}) if raw.settings else raw


def header_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of a run whose program had these settings; the settings themselves stand under `config`.

    >>> header_facts({"max_grad_norm": 1.0, "max_steps": -1, "bf16": True})["grad_clip"]
    1.0
    >>> sorted(header_facts({"max_grad_norm": 1.0, "max_steps": -1, "bf16": True}))
    ['config', 'grad_clip', 'precision']
    """
    if not settings:
        return {}
    facts: dict[str, Any] = {"config": dict(settings)}
    for fact, spellings in _NUMBERS.items():
        stated = [_positive(settings.get(name)) for name in spellings]
        known = [number for number in stated if number]
        if known:
            facts[fact] = known[0]
    facts |= _precision(settings) | _task(settings) | _vocabulary(settings)
    return facts


def _positive(value: Any) -> float | None:
    """Return a positive number; -1, 0 and None mean that the program was to decide or not to do it."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        return None
    return int(value) if value == int(value) and not isinstance(value, float) else value


def _precision(settings: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("bf16", "fp16"):
        if settings.get(name) in (True, "True", "true"):
            return {"precision": name}
    named = settings.get("precision", settings.get("dtype"))
    return {"precision": named} if isinstance(named, str) else {}


def _task(settings: Mapping[str, Any]) -> dict[str, Any]:
    architectures = str(settings.get("architectures", ""))
    known = [task for ending, task in _TASKS.items() if ending in architectures]
    return {"task": known[0]} if known else {}


def _vocabulary(settings: Mapping[str, Any]) -> dict[str, Any]:
    size = _positive(settings.get("vocab_size"))
    return {"model": {"vocab_size": int(size)}} if size else {}
