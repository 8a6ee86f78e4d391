#!/usr/bin/env bash
# fastai 2.8.12 with `TerminateOnNaNCallback`: the fit is cancelled at the batch whose loss is NaN, and the epoch gets no row. What
# `CSVLogger` leaves ends with the last sound epoch and looks like a healthy run that was stopped early; the table alone cannot tell.
#
# Seen, where the weights become NaN in the third of six epochs:
#   rows of the table    2
#   values that are NaN  0
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
from fastai.callback.tracker import TerminateOnNaNCallback


class SickWeights(Callback):
    def before_epoch(self):
        if self.epoch == 2:
            for weights in self.model.parameters():
                weights.data.fill_(float("nan"))


set_seed(0)
inputs = torch.rand(64, 4)
rows = list(zip(inputs, inputs.sum(1, keepdim=True)))
data = DataLoaders.from_dsets(rows[:48], rows[48:], bs=8, device="cpu")
callbacks = [SickWeights(), TerminateOnNaNCallback(), CSVLogger("history.csv")]
Learner(data, nn.Linear(4, 1), loss_func=MSELossFlat(), cbs=callbacks, opt_func=SGD).fit(6, 0.05)
PYTHON
venv/bin/python train.py > /dev/null 2>&1
venv/bin/python - <<'PYTHON'
import csv
import sys

rows = list(csv.DictReader(open("history.csv")))
sick = sum(value == "nan" for row in rows for value in row.values())
print("rows of the table   ", len(rows))
print("values that are NaN ", sick)
sys.exit(0 if (len(rows), sick) == (2, 0) else 1)
PYTHON
