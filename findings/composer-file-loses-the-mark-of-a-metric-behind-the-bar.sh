#!/usr/bin/env bash
# Composer 0.32.1: with the progress bar, which is on by default, `FileLogger` writes the first metric of each call behind
# the bar that it captured, without `[metric][batch=N]:`. Which metric that is depends on the order of the callbacks: with
# LRMonitor first, no learning rate of a run can be found among the metrics of its file, and none says its batch.
#
# Seen on a CPU, 5 batches of one epoch:
#   progress_bar=True    lines [metric][batch=N]: lr-SGD/group0: 0    lines that end with "lr-SGD/group0: 0.1000": 5
#   progress_bar=False   lines [metric][batch=N]: lr-SGD/group0: 5
#
# Ends with 1 where Composer does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mosaicml==0.32.1
cd "$folder"
venv/bin/python - 2>stderr.txt <<'PYTHON'
import re
import sys

import composer
import torch
from composer import Trainer
from composer.callbacks import LRMonitor
from composer.loggers import FileLogger
from composer.models import ComposerModel
from torch.utils.data import DataLoader, TensorDataset


class Small(ComposerModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, batch):
        return self.layer(batch[0])

    def loss(self, outputs, batch):
        return outputs.square().mean()


def rates(bar):
    """Return how many lines say the learning rate with their mark, and how many without it."""
    model = Small()
    name = f"bar-{bar}.txt"
    Trainer(
        model=model,
        train_dataloader=DataLoader(TensorDataset(torch.ones(5, 1)), batch_size=1),
        max_duration="1ep",
        optimizers=torch.optim.SGD(model.parameters(), lr=0.1),
        loggers=FileLogger(name),
        callbacks=LRMonitor(),
        device="cpu",
        progress_bar=bar,
    ).fit()
    lines = [line for line in open(name) if "lr-SGD/group0: 0.1000" in line]
    marked = sum(bool(re.match(r"\[metric\]\[batch=\d+\]: lr-", line)) for line in lines)
    return marked, len(lines) - marked


print(f"composer {composer.__version__}, torch {torch.__version__}")
with_bar, without = rates(True), rates(False)
print("progress_bar=True   marked, unmarked:", with_bar)
print("progress_bar=False  marked, unmarked:", without)
sys.exit(0 if with_bar == (0, 5) and without == (5, 0) else 1)
PYTHON
