#!/usr/bin/env bash
# mlx-lm 0.32.2 with `grad_accumulation_steps`: `iters`, reports and evaluations count batches, and the `lr_schedule` counts updates. A schedule that is
# written for the iterations of the run, as without accumulation, warms up for four times as many of them where four batches make an
# update, and goes through the first quarter of its decay: the rate stays near its peak until the end. No message says so.
#
# Seen, with mlx 0.32.4 on a CPU, for 40 iterations, `cosine_decay` from 0.01 to 0.0001 in 40 steps and a warm-up of 4: the reported rates
#   iteration         8         16        24        32        40
#   no accumulation   0.00994   0.00855   0.00582   0.0028    0.00064
#   4 batches         0.0025    0.0075    0.01      0.00994   0.00976
#
# Ends with 1 where mlx-lm does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'mlx[cpu]==0.32.4' mlx-lm==0.32.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import mlx.core as mx
from mlx import nn, optimizers
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import build_schedule

mx.set_default_device(mx.cpu)
texts = [([(first + place) % 30 + 1 for place in range(10)], 0) for first in range(32)]
schedule = {"name": "cosine_decay", "warmup": 4, "arguments": [1e-2, 40, 1e-4]}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.layers, self.head = nn.Embedding(32, 16), [nn.Linear(16, 16)], nn.Linear(16, 32)

    def __call__(self, tokens, cache=None):
        return self.head(self.layers[0](self.embedding(tokens)))


class Rates(TrainingCallback):
    def __init__(self):
        self.rates = {}

    def on_train_loss_report(self, report):
        self.rates[report["iteration"]] = round(report["learning_rate"], 5)


def rates(accumulated):
    """Return the rates that are reported, and what is printed."""
    callback, printed = Rates(), io.StringIO()
    arguments = TrainingArgs(
        batch_size=4, iters=40, steps_per_report=8, steps_per_eval=1000, val_batches=1, max_seq_length=32, steps_per_save=1000,
        adapter_file="adapter.safetensors", grad_accumulation_steps=accumulated,
    )
    with contextlib.redirect_stdout(printed):
        train(Small(), optimizers.Adam(learning_rate=build_schedule(schedule)), texts, texts, arguments, training_callback=callback)
    return callback.rates, printed.getvalue()


print(f"mlx-lm {version('mlx-lm')}, mlx {version('mlx')}")
(plain, _), (slow, printed) = rates(1), rates(4)
print("no accumulation", plain)
print("4 batches      ", slow)
said = "schedule" in printed + open("stderr.txt").read()
right = plain[8] > 0.0099 and plain[40] < 0.001 and slow[8] == 0.0025 and slow[16] == 0.0075 and slow[40] > 0.0097
sys.exit(0 if right and list(slow) == [8, 16, 24, 32, 40] and not said else 1)
PYTHON
