#!/usr/bin/env bash
# fastai 2.8.12 keeps a running mean of the training loss over its batches (`AvgSmoothLoss`). One batch with a NaN makes it NaN for
# the rest of the run: `train_loss` is NaN in every later row of the table and of the `CSVLogger`, however well the model learns.
#
# Seen, where the loss of one batch of the second epoch is NaN and its gradient is left out:
#   train_loss   [finite, nan, nan, nan]
#   valid_loss   [finite, finite, finite, finite]
#
# Ends with 1 where fastai does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fastai==2.8.12 torch==2.13.0
cd "$folder"
cat > train.py <<'PYTHON'
from fastai.basics import *
from fastai.callback.progress import CSVLogger


class OneSickBatch(Callback):
    def after_loss(self):
        if self.training and self.epoch == 1 and self.iter == 2:
            self.learn.loss = self.learn.loss * float("nan")
            raise CancelBatchException


set_seed(0)
inputs = torch.rand(64, 4)
rows = list(zip(inputs, inputs.sum(1, keepdim=True)))
data = DataLoaders.from_dsets(rows[:48], rows[48:], bs=8, device="cpu")
learner = Learner(data, nn.Linear(4, 1), loss_func=MSELossFlat(), cbs=[OneSickBatch(), CSVLogger("history.csv")], opt_func=SGD)
with learner.no_logging():
    learner.fit(4, 0.05)
PYTHON
venv/bin/python train.py > /dev/null 2>&1
venv/bin/python - <<'PYTHON'
import csv
import math
import sys

rows = list(csv.DictReader(open("history.csv")))
found = {name: ["finite" if math.isfinite(float(row[name])) else row[name] for row in rows] for name in ("train_loss", "valid_loss")}
for name, said in found.items():
    print(f"{name}   [{', '.join(said)}]")
sys.exit(0 if list(found.values()) == [["finite", "nan", "nan", "nan"], ["finite"] * 4] else 1)
PYTHON
