"""modded-nanogpt, parameter-golf and their many descendants: `step:125/1770 val_loss:4.6539 train_time:12048ms`."""

from __future__ import annotations

from lmdiag.readers.numbers import NUM
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.named_numbers import paired
from lmdiag.readers.text.patterns import lazy

SPEEDRUN = LineFormat(
    "modded-nanogpt",
    "modded-nanogpt, parameter-golf",
    paired(placed_only=True),
    (
        ("step:", lazy(r"(?<!\w)step:\d+(?:/\d+)?,? .*(?:train_time|step_avg|train_loss|val_loss|val_bpb|avg):")),
        ("_loss: ", lazy(rf"^(?:\S+ )*\d+/\d+ (?:train|val)_loss: {NUM}")),
    ),
    names={"avg_train_loss": "loss", "train_time": "elapsed_s", "eval_time": "val/eval_time_s"},
    not_facts=("warmup_steps",),  # steps that warm the compiler up
)
