"""Facts of the header that a printed log states before its first records: batch sizes, clipping, vocabulary, …."""

from __future__ import annotations

from typing import Any

from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import NUM, human, number

_NAMES = {
    "max_steps": "max_steps max_iters train_iters iterations num_iterations total_steps num_train_steps num_steps"
    " total_optimization_steps max_update train_steps total_training_steps max_train_steps",
    "warmup_steps": "warmup_steps warmup_iters lr_warmup_iters lr_warmup_steps num_warmup_steps warmup_updates",
    "grad_clip": "grad_clip clip_grad gradient_clipping max_grad_norm clip_norm gradient_clip_val grad_clip_norm"
    " opt_gradient_clip_norm grad_norm_clip clip_grad_norm gradient_clip",
    "batch_tokens": "batch_tokens train_batch_tokens tokens_per_iteration_will_be tokens_per_step total_batch_size_tokens"
    " tokens_per_iteration total_desired_batch_size",
    "batch_size": "global_batch_size batch_size total_train_batch_size train_batch_size",
    "grad_accum": "grad_accum grad_accum_steps gradient_accumulation_steps",
    "world_size": "world_size",
    "model.vocab_size": "vocab_size padded_vocab_size vocabulary_size",
    "model.params": "number_of_parameters num_parameters model_params number_of_trainable_parameters num_params"
    " total_parameter_count trainable_params",
    "model.context": "seq_length train_seq_len block_size sequence_len max_seq_len sequence_length context_length",
    "model.n_layer": "n_layer num_layers n_layers",
    "model.d_model": "n_embd hidden_size d_model model_dim",
}
_HEADER_NAME = {word: header for header, words in _NAMES.items() for word in words.split()}
_ASSIGNED = lazy(rf"(?:[:=]|(?<!\.)\.{{3,}}+|\bis)\s*({NUM})([KMB]?)(?![\w.])")
_BETWEEN_NAMES = lazy(r"[,;(){}\[\]|\"'\t]|\s-\s|[:=]\s?|\.{3,}")
LONGEST_NAME = 60
MOST_WORDS = 5
_TOTAL_BATCH = lazy(rf"[Tt]otal batch size ({NUM}) => ")


def find_facts(piece: str, config: dict[str, Any]) -> None:
    """Put the facts that a piece of the header states into `config`.

    >>> config = {}
    >>> find_facts("number of parameters: 123.69M, grad_clip=1.0", config)
    >>> config
    {'model': {'params': 123690000}, 'grad_clip': 1.0}
    """
    for match in _ASSIGNED.finditer(piece):
        header = _header_name(piece[max(0, match.start() - LONGEST_NAME) : match.start()])
        if header:
            put_fact(config, header, human(match[1].replace(",", "") + match[2]))
    if "otal batch size" in piece and (total := _TOTAL_BATCH.search(piece)):
        put_fact(config, "batch_tokens", number(total[1]))


def _header_name(before: str) -> str | None:
    """Return the header name of the longest known name that ends a text."""
    words = _BETWEEN_NAMES.split(before.rstrip(" '\"."))[-1].lower().replace("-", "_").split()
    names = ("_".join(words[-count:]) for count in range(min(len(words), MOST_WORDS), 0, -1))
    return next((_HEADER_NAME[name] for name in names if name in _HEADER_NAME), None)


def put_fact(config: dict[str, Any], header: str, value: float) -> None:
    """Set a header fact that is not set yet; `model.x` goes into `config["model"]`.

    >>> config = {}
    >>> put_fact(config, "model.vocab_size", 50257.0)
    >>> config
    {'model': {'vocab_size': 50257}}
    """
    if value != value or value <= 0 or value in (float("inf"),):
        return
    plain = int(value) if value == int(value) and header != "grad_clip" else value
    if header.startswith("model."):
        config.setdefault("model", {}).setdefault(header.removeprefix("model."), plain)
    else:
        config.setdefault(header, plain)
