#!/usr/bin/env bash
# mlx-lm 0.32.2: an evaluation of `val_batches`, 25 by default, draws them anew each time: the validation loss of a larger set goes up and
# down though no weight has moved. Batches hold texts of about one length, so that one may differ much from another. The training
# loss is no mean of the same kind: it weighs batches alike, that of the validation tokens. `iterations_per_second` of a last report
# that comes early divides the steps of a full one by its time.
#
# Seen, with mlx 0.32.4 on a CPU, for a rate of 0, and the same 64 texts for training and validation, in batches of 4: of 16 long
# ones the model knows nearly every token, of 48 short ones none
#   train_loss of all texts      15.05 in each report
#   val_loss of all texts        4.52 in each
#   val_loss of 4 batches        1.89, 4.52, or 20.0
#   the last report, 2 steps     iterations_per_second as of 16
#
# Ends with 1 where mlx-lm does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'mlx[cpu]==0.32.4' mlx-lm==0.32.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import mlx.core as mx
import numpy
from mlx import nn, optimizers
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.trainer import TrainingArgs, train

WORDS = 1024
mx.set_default_device(mx.cpu)


class Counting(nn.Module):
    """Says n + 1 after n, with all certainty; its weight takes no part."""

    def __init__(self):
        super().__init__()
        self.layers, self.weight = [nn.Linear(1, 1)], mx.zeros((1,))

    def __call__(self, tokens):
        return 20.0 * (mx.arange(WORDS) == ((tokens + 1) % WORDS)[..., None]) + 0.0 * self.weight


class Reports(TrainingCallback):
    def __init__(self):
        self.training, self.validation = [], []

    def on_train_loss_report(self, report):
        self.training.append(report)

    def on_val_loss_report(self, report):
        self.validation.append(report["val_loss"])


random = numpy.random.default_rng(0)
short = [(random.integers(1, WORDS, 9).tolist(), 0) for _ in range(48)]
long = [(list(range(start, start + 97)), 0) for start in random.integers(1, WORDS - 97, 16).tolist()]
texts = short + long


def reports(batches):
    """Train at a rate of 0 on texts that are evaluated as well, every tenth step, so many batches at a time."""
    numpy.random.seed(0)
    heard = Reports()
    options = dict(batch_size=4, val_batches=batches, steps_per_report=16, steps_per_eval=10, steps_per_save=1000)
    arguments = TrainingArgs(iters=98, max_seq_length=256, adapter_file="adapters.safetensors", **options)
    train(Counting(), optimizers.SGD(learning_rate=0.0), texts, texts, args=arguments, training_callback=heard)
    return heard


whole, few = reports(-1), reports(4)
print()
print("mlx-lm", version("mlx-lm"), "mlx", version("mlx"))
losses = [round(report["train_loss"], 2) for report in whole.training]
last = whole.training[-1]
tokens = last["trained_tokens"] - whole.training[-2]["trained_tokens"]
steps = tokens / last["tokens_per_second"] * last["iterations_per_second"]
print("train_loss", losses, "val_loss of all", [round(loss, 2) for loss in whole.validation])
print("val_loss of 4 batches", [round(loss, 2) for loss in few.validation])
print(f"steps of the last report, by its speeds: {steps:.1f}")
right = (
    len(set(losses[:-1])) == 1
    and max(whole.validation) - min(whole.validation) < 0.01
    and losses[0] > 3 * whole.validation[0]
    and max(few.validation) - min(few.validation) > 2
    and abs(steps - 16) < 0.1
)
sys.exit(0 if right else 1)
PYTHON
