"""The fields of `lmdiag-log/1`, and the JSON Schema made from them."""

from __future__ import annotations

from typing import Any

from lmdiag.record.writer import SCHEMA

# {field: meaning}, for each type of record. Readers keep unknown numeric fields as extra metrics, so that
# none of these lists is closed.
_TEXTS = {
    "run": {
        "schema": "version of the format",
        "run_id": "the same for every record of one run, also after a resume",
        "name": "what the user calls the run",
        "framework": "program that trained",
        "framework_version": "its version",
        "task": "what the loss is of: `causal-lm`, `masked-lm`, `classification`, `preference`, `reinforcement`, `distillation`",
        "method": "how a model is trained that was trained before: `sft`, `dpo`, `kto`, `reward-model`, `grpo`, `rloo`, …",
        "optimizer": "name of the optimizer",
        "lr_schedule": "name of the learning-rate schedule",
        "precision": "`fp32`, `bf16`, `fp16`",
        "loss_unit": "unit of the loss: `nats` per token",
        "loss_reduction": "what `loss` averages: `step_mean`, `window_mean`, `last_micro`, `ema`",
    },
    "step": {},
    "eval": {"split": "evaluation set: `val`, `test`, `train` or its own name"},
    "event": {
        "kind": "`restart`, `checkpoint_saved`, `checkpoint_loaded`, `skipped_step`, `sample`, `exception`, …",
        "message": "what happened; the generated text of a `sample`",
    },
    "end": {"status": "how the run ended"},
}

_NUMBERS = {
    "run": {
        "time": "Unix time, s",
        "max_steps": "optimizer updates planned",
        "warmup_steps": "updates until the learning rate is at its peak",
        "batch_tokens": "tokens per optimizer update, all devices",
        "batch_size": "sequences per optimizer update, all devices",
        "grad_accum": "micro-batches per optimizer update",
        "world_size": "processes",
        "grad_clip": "limit of the global gradient norm; 0 for none",
        "label_smoothing": "share of the target probability that is spread over all classes",
        "log_every": "steps per step record",
        "bytes_per_token": "bytes of UTF-8 text per token, for bits per byte",
        "resumed_from_step": "step of the checkpoint a resumed run continues",
    },
    "step": {
        "step": "optimizer updates completed when the values were measured",
        "time": "Unix time, s",
        "loss": "training loss, nats per token",
        "lr": "learning rate of the first parameter group",
        "grad_norm": "global L2 norm of the gradient before clipping",
        "loss_scale": "loss scale of fp16 training",
        "epoch": "passes over the training data, fractional",
        "tokens": "tokens trained on so far, all devices",
        "samples": "sequences trained on so far, all devices",
        "tokens_per_sec": "training speed, all devices, tokens/s",
        "tokens_per_sec_per_device": "training speed of one device, tokens/s",
        "step_time_s": "time of one optimizer step, s",
        "data_time_s": "part of it spent waiting for data, s",
        "mem_bytes": "memory allocated on the device (on a CPU: by the process), bytes",
        "mem_reserved_bytes": "memory reserved on the device, bytes",
        "tflops_per_device": "useful arithmetic of one device, TFLOP/s",
        "mfu": "model FLOPs utilisation, fraction",
        "param_norm": "global L2 norm of the parameters",
        "update_norm": "global L2 norm of the last parameter update",
        "update_ratio": "update norm over parameter norm",
        "clip_frac": "share of the steps since the last record whose gradient was clipped",
        "skipped": "updates skipped since the last record",
        "nan_steps": "steps with a non-finite loss since the last record",
    },
    "eval": {
        "step": "optimizer updates completed when the values were measured",
        "time": "Unix time, s",
        "loss": "mean loss over the set, nats per token",
        "ppl": "perplexity: exp of the loss",
        "bpb": "bits per byte of text",
        "accuracy": "share of right answers, fraction",
        "f1": "F1 score, fraction",
        "recall": "recall, fraction",
        "auc": "area under the ROC curve, fraction",
        "n_tokens": "target tokens the loss averages over",
        "eval_time_s": "time of the evaluation, s",
    },
    "event": {"step": "updates completed when it happened", "time": "Unix time, s"},
    "end": {
        "step": "last step",
        "time": "Unix time, s",
        "elapsed_s": "time since the run began or was resumed, s",
        "exit_code": "exit code of the process",
    },
}

_OBJECTS = {
    "run": {
        "model": "facts of the model: `params`, `vocab_size`, `classes`, `n_layer`, `d_model`, `context`",
        "config": "the program's own settings",
        "reference_loss": "losses of simple models on the evaluation set: `uniform`, `unigram`, `bigram`, `ngram`",
    },
    "step": {"layers": "statistics by layer: {name: {`grad_norm`, `param_norm`, `update_ratio`}}"},
    "eval": {},
    "event": {},
    "end": {},
}

_REQUIRED = {
    "run": ["schema", "run_id"],
    "step": ["step"],
    "eval": ["step", "split"],
    "event": ["kind"],
    "end": ["status"],
}

_LAYER = {"type": "object", "additionalProperties": {"$ref": "#/$defs/number"}}
_EXACT: dict[tuple[str, str], dict[str, Any]] = {
    ("run", "schema"): {"const": SCHEMA},
    ("end", "status"): {"enum": ["completed", "stopped", "crashed", "killed", "running"]},
    ("step", "layers"): {"type": "object", "additionalProperties": _LAYER},
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that one record, that is one line, of a standard log fulfils.

    >>> schema = json_schema()
    >>> schema["$schema"], [rule["then"]["title"] for rule in schema["allOf"]]
    ('https://json-schema.org/draft/2020-12/schema', ['run', 'step', 'eval', 'event', 'end'])
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "One record of the log of a training run; a log is one record per line, in order of time.",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "description": f"{', '.join(_TEXTS)}; others are ignored"}},
        "allOf": [{"if": {"properties": {"type": {"const": kind}}}, "then": _record_schema(kind)} for kind in _TEXTS],
        "$defs": {
            "number": {
                "description": "a number, or what JSON has no number for; null: not measured",
                "anyOf": [{"type": ["number", "null"]}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
            },
            "step": {"type": "integer", "minimum": 0},
        },
    }


def _record_schema(kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, meaning in _TEXTS[kind].items():
        properties[name] = {"type": "string", "description": meaning}
    for name, meaning in _NUMBERS[kind].items():
        what = {"$ref": "#/$defs/step"} if name == "step" else {"$ref": "#/$defs/number"}
        properties[name] = {**what, "description": meaning}
    for name, meaning in _OBJECTS[kind].items():
        properties[name] = {"type": "object", "description": meaning}
    for (owner, name), exact in _EXACT.items():
        if owner == kind:
            properties[name] |= exact
    return {"title": kind, "required": ["type", *_REQUIRED[kind]], "properties": properties}
