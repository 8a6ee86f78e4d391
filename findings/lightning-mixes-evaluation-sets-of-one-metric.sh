#!/usr/bin/env bash
# Lightning 2.6.6 with a metric of torchmetrics 1.9.0 and several validation sets: `self.log("accuracy", self.accuracy)` writes a curve for each
# set, `accuracy/dataloader_idx_0` and so on, of one object that is not emptied between them. The second is the mean of both sets,
# the third of all three, and a bad last set looks nearly as good as the others. A value that is logged as a number is right. No
# warning says so. One object for each set mends it.
#
# Seen, with torch 2.13.0 on a CPU, for three sets whose values are 1.0, 1.0 and 0.1
#   logged as a number   1.0, 1.0, 0.1
#   logged as a metric   1.0, 1.0, 0.7
#
# Ends with 1 where Lightning does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 lightning==2.6.6 torchmetrics==1.9.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import csv
import sys
import warnings
from pathlib import Path

import lightning
import torch
import torchmetrics
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

NAMES = "number", "metric"


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.mean = torchmetrics.MeanMetric()

    def training_step(self, batch, index):
        return self.weight.sum() + 0 * batch[0].sum()

    def validation_step(self, batch, index, dataloader_idx=0):
        self.mean(batch[0])
        self.log("metric", self.mean)
        self.log("number", batch[0].mean())

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], 0.0)


def loader(value):
    return DataLoader(TensorDataset(torch.full((8, 1), value)), batch_size=4)


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=1, logger=CSVLogger("logs"), **quiet)
    trainer.fit(Module(), loader(0.0), [loader(value) for value in (1.0, 1.0, 0.1)])

(path,) = Path("logs").rglob("metrics.csv")
(row,) = (row for row in csv.DictReader(path.open()) if row["metric/dataloader_idx_0"])
found = {name: [round(float(row[f"{name}/dataloader_idx_{n}"]), 3) for n in range(3)] for name in NAMES}
about = [str(warning.message) for warning in told if "dataloader_idx" in str(warning.message) or "metric" in str(warning.message)]
print("Lightning", lightning.__version__, "torchmetrics", torchmetrics.__version__)
for name in NAMES:
    print(f"logged as a {name}  ", found[name])
print("warnings about metrics:", about)
sys.exit(0 if found == {"number": [1.0, 1.0, 0.1], "metric": [1.0, 1.0, 0.7]} and not about else 1)
PYTHON
