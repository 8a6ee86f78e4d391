#!/usr/bin/env bash
# Lightning 2.6.6 counts two kinds of steps. `global_step`, which names checkpoints (`step=40.ckpt`) and ends a training by
# `max_steps`, counts the updates of every optimizer; the steps of the loggers count batches. With two optimizers, as of a GAN or
# of a policy and its critic, the checkpoint of the best logged step is not the one that bears its number, and a `max_steps` of 40
# ends at the logged step 19.
#
# Seen, for 40 batches with two optimizers, a checkpoint every ten steps, and each step logged:
#   steps in the log       0 to 39
#   names of checkpoints   step=10 to step=80; step=40.ckpt is written when the log is at step 19
#   last step in the log of a training with max_steps=40   19
#
# Ends with 1 where Lightning does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 lightning==2.6.6
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import csv
import re
import sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset


class TwoOptimizers(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.parts = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(2))
        self.batches = 0

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.01) for part in self.parts]

    def training_step(self, batch, number):
        for part, optimizer in zip(self.parts, self.optimizers()):
            loss = part(batch[0]).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("loss", loss)
        self.log("batches", float(self.batches))
        self.batches += 1

    def on_save_checkpoint(self, checkpoint):
        checkpoint["logged"] = self.batches - 1


def train(name, **limits):
    """Return the steps in the log, and at which of them each checkpoint was written: {number in its name: logged step}."""
    trainer = lightning.Trainer(
        accelerator="cpu", logger=CSVLogger(".", name=name, version=""), log_every_n_steps=1, enable_progress_bar=False,
        callbacks=ModelCheckpoint(f"{name}-kept", "{step}", every_n_train_steps=10, save_top_k=-1), **limits,
    )
    trainer.fit(TwoOptimizers(), DataLoader(TensorDataset(torch.ones(40, 1)), batch_size=1))
    steps = [int(row["step"]) for row in csv.DictReader(open(f"{name}/metrics.csv"))]
    kept = {int(re.findall(r"step=(\d+)", path.name)[0]): torch.load(path)["logged"] for path in Path(f"{name}-kept").iterdir()}
    return steps, dict(sorted(kept.items()))


(steps, kept), (short, _) = train("one-epoch", max_epochs=1), train("short", max_steps=40)
print(f"lightning {lightning.__version__}, torch {torch.__version__}")
print(f"steps in the log       {steps[0]} to {steps[-1]}")
print(f"checkpoints            {kept}")
print(f"last step in the log of a training with max_steps=40   {short[-1]}")
sys.exit(0 if (steps == list(range(40)) and kept == {k: k // 2 - 1 for k in range(10, 90, 10)} and short[-1] == 19) else 1)
PYTHON
