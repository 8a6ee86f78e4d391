#!/usr/bin/env bash
# Keras 3.15.1: `ModelCheckpoint`, `EarlyStopping` and `ReduceLROnPlateau` take the first value of what they watch for the best, a NaN too, and nothing
# is ever better than NaN. A score of 0/0 in the first evaluation, before the model says anything, is enough: `save_best_only` keeps the
# first epoch alone, `restore_best_weights` goes back to it, and a rate on a plateau is reduced again and again, while the score rises.
# No word of it. A NaN that comes later is passed over.
#
# Seen, on jax 0.10.2, for 5 epochs with a score of NaN, 0.2, 0.4, 0.6, 0.8, or 0.2, NaN, 0.4, 0.6, 0.8, and a patience of 2
#                     saved        weights at the end   rate
#   NaN first         1            of epoch 1           0.1 to 0.001
#   NaN later         1, 3, 4, 5   of epoch 5           0.1
#
# Ends with 1 where Keras does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 jax==0.10.2
cd "$folder"
KERAS_BACKEND=jax venv/bin/python - 2> stderr.txt <<'PYTHON'
import math
import sys
from pathlib import Path

import keras
import numpy

inputs = numpy.ones((4, 1), "float32")


class Score(keras.callbacks.Callback):
    """Adds the score of each epoch to its logs, and remembers the weight."""

    def __init__(self, scores):
        super().__init__()
        self.scores, self.weights = scores, []

    def on_epoch_end(self, epoch, logs=None):
        logs["val_score"] = self.scores[epoch]
        self.weights.append(float(self.model.get_weights()[0][0, 0]))


def train(name, scores):
    """Return the epochs that were saved, the epoch that the weights are of at the end, and the rate."""
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    score = Score(scores)
    watch = {"monitor": "val_score", "mode": "max"}
    stopping = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True, **watch)
    model.fit(inputs, inputs, epochs=len(scores), verbose=0, callbacks=[
        score,
        keras.callbacks.ModelCheckpoint(f"{name}.{{epoch}}.weights.h5", save_best_only=True, save_weights_only=True, **watch),
        keras.callbacks.ReduceLROnPlateau(patience=2, **watch),
        stopping,
    ])  # fmt: skip
    saved = sorted(int(path.name.split(".")[1]) for path in Path().glob(f"{name}.*.weights.h5"))
    last = float(model.get_weights()[0][0, 0])
    return saved, 1 + score.weights.index(last), round(float(model.optimizer.learning_rate.numpy()), 6)


print("keras", keras.__version__)
found = {
    "first": train("first", [math.nan, 0.2, 0.4, 0.6, 0.8]),
    "later": train("later", [0.2, math.nan, 0.4, 0.6, 0.8]),
}
for name, (saved, epoch, rate) in found.items():
    print(f"NaN {name}   saved {saved}   weights of epoch {epoch}   rate {rate}")
said = [line for line in open("stderr.txt") if "nan" in line.lower()]
sys.exit(0 if found == {"first": ([1], 1, 0.001), "later": ([1, 3, 4, 5], 5, 0.1)} and not said else 1)
PYTHON
