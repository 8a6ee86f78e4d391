#!/usr/bin/env bash
# Lightning 2.6.6: `EMAWeightAveraging` evaluates its average of the weights, and until the first update that is the weights before the
# training. With `update_starting_at_step` the validation loss stands still at that of the untrained model until then, and falls
# at once to that of a trained one; `ModelCheckpoint` and early stopping go by it. `update_starting_at_epoch` puts off nothing: the average
# is updated from the first step on, as without it.
#
# Seen, with torch 2.13.0 on a CPU, for six epochs of 20 steps and an average with a decay of 0.9: the validation loss of each epoch
#   no average                     0.0535  0.0015  0.0001  0.0  0.0  0.0   (the training loss falls in the same way in all)
#   update_starting_at_step=70     4.6632  4.6632  4.6632  0.0  0.0  0.0
#   update_starting_at_epoch=3     0.5416  0.0223  0.0008  0.0  0.0  0.0
#   neither of the two             0.5416  0.0223  0.0008  0.0  0.0  0.0
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
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)

    def loss(self, batch):
        return (self.layer(batch[0]) - batch[0].sum(1, keepdim=True)).square().mean()

    def training_step(self, batch, number):
        loss = self.loss(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, number):
        self.log("val_loss", self.loss(batch))


def logged(name, *callbacks):
    """Return the training losses and the validation losses in the file."""
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.randn(160, 4)), batch_size=8)
    logger = CSVLogger(".", name=name, version="")
    lightning.Trainer(
        accelerator="cpu", max_epochs=6, logger=logger, log_every_n_steps=5, callbacks=list(callbacks), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    ).fit(Module(), data, data)
    rows = list(csv.DictReader(open(f"{name}/metrics.csv")))
    return [[round(float(row[of]), 4) for row in rows if row[of]] for of in ("loss", "val_loss")]


print(f"lightning {lightning.__version__}, torch {torch.__version__}")
found = {
    "none": logged("none"),
    "step": logged("step", EMAWeightAveraging(decay=0.9, update_starting_at_step=70)),
    "epoch": logged("epoch", EMAWeightAveraging(decay=0.9, update_starting_at_epoch=3)),
    "average": logged("average", EMAWeightAveraging(decay=0.9)),
}
for name, (losses, evaluated) in found.items():
    print(f"{name:8} loss {losses[0]} to {losses[-1]}   val_loss {evaluated}")
same = all(losses == found["none"][0] for losses, _ in found.values())
late, without = found["step"][1], found["none"][1]
flat = late[0] == late[1] == late[2] > 50 * without[0] and late[3] < 0.01
sys.exit(0 if same and flat and found["epoch"] == found["average"] else 1)
PYTHON
