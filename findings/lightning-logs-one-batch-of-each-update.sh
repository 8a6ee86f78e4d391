#!/usr/bin/env bash
# Lightning 2.6.6 with `accumulate_grad_batches=4`: of the four batches that an update learns from, `self.log` keeps the last for its step,
# and drops the others, however small `log_every_n_steps` is. The loss of a step is noisier than what was trained on, a bad batch
# is seen if it comes last, and the mean over the steps is not that of the epoch, which counts every batch.
#
# Seen, for 12 batches with losses of 2, 2, 2, 6 and so on, every step logged
#   loss_step   [6.0, 6.0, 6.0]
#   loss_epoch  3.0
#   and with a NaN in the second batch of the second update: loss_step [6.0, 6.0, 6.0], loss_epoch nan
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
import sys

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def training_step(self, batch, number):
        loss = (0 * self.layer(torch.ones(1, 1)) + batch[0]).mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss


def logged(name, losses):
    """Return the losses of the steps and of the epoch in the file."""
    logger = CSVLogger(".", name=name, version="")
    lightning.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=4, logger=logger, log_every_n_steps=1, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(Module(), DataLoader(TensorDataset(torch.tensor(losses)[:, None]), batch_size=1))
    rows = list(csv.DictReader(open(f"{name}/metrics.csv")))
    return [[row[f"loss_{of}"] for row in rows if row[f"loss_{of}"]] for of in ("step", "epoch")]


print(f"lightning {lightning.__version__}, torch {torch.__version__}")
sound = [2.0, 2.0, 2.0, 6.0] * 3
found = logged("sound", sound), logged("sick", [*sound[:5], float("nan"), *sound[6:]])
for name, (steps, epoch) in zip(("sound", "with a NaN"), found):
    print(f"{name:10}   loss_step {steps}   loss_epoch {epoch}")
sys.exit(0 if found == ([["6.0"] * 3, ["3.0"]], [["6.0"] * 3, ["nan"]]) else 1)
PYTHON
