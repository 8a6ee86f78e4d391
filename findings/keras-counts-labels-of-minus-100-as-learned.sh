#!/usr/bin/env bash
# Keras 3.15.1: a label of -100, with which PyTorch and the collators of transformers mark padding and prompts, has a loss of exactly 0 and is
# counted in the mean all the same, as a token that the model knows. The more padding, the lower `loss` and `val_loss`; an
# accuracy counts each as wrong. One untrained model: half of the labels -100, half of the loss. `ignore_class=-100` mends the loss alone.
#
# Seen, with the backend of torch 2.13.0, for a model that knows nothing of 1,000 tokens, so that its loss is ln 1000 = 6.91
#   labels of -100   none   loss 6.908
#   labels of -100   half   loss 3.454
#   labels of -100   90 %   loss 0.691
#   and for a model that is right wherever there is a label, half of them -100: sparse_categorical_accuracy 0.5
#
# Ends with 1 where Keras does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 keras==3.15.1
cd "$folder"
KERAS_BACKEND=torch CUDA_VISIBLE_DEVICES= venv/bin/python - <<'PYTHON'
import sys

import keras
import numpy

labels = numpy.random.default_rng(0).integers(0, 1_000, size=(8, 20))
model = keras.Sequential([keras.Input((20,), dtype="int32"), keras.layers.Embedding(1_000, 1_000, embeddings_initializer="zeros")])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["sparse_categorical_accuracy"])


def measured(hidden, known=False):
    """Return what Keras says of the model with so many labels of each 20 hidden; a known label is given away by its input."""
    wanted = labels.copy()
    wanted[:, :hidden] = -100
    weights = 50 * numpy.eye(1_000) if known else numpy.zeros((1_000, 1_000))
    model.set_weights([weights.astype("float32")])
    return model.evaluate(labels, wanted, batch_size=8, verbose=0, return_dict=True)


print(f"keras {keras.__version__}, backend {keras.backend.backend()}")
found = [measured(hidden)["loss"] for hidden in (0, 10, 18)]
for share, loss in zip(("none", "half", "90 %"), found):
    print(f"labels of -100   {share}   loss {loss:.3f}")
accuracy = measured(10, known=True)["sparse_categorical_accuracy"]
print("right wherever there is a label, half of them -100: accuracy", accuracy)
sys.exit(0 if [round(loss, 3) for loss in found] == [6.908, 3.454, 0.691] and accuracy == 0.5 else 1)
PYTHON
