#!/usr/bin/env bash
# Lightning 2.6.6: a run that resumes from a checkpoint within an epoch has, as the mean of that epoch, the mean of the batches since. What
# `self.log(…, on_epoch=True)` had gathered before is not in the checkpoint, and nothing says so: the `loss_epoch` of the resumed run
# differs from that of the same run without the interruption, and a `ModelCheckpoint` or a schedule that goes by it, too. With a
# StatefulDataLoader of torchdata 0.11.0 the batches go on where they were; with torch's own they begin anew, and Lightning warns of these.
#
# Seen, for an epoch of 10 batches with losses of 10 for six and then 0 for four, resumed behind the sixth
#                                          batches since            loss_epoch
#   StatefulDataLoader, not interrupted                             6.0
#   StatefulDataLoader, resumed            0, 0, 0, 0               0.0
#   DataLoader, resumed, with a warning    10, 10, 10, 10           10.0
#
# Ends with 1 where Lightning does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 lightning==2.6.6 torchdata==0.11.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import csv
import sys
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

losses = torch.tensor([10.0] * 6 + [0.0] * 4)[:, None]


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def training_step(self, batch, number):
        self.seen.append(batch.mean().item())
        loss = (0 * self.layer(torch.ones(1, 1)) + batch).mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss


def fit(loader, name, checkpoint=None):
    """Return the losses of the batches, the mean of the epoch in the file, and whether Lightning warned."""
    module = Module()
    keep = ModelCheckpoint(dirpath=f"{name}/kept", filename="{step}", every_n_train_steps=6)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        lightning.Trainer(
            accelerator="cpu", max_epochs=1, logger=CSVLogger(".", name=name, version=""), log_every_n_steps=1, callbacks=[keep],
            enable_progress_bar=False, enable_model_summary=False,
        ).fit(module, loader(losses, batch_size=1), ckpt_path=checkpoint)
    epochs = [float(row["loss_epoch"]) for row in csv.DictReader(open(f"{name}/metrics.csv")) if row["loss_epoch"]]
    return module.seen, epochs, any("not resumable" in str(warning.message) for warning in said)


print(f"lightning {lightning.__version__}, torch {torch.__version__}")
found = {
    "whole": fit(StatefulDataLoader, "whole"),
    "stateful, resumed": fit(StatefulDataLoader, "stateful", "whole/kept/step=6.ckpt"),
    "plain": fit(DataLoader, "plain"),
    "plain, resumed": fit(DataLoader, "again", "plain/kept/step=6.ckpt"),
}
for name, (seen, epochs, warned) in found.items():
    print(f"{name:18}  loss_epoch {epochs}  batches {seen}{'  warned' if warned else ''}")
whole = ([10.0] * 6 + [0.0] * 4, [6.0], False)
wanted = dict(zip(found, (whole, ([0.0] * 4, [0.0], False), whole, ([10.0] * 4, [10.0], True))))
sys.exit(0 if found == wanted else 1)
PYTHON
