#!/usr/bin/env bash
# Flax 0.12.8: `nnx.metrics.Average` counts its values in 32 bits, and so do `Accuracy` and a `MultiMetric` of both. Fed with the losses of
# tokens, and read without a reset, the count passes 2,147,483,647 tokens and goes on below zero: a loss of 2 is logged as -2, and
# an accuracy is negative. Later the count comes back through zero, and the mean is many times too high.
#
# Seen, with jax 0.10.2 on a CPU, for losses of 2.0 in each of 16,777,216 tokens a time
#   after 127 times   mean  2.0
#   after 128 times   mean -2.0
#   after 257 times   mean 514.0
#
# Ends with 1 where Flax does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flax==0.12.8 jax==0.10.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import flax
import jax.numpy as jnp
from flax import nnx

average = nnx.metrics.Average("loss")
losses = jnp.full((2**24,), 2.0)
found = {}
for time in range(1, 258):
    average.update(loss=losses)
    if time in (127, 128, 257):
        found[time] = float(average.compute())
print("Flax", flax.__version__)
for time, mean in found.items():
    print(f"after {time} times   mean {mean}")
sys.exit(0 if found[127] == 2.0 and found[128] == -2.0 and found[257] > 100 else 1)
PYTHON
