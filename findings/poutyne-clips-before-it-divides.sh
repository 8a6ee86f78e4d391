#!/usr/bin/env bash
# Poutyne 1.19.0: with `batches_per_step` above 1 each batch adds the gradient of its loss times its samples, and their sum is divided by all
# samples right before the step. `ClipNorm` and `ClipValue` come behind each batch, and clip what has not been divided yet: a
# clipped step is as many times too small as it has samples, and what was added before is clipped once more with every batch.
#
# Seen, with torch 2.13.0 on a CPU, for one step of SGD at a rate of 1.0 on the same 64 samples, whose gradient is longer than 1
#                          without ClipNorm   ClipNorm(1.0)
#   one batch of 64        11.85              1.0
#   four batches of 16     11.85              0.0156, one in 64
#
# Ends with 1 where Poutyne does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 poutyne==1.19.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from poutyne import ClipNorm, Model
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
inputs = torch.randn(64, 4)
samples = TensorDataset(inputs, inputs @ torch.tensor([[5.0], [3.0], [-2.0], [1.0]]))


def step(batches, clipped):
    """Return how far one step moves the weights, whose gradient is the same in all runs."""
    torch.manual_seed(1)
    network = torch.nn.Linear(4, 1, bias=False)
    before = network.weight.detach().clone()
    model = Model(network, torch.optim.SGD(network.parameters(), lr=1.0), torch.nn.MSELoss())
    callbacks = [ClipNorm(network.parameters(), 1.0)] if clipped else []
    loader = DataLoader(samples, batch_size=64 // batches)
    model.fit_generator(loader, epochs=1, batches_per_step=batches, callbacks=callbacks, verbose=False)
    return round((network.weight.detach() - before).norm().item(), 4)


print("poutyne", version("poutyne"), "torch", torch.__version__)
found = {batches: [step(batches, clipped) for clipped in (False, True)] for batches in (1, 4)}
for batches, (free, clipped) in found.items():
    print(f"{batches} batches a step   without ClipNorm {free}   ClipNorm(1.0) {clipped}")
same = abs(found[1][0] - found[4][0]) < 1e-3 and found[1][0] > 1
sys.exit(0 if same and found[1][1] == 1.0 and found[4][1] == 0.0156 else 1)
PYTHON
