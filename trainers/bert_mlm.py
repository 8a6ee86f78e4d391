"""A small BERT trained to fill in masked tokens, with Hugging Face's `Trainer` and a callback that writes the log.

Read `train` from top to bottom: a BPE tokenizer trained on the text, windows of tokens, `BertForMaskedLM` from a
config, a collator that masks 15% of the tokens, `TrainingArguments`. Devlin et al. 2019 describe the task. The folder
`final` beside the log holds model and tokenizer: `classifier` goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import corpus, results, resuming
from trainers.borrowed_loops import check_fault
from trainers.borrowed_models import save_settings
from trainers.faults import Hooks
from trainers.progress import Progress
from trainers.settings import Files, check_numbers, checkpoint_folder, setting

BEGUN = "begun.json"  # in a checkpoint: which run it is of
SCORES = ("accuracy", "f1", "recall", "auc")  # of the classifier, which shares this bar
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


@dataclass
class Settings(Files):
    """The settings of the masked language model; its tokenizer is always BPE."""

    tokenizer: str = setting("bpe", "what a token is", ("bpe",))
    vocab_size: int = setting(300, "tokens of the vocabulary, 256 bytes and 5 special ones included", least=1)

    # how long, and on how much
    steps: int = setting(1000, "optimizer updates", least=1)
    batch_size: int = setting(64, "sequences per optimizer update, all devices together", least=1)
    context: int = setting(32, "tokens per sequence, the two at its ends included", least=1)
    accumulation: int = setting(1, "micro-batches per optimizer update; divides the batch size", least=1)

    # how fast
    lr: float = setting(3e-3, "peak learning rate")
    schedule: str = setting("linear", "learning rate after the warm-up", ("linear", "cosine", "constant_with_warmup"))
    warmup_steps: int = setting(80, "steps of linear warm-up")
    grad_clip: float = setting(2.0, "limit of the global gradient norm; 0: none")
    weight_decay: float = setting(0.01, "decay of matrices; vectors are never decayed")

    # the model and its task
    n_layer: int = setting(2, "blocks", least=1)
    n_head: int = setting(4, "attention heads; divides the width", least=1)
    d_model: int = setting(96, "width of the residual stream", least=1)
    dropout: float = setting(0.0, "share of activations dropped in training")
    init_std: float = setting(0.05, "standard deviation of the first weights: BERT's 0.02 is for a width of 768")
    masked: float = setting(0.15, "share of the tokens to predict")

    # how often to look, and what to keep
    layers_every: int = setting(10, "steps between per-layer statistics; 0: none")
    eval_every: int = setting(50, "steps between evaluations", least=1)
    eval_tokens: int = setting(4096, "tokens of the validation split to evaluate on; 0: all of it")
    save_every: int = setting(200, "steps between checkpoints", least=1)
    keep: int = setting(2, "newest checkpoints to keep", least=1)
    checkpoints: str = setting("", "folder for checkpoints and the final model; default: beside the log")
    resume: bool = setting(False, "continue from the newest checkpoint and append to the log")

    # where and in which numbers
    device: str = setting("auto", "auto (the accelerator there is) or cpu", ("auto", "cpu"))
    precision: str = setting("fp32", "numbers of the forward pass; bf16 and fp16 by autocast", ("fp32", "bf16", "fp16"))


def train(settings: Settings, hooks: Hooks) -> None:
    """Train with `Trainer.train`; raises ValueError for settings that do not fit together."""
    check_fault(hooks, "the Trainer")
    check_numbers(settings)
    if settings.d_model % settings.n_head:
        raise ValueError(f"--n-head {settings.n_head} does not divide --d-model {settings.d_model}")
    if settings.batch_size % parts(settings):
        raise ValueError(f"{parts(settings)} micro-batches do not divide --batch-size {settings.batch_size}")
    with tempfile.TemporaryDirectory() as scratch:
        if settings.dry_run:
            settings = dataclasses.replace(settings, steps=2, eval_every=2, log=os.devnull, checkpoints=scratch)
        _train(settings)


def _train(settings: Settings) -> None:
    import transformers

    from lmdiag.record.huggingface import LmdiagCallback

    transformers.set_seed(settings.seed)

    # ---- data: documents -> tokenizer -> windows

    texts, held_out, tested = corpus.split(corpus.documents(tuple(settings.data), settings.max_characters)[0])
    tokenizer = train_tokenizer(texts, settings.vocab_size, settings.context)
    training = windows(texts, tokenizer, settings.context)
    if settings.train_tokens:
        training = training[: max(1, settings.train_tokens // settings.context)]
    validation, test = (windows(part, tokenizer, settings.context) for part in (held_out, tested))
    if settings.eval_tokens:
        validation = validation[: max(1, settings.eval_tokens // settings.context)]

    # ---- model: an ordinary BERT, only small

    model = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.d_model,
            num_hidden_layers=settings.n_layer,
            num_attention_heads=settings.n_head,
            intermediate_size=4 * settings.d_model,
            max_position_embeddings=settings.context,
            initializer_range=settings.init_std,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # The Trainer takes BERT to divide its loss by the masked tokens of all micro-batches; BERT takes the mean of each,
    # and the loss would be too large by the number of micro-batches and of processes
    model.accepts_loss_kwargs = False  # type: ignore[assignment]
    start_positions(model, settings)

    # ---- the Trainer, and the callback that writes our log

    folder = checkpoint_folder(settings)
    header = header_facts(settings, "masked-lm") | {"reference_loss": reference_losses(training, tokenizer, training)}
    callback = LmdiagCallback(settings.log, settings.layers_every, **header)
    trainer = transformers.Trainer(
        model,
        arguments(settings, folder),
        data_collator=masking(tokenizer, settings),
        train_dataset=training,
        eval_dataset=validation,
        callbacks=[callback],
    )
    with callback, show_progress(trainer, settings) as progress:  # when training is interrupted, the log says it
        progress.say(
            f"text: {len(training):,} windows of {settings.context} tokens to train on; {len(tokenizer):,} bpe tokens"
        )
        progress.say(f"model: bert-mlm with {model.num_parameters():,} parameters")
        begun = resuming.begun(settings, tokenizer.backend_tokenizer.to_str(), [row["input_ids"] for row in training])
        go_on(trainer, settings, begun, progress)
    if not settings.dry_run:
        trainer.callback_handler.callbacks.clear()  # the log of the training has ended
        parts_of_text: dict[str, Any] = {"validation": validation, "test": test}
        losses = {part: trainer.evaluate(rows)["eval_loss"] for part, rows in parts_of_text.items()}
        references = reference_losses(training, tokenizer, test)
        progress.say(results.about_losses(losses, references, "pseudo-perplexity"))
    trainer.save_model(str(folder / "final"))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(str(folder / "final"))
        save_settings(folder / "final", settings)


def start_positions(model: Any, settings: Settings) -> None:
    """Start the positions, which are learned, from waves no longer than a sequence.

    A masked token is told by its neighbours, and who starts from noise has to learn first which positions these are:
    that takes longer than the whole run. Between waves "one further" is the same rotation everywhere.
    """
    import torch

    from trainers.transformer import sinusoids

    waves = sinusoids(settings.context, settings.d_model, longest=settings.context)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.copy_(waves * settings.init_std)


def masking(tokenizer: Any, settings: Settings) -> Any:
    """Return the collator: it masks tokens by chance, but the same batch always in the same way.

    A mask drawn from the global generator would depend on when the batch is made, and the Trainer makes each while the one
    before it is trained on: a checkpoint holds the generator's state one batch too late, and a resumed run makes its first
    two before it loads that state. Drawn from the batch's own tokens, masks are those of the run that was never
    interrupted. Every pass has other batches and so other masks; every evaluation has the same.
    """
    import torch
    import transformers

    # Of the tokens to predict, 80% become [MASK], 10% another token, 10% stay: at work the model sees no [MASK] at all
    collator: Any = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=settings.masked)

    def mask(rows: list[dict[str, list[int]]]) -> Any:
        tokens = np.array([row["input_ids"] for row in rows])
        collator.generator = torch.Generator().manual_seed(zlib.crc32(tokens.tobytes(), settings.seed))
        return collator(rows)

    return mask


# ---- shared with `classifier`


def train_tokenizer(texts: list[str], vocab_size: int, context: int) -> Any:
    """Train byte-pair encoding on the text; what it gives has the interface of any Hugging Face tokenizer."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    bpe = Tokenizer(models.BPE(unk_token=SPECIAL["unk_token"]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()  # every byte: no text of any script is unknown
    learner: Any = BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL.values()), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, learner)
    cls, sep = (bpe.token_to_id(SPECIAL[name]) for name in ("cls_token", "sep_token"))
    bpe.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=context, **SPECIAL)


def windows(texts: list[str], tokenizer: Any, context: int) -> list[dict[str, list[int]]]:
    """Encode documents one after the other and cut them into windows of full length: no padding, no waste."""
    ids = [i for text in texts for i in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
    size = context - 2
    if len(ids) < size:
        raise ValueError(f"{len(ids)} tokens are too few for a context of {context} tokens")
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    return [{"input_ids": [cls, *ids[at : at + size], sep]} for at in range(0, len(ids) - size + 1, size)]


def reference_losses(
    rows: list[dict[str, list[int]]], tokenizer: Any, asked: list[dict[str, list[int]]]
) -> dict[str, float]:
    """Return what a masked token of `asked` costs who knows the vocabulary only, or how often each token occurs in `rows`; nats."""
    counts, wanted = (
        np.bincount([i for row in part for i in row["input_ids"][1:-1]], minlength=len(tokenizer))
        for part in (rows, asked)
    )
    costs = -np.log(np.maximum(counts, 1) / counts.sum())  # never seen counts as once: it may be asked for
    return {
        "uniform": round(float(np.log(len(tokenizer))), 5),
        "unigram": round(float((wanted * costs).sum() / wanted.sum()), 5),
    }


def parts(settings: Any) -> int:
    """Return into how many micro-batches an update is cut: over time, and over the processes of torchrun."""
    return settings.accumulation * int(os.environ.get("WORLD_SIZE", "1"))


def arguments(settings: Any, folder: Path, **changes: Any) -> Any:
    """Translate our settings into those of the Trainer."""
    import transformers

    options: dict[str, Any] = {
        "max_steps": settings.steps,
        "per_device_train_batch_size": settings.batch_size // parts(settings),
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "learning_rate": settings.lr,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "max_grad_norm": settings.grad_clip,
        "weight_decay": settings.weight_decay,
        "logging_steps": 1,  # the Trainer waits for the device at each; our callback does so anyway
        "logging_nan_inf_filter": False,  # it would log the mean of the losses so far in place of NaN
        "eval_strategy": "steps",
        "eval_steps": settings.eval_every,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": settings.keep,
        "use_cpu": settings.device == "cpu",
        "bf16": settings.precision == "bf16",
        "fp16": settings.precision == "fp16",
        "dataloader_pin_memory": False,  # worth it for inputs larger than a few token ids
        "seed": settings.seed,
        "include_num_input_tokens_seen": "all",  # so that a resumed run goes on counting
        "report_to": [],
    }
    return transformers.TrainingArguments(str(folder), **(options | changes))


def show_progress(trainer: Any, settings: Any) -> Progress:
    """Put our progress bar, to be entered, in the place of the Trainer's own printing: the log has every record."""
    import transformers
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    transformers.logging.disable_progress_bar()
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    progress = Progress(settings.steps, quiet=settings.dry_run)

    class Bar(transformers.TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **objects: Any) -> None:
            if "loss" in logs:
                progress.step(state.global_step, logs["loss"])

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **objects: Any) -> None:
            scores = ", ".join(f"{name} {metrics[f'eval_{name}']:.3f}" for name in SCORES if f"eval_{name}" in metrics)
            progress.evaluation(state.global_step, metrics["eval_loss"], also=scores or "pseudo-perplexity")

    trainer.add_callback(Bar())
    return progress


def go_on(trainer: Any, settings: Any, begun: dict[str, Any], progress: Progress) -> None:
    """Train, from the newest checkpoint where that is asked for; each checkpoint says which run it is of."""
    import transformers

    class Beside(transformers.TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
            if state.is_world_process_zero:
                path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / BEGUN
                path.write_text(json.dumps(begun), encoding="utf-8")

    trainer.add_callback(Beside())
    if not settings.resume:
        trainer.train()
        return
    path = Path(newest(checkpoint_folder(settings)))
    kept = json.loads((path / BEGUN).read_text(encoding="utf-8")) if (path / BEGUN).exists() else None
    if said := resuming.other_text(kept, begun):
        progress.say(said)
    trainer.train(resume_from_checkpoint=str(path))


def newest(folder: Path) -> str:
    """Return the newest checkpoint; raises ValueError where there is none."""
    from transformers.trainer_utils import get_last_checkpoint

    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise ValueError(f"no checkpoint in {folder}: train with --save-every N first")
    return found


def header_facts(settings: Any, task: str) -> dict[str, Any]:
    """Return the facts of the header that the callback cannot know."""
    return {
        "name": Path(settings.log).stem,
        "clock": settings.clocks,
        "run_id": settings.run_id(),
        "task": task,
        "batch_tokens": settings.batch_size * settings.context,
        "config": dataclasses.asdict(settings),
    }
