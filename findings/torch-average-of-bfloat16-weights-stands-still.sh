#!/usr/bin/env bash
# torch 2.13.0: `AveragedModel` with `get_ema_multi_avg_fn` keeps the moving average in the type of the model. In bfloat16, with a decay of
# 0.999, what a step adds is rounded away: the average stays at the weights it began with, and so does every evaluation of it,
# a flat line beside a training loss that falls. A decay of 0.99 stops at some distance. In float32 it follows.
#
# Seen, for a weight that is 1 when the average begins, then 2 for 5,000 steps
#   float32    decay 0.999   average 1.9933
#   bfloat16   decay 0.999   average 1.0
#   bfloat16   decay 0.99    average 1.6094
#
# Ends with 1 where torch does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(kind, decay):
    """Return the average of a weight that goes from 1 to 2 and stays there."""
    model = torch.nn.Linear(1, 1, bias=False, dtype=kind)
    model.weight.data.fill_(1.0)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.update_parameters(model)
    model.weight.data.fill_(2.0)
    for _ in range(5_000):
        average.update_parameters(model)
    return average.module.weight.item()


print("torch", torch.__version__)
found = []
for kind, decay in ((torch.float32, 0.999), (torch.bfloat16, 0.999), (torch.bfloat16, 0.99)):
    found.append(round(averaged(kind, decay), 4))
    print(f"{str(kind):15}  decay {decay:5}   average {found[-1]}")
sys.exit(0 if found[0] > 1.99 and found[1] == 1 and found[2] < 1.9 else 1)
PYTHON
