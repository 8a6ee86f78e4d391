#!/usr/bin/env bash
# Keras 3.15.1 with `keras.config.set_floatx("bfloat16")`: the losses and metrics of an epoch are kept as a sum and a count of samples in
# bfloat16, and the sum stands still when a batch is less than a part in 256 of it, at another batch than the count. What
# `fit` logs is no mean of anything: of a loss that is 3 in every batch it says 4, of one that fell it shows the beginning.
# A policy of "bfloat16" or "mixed_bfloat16", without the setting, keeps float32, and is right.
#
# Seen, on the jax backend, for epochs of 2,000 batches of 32 whose loss is known
#   float32    3 in each batch: loss 3.0    3 in the first tenth, 1 in the others: loss 1.2
#   policy     3 in each batch: loss 3.0    3 in the first tenth, 1 in the others: loss 1.2
#   bfloat16   3 in each batch: loss 4.0    3 in the first tenth, 1 in the others: loss 2.78
#
# Ends with 1 where Keras does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 jax==0.10.2
cd "$folder"
KERAS_BACKEND=jax KERAS_HOME="$folder" venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import keras
import numpy


def logged(targets, policy=None):
    """Return the loss of an epoch of a model that says 0 and learns nothing: the mean of the targets."""
    layer = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False, dtype=policy)
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mean_absolute_error")
    return model.fit(numpy.ones((len(targets), 1)), targets[:, None], batch_size=32, shuffle=False, verbose=0).history["loss"][0]


flat = numpy.full(64_000, 3.0)
falling = numpy.where(numpy.arange(64_000) < 6_400, 3.0, 1.0)
print("Keras", keras.__version__)
found = {}
for name, floatx, policy in (("float32", "float32", None), ("policy", "float32", "bfloat16"), ("bfloat16", "bfloat16", None)):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    found[name] = [round(float(logged(targets, policy)), 2) for targets in (flat, falling)]
    print(f"{name:9}  3 in each batch: loss {found[name][0]}   3, then 1: loss {found[name][1]}")
right = found["float32"] == found["policy"] == [3.0, 1.2]
sys.exit(0 if right and found["bfloat16"][0] > 3.5 and found["bfloat16"][1] > 2 else 1)
PYTHON
