#!/usr/bin/env bash
# Keras 3.15.1: the losses and metrics that `fit` gives to `on_train_batch_end` are no losses of a batch, but means since the epoch began, as
# the progress bar shows them. Who logs them has a curve in which one bad batch weighs less the later it comes, and is in every
# value behind it until the next epoch begins, where the curve jumps; a NaN of one batch is one of all the rest of the epoch.
# `train_on_batch` returns the loss of its batch.
#
# Seen, with the backend of torch 2.13.0, for ten batches an epoch, and losses of 1, of which the ninth of the first epoch is 100
#   logged by fit      1, 1, 1, 1, 1, 1, 1, 1, 12, 10.9, and 1, 1 in the next epoch
#   where it is NaN    1, 1, 1, 1, 1, 1, 1, 1, nan, nan, and 1, 1 in the next epoch
#   train_on_batch     1, 1, 1, 1, 1, 1, 1, 1, 100, 1
#
# Ends with 1 where Keras does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 keras==3.15.1
cd "$folder"
KERAS_BACKEND=torch CUDA_VISIBLE_DEVICES= venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import keras
import numpy

ones = numpy.ones((10, 1))


def build():
    """Return a model that always answers 0, so that the loss of a batch is the square of its label."""
    zero = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", trainable=False)
    model = keras.Sequential([keras.Input((1,)), zero])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    return model


def fitted(ninth):
    """Return what `fit` logs, batch by batch, of two epochs; the ninth label of the first is another."""
    model, logged = build(), []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: logged.append(round(float(logs["loss"]), 3)))
    batches = ((ones[:1], ones[:1] * (ninth if number == 8 else 1)) for number in range(20))
    model.fit(batches, epochs=2, steps_per_epoch=10, verbose=0, callbacks=[keep])
    return logged


def by_hand(ninth):
    """Return what `train_on_batch` returns for the same batches of an epoch."""
    model = build()
    return [round(float(model.train_on_batch(ones[:1], ones[:1] * (ninth if number == 8 else 1))), 3) for number in range(10)]


print(f"keras {keras.__version__}, backend {keras.backend.backend()}")
bad, sick, single = fitted(10.0), fitted(float("nan")), by_hand(10.0)
for name, losses in (("fit", bad), ("fit, NaN", sick), ("train_on_batch", single)):
    print(f"{name:15} {losses}")
one = [1.0] * 8
right = bad == [*one, 12.0, 10.9, *one, 1.0, 1.0] and list(map(str, sick)) == list(map(str, [*one, *[float("nan")] * 2, *one, 1.0, 1.0]))
sys.exit(0 if right and single == [*one, 100.0, 1.0] else 1)
PYTHON
