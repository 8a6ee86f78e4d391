#!/usr/bin/env bash
# torch 2.13.0 and optax 0.2.8: `ReduceLROnPlateau` and `optax.contrib.reduce_on_plateau` count a loss as better that is below the best by a share
# of it, 1 in 10,000. Where the best is below zero that point lies above it: the same value again is better, and so is one a little worse. A
# negative log-likelihood of densities, a bound or a loss of preferences that is negative may stand still, or get worse by and by, and the
# rate is never reduced. `threshold_mode="abs"`, and an `atol` in the place of the `rtol`, see it. In torch it is so for rewards below
# zero and "max", too.
#
# Seen, for 60 evaluations with a patience of 3 and a rate of 1.0: the rate at the end
#                                        torch   "abs"   optax   atol
#   a loss that stays at 10              1e-08   1e-08   1e-19   1e-19
#   a loss that stays at -10             1.0     1e-08   1.0     1e-19
#   a loss that rises from -10 to -9.97  1.0     1e-08   1.0     1e-19
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 optax==0.2.8 jax==0.10.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
import warnings

import jax.numpy as jnp
import optax
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau


def of_torch(losses, **options):
    """Return the rate after the last loss."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, patience=3, **options)
    for loss in losses:
        scheduler.step(loss)
    return optimizer.param_groups[0]["lr"]


def of_optax(losses, **options):
    """Return the factor of the updates after the last loss."""
    transform = optax.contrib.reduce_on_plateau(patience=3, **options)
    weights = jnp.zeros(1)
    state = transform.init(weights)
    for loss in losses:
        _, state = transform.update(weights, state, weights, value=jnp.float32(loss))
    return float(state.scale)


print(f"torch {torch.__version__}, optax {optax.__version__}")
curves = {
    "stays at 10": [10.0] * 60,
    "stays at -10": [-10.0] * 60,
    "rises from -10": [-10.0 + 0.0005 * step for step in range(60)],
}
found = {}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for name, losses in curves.items():
        rates = of_torch(losses), of_torch(losses, threshold_mode="abs"), of_optax(losses), of_optax(losses, rtol=0.0, atol=1e-4)
        found[name] = [rate < 0.01 for rate in rates]
        print(f"{name:15}", *(f"{rate:8.1e}" for rate in rates))
rewards = {level: of_torch([level] * 60, mode="max") for level in (10.0, -10.0)}
print("rewards, torch ", rewards)
wanted = {"stays at 10": [True] * 4, "stays at -10": [False, True] * 2, "rises from -10": [False, True] * 2}
sys.exit(0 if found == wanted and rewards[10.0] < 0.01 and rewards[-10.0] == 1.0 and not said else 1)
PYTHON
