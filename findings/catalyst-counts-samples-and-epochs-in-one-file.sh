#!/usr/bin/env bash
# Catalyst 22.4 with `TensorboardLogger(log_batch_metrics=True)`: the steps of `loss/batch` are samples, those of the evaluations
# included, the steps of `loss/epoch` epochs, and both stand in the event file of one loader. On one axis the curves of the epochs
# lie in the first batches; the samples of the training jump where an evaluation lies between.
#
# Seen, with 32 samples to train and 16 to evaluate, in batches of 8, over two epochs:
#   train loss/batch   [8, 16, 24, 32, 56, 64, 72, 80]
#   train loss/epoch   [1, 2]
#
# Ends with 1 where Catalyst does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# the last accelerate that it starts with
"$folder/venv/bin/pip" install --quiet catalyst==22.4 accelerate==0.20.3 torch==2.13.0 tensorboard==2.21.0 'setuptools<81'
cd "$folder"
cat > train.py <<'PYTHON'
import torch
from catalyst import dl
from torch.utils.data import DataLoader, TensorDataset

inputs = torch.rand(48, 4)
targets = inputs.sum(1, keepdim=True)
parts = {"train": slice(0, 32), "valid": slice(32, 48)}
loaders = {name: DataLoader(TensorDataset(inputs[part], targets[part]), batch_size=8) for name, part in parts.items()}
model = torch.nn.Linear(4, 1)
dl.SupervisedRunner().train(
    model=model,
    criterion=torch.nn.MSELoss(),
    optimizer=torch.optim.SGD(model.parameters(), 0.05),
    loaders=loaders,
    num_epochs=2,
    loggers={"tensorboard": dl.TensorboardLogger("logs", log_batch_metrics=True)},
)
PYTHON
venv/bin/python train.py > /dev/null 2>&1
venv/bin/python - <<'PYTHON'
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator("logs/train")
events.Reload()
batches, epochs = ([scalar.step for scalar in events.Scalars(f"loss/{unit}")] for unit in ("batch", "epoch"))
print("train loss/batch  ", batches)
print("train loss/epoch  ", epochs)
sys.exit(0 if (batches, epochs) == ([8, 16, 24, 32, 56, 64, 72, 80], [1, 2]) else 1)
PYTHON
