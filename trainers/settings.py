"""The settings all PyTorch trainers share; each trainer's own `Settings` adds to them.

A field carries its help text; `trainers.__main__` makes the command line from the fields, and a recipe is a TOML file
that sets some of them.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


def setting(
    default: Any, help: str, choices: tuple[str, ...] = (), also: tuple[str, ...] = (), least: float = 0
) -> Any:
    """Declare a setting: its default, what it means with its unit, the values it may take, other names of its option.

    A number is at least `least`.
    """
    metadata = {"help": help, "choices": choices, "also": also, "least": least}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def check_numbers(settings: Any) -> None:
    """Raise ValueError for a number that is smaller than its setting allows."""
    for declared in fields(settings):
        value, least = getattr(settings, declared.name), declared.metadata["least"]
        if isinstance(value, int | float) and not value >= least:  # NaN is not, either
            raise ValueError(f"--{declared.name.replace('_', '-')} must be at least {least}, not {value}")
        if isinstance(value, float) and math.isinf(value):
            raise ValueError(f"--{declared.name.replace('_', '-')} must be a number, not infinite")


def check_alone(name: str) -> None:
    """Raise ValueError under `torchrun`, for a trainer of which every process would train the same."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"{name} trains in one process: start it without torchrun")


def checkpoint_folder(settings: Any) -> Path:
    """Return where checkpoints go: the folder asked for, else one beside the log and named after it."""
    return Path(settings.checkpoints) if settings.checkpoints else Path(settings.log).with_suffix(".checkpoints")


@dataclass
class Output:
    """Where a run writes to, and whether it writes the same again."""

    log: str = setting(  # torchrun takes --log for an abbreviation of its own --log-dir, hence the second name
        "", "log to write (lmdiag-log/1, JSON Lines); default: runs/NAME-FAULT-SEED.jsonl", also=("--log-file",)
    )
    clocks: bool = setting(True, "log times, speed and memory; without them the same command writes the same log")
    seed: int = setting(1, "seed of weights, batches and dropout")
    dry_run: bool = setting(False, "build everything, train two steps, write no log")

    def run_id(self) -> str:
        """Return an id for the log: none, so that each run gets its own, or one that the same command gives again."""
        return "" if self.clocks else f"{Path(self.log).stem}-{self.seed}"


@dataclass
class Files(Output):
    """Where a run reads from as well."""

    data: list[str] = setting([], "UTF-8 text files, or markov:K, a source of known entropy; default: Python's docs")  # noqa: RUF009
    tokenizer: str = setting("char", "what a token is", ("char", "word", "bpe"))
    vocab_size: int = setting(1024, "most tokens a word or BPE vocabulary may have", least=1)
    max_characters: int = setting(1_000_000, "characters of text to use; 0: all of it")
    train_tokens: int = setting(0, "tokens to train on; 0: all of the training split")


@dataclass
class Settings(Files):
    """What the shared training loop needs to know."""

    # how long, and on how much
    steps: int = setting(500, "optimizer updates", least=1)
    batch_size: int = setting(24, "sequences per optimizer update, all devices together", least=1)
    context: int = setting(64, "tokens per sequence", least=1)
    accumulation: int = setting(1, "micro-batches per optimizer update; divides the batch size", least=1)

    # how fast
    lr: float = setting(4e-3, "peak learning rate")
    schedule: str = setting("cosine", "learning rate after the warm-up", ("cosine", "linear", "wsd", "constant"))
    warmup_steps: int = setting(30, "steps of linear warm-up")
    min_lr_ratio: float = setting(0.1, "learning rate at the end, as a share of the peak")
    grad_clip: float = setting(1.0, "limit of the global gradient norm; 0: none")
    weight_decay: float = setting(0.1, "decay of matrices; vectors are never decayed")

    # how often to look
    log_every: int = setting(1, "steps per step record", least=1)
    layers_every: int = setting(10, "steps between per-layer statistics; 0: none")
    eval_every: int = setting(50, "steps between evaluations", least=1)
    eval_tokens: int = setting(8192, "tokens of the validation split to evaluate on; 0: all of it")
    sample: int = setting(200, "tokens of text to write at the end, printed and logged; 0: none")
    temperature: float = setting(0.8, "temperature of the generated text")
    top_k: int = setting(50, "generate among this many likeliest tokens; 0: among all")

    # where and in which numbers
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: str = setting("fp32", "numbers of the forward pass; bf16 and fp16 by autocast", ("fp32", "bf16", "fp16"))
    compile: bool = setting(False, "compile the model with torch.compile: slow to start, then faster")
    fsdp: bool = setting(False, "split parameters and optimizer over the processes of torchrun, not only the batch")
    all_ranks: bool = setting(False, "let every process write a log, FILE.rankN.jsonl, to see which one is slow")
    skip_nonfinite: bool = setting(False, "skip updates whose gradient is not finite (fp16 always does)")

    # checkpoints
    checkpoints: str = setting("", "folder for checkpoints and the trained model; default: beside the log")
    checkpoint_every: int = setting(0, "steps between checkpoints; 0: none")
    keep: int = setting(3, "newest checkpoints to keep", least=1)
    save: bool = setting(True, "save the trained model at the end, in the folder `final` beside the checkpoints")
    resume: bool = setting(False, "continue from the newest checkpoint, exactly, and append to the log")
