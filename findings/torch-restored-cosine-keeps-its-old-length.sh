#!/usr/bin/env bash
# torch 2.13.0: the state of a learning-rate scheduler holds its length, and `load_state_dict` puts that in the place of the one it was built
# with, without a word. A run that is resumed with a longer `CosineAnnealingLR` comes down to 0 at the old end, and then the
# rate rises again, to its full height after as many steps; so it does behind a warm-up in `SequentialLR`. `LinearLR` and
# `PolynomialLR` stay at 0 for the rest. `LambdaLR`, which keeps no function, follows the new length from the first step on.
#
# Seen, for a rate of 1.0 in a run of 20 steps that is resumed at step 10, with schedulers built for 40: the rate by step
#                            10     11     20     30     39
#   CosineAnnealingLR        0.5    0.42   0.0    0.5    0.99
#   LinearLR, PolynomialLR   0.5    0.45   0.0    0.0    0.0
#   LambdaLR, linear         0.5    0.725  0.5    0.25   0.025
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
import warnings

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, PolynomialLR, SequentialLR

KINDS = {
    "CosineAnnealingLR": CosineAnnealingLR,
    "SequentialLR": lambda optimizer, steps: SequentialLR(
        optimizer, [LinearLR(optimizer, 0.1, 1.0, 4), CosineAnnealingLR(optimizer, steps - 4)], [4]
    ),
    "LinearLR": lambda optimizer, steps: LinearLR(optimizer, 1.0, 0.0, steps),
    "PolynomialLR": PolynomialLR,
    "LambdaLR": lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 - step / steps),
}


def run(kind, length, last, state=None):
    """Train until step `last`, from a state if there is one; return the rate of each step and the state at the end."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = KINDS[kind](optimizer, length)
    if state:
        optimizer.load_state_dict(state[0])
        scheduler.load_state_dict(state[1])
    rates = []
    for _ in range(last):
        rates.append(round(optimizer.param_groups[0]["lr"], 3))
        optimizer.step()
        scheduler.step()
    return rates, (optimizer.state_dict(), scheduler.state_dict())


print("torch", torch.__version__)
found = {}
with warnings.catch_warnings(record=True) as warned:
    for kind in KINDS:
        before, state = run(kind, 20, 10)
        rates = before + run(kind, 40, 30, state)[0]
        found[kind] = [rates[step] for step in (10, 11, 20, 30, 39)]
        print(f"{kind:20} {found[kind]}")
    whole = run("CosineAnnealingLR", 40, 40)[0]
print("built for 40 steps   ", [whole[step] for step in (10, 11, 20, 30, 39)])
said = [str(warning.message) for warning in warned if "state" in str(warning.message) or "T_max" in str(warning.message)]
down = [0.5, 0.45, 0.0, 0.0, 0.0]
right = (
    found["CosineAnnealingLR"] == [0.5, 0.422, 0.0, 0.5, 0.994]
    and found["SequentialLR"][2] == 0.0
    and found["SequentialLR"][4] > 0.9
    and found["LinearLR"] == found["PolynomialLR"] == down
    and found["LambdaLR"] == [0.5, 0.725, 0.5, 0.25, 0.025]
    and whole[20] == 0.5
)
sys.exit(0 if right and not said else 1)
PYTHON
