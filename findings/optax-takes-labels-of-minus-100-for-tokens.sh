#!/usr/bin/env bash
# optax 0.2.8 and mlx 0.32.4: their cross-entropy takes a label of -100, with which PyTorch and the collators of transformers mark what is not
# to be learned, for the hundredth token from the end of the vocabulary. The loss is a plausible number that falls, while the
# model learns to write that token wherever padding or a prompt was; only in vocabularies under 100 does optax say NaN.
#
# Seen, for labels of which the second half is -100, a vocabulary of 1,000, and a model that expects token 900 in this half
#   torch 2.13.0   mean loss 7.7, of the first half
#   optax, mlx     mean loss 3.9, for the second half is learned
#   optax          NaN with a vocabulary of 99
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 optax==0.2.8 jax==0.10.2 'mlx[cpu]==0.32.4'
cd "$folder"
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import math
import sys
from importlib.metadata import version

import jax.numpy as jnp
import mlx.core as mx
import mlx.nn
import numpy
import optax
import torch

labels = numpy.array([1, 2, 3, 4, -100, -100, -100, -100])


def losses(vocabulary):
    """Return the mean loss that each library finds for one set of logits."""
    logits = numpy.random.default_rng(0).normal(size=(8, vocabulary)).astype("float32")
    logits[4:, vocabulary - 100] = 50
    return {
        "torch": torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels)).item(),
        "optax": optax.softmax_cross_entropy_with_integer_labels(jnp.array(logits), jnp.array(labels)).mean().item(),
        "mlx": mlx.nn.losses.cross_entropy(mx.array(logits), mx.array(labels), reduction="mean").item(),
    }


print(" ".join(f"{name} {version(name)}" for name in ("torch", "optax", "jax", "mlx")))
found, small = losses(1_000), losses(99)["optax"]
for name, loss in found.items():
    print(f"{name:6} mean loss {loss:.3f}")
print(f"optax  {small} with a vocabulary of 99")
halved = [math.isclose(found[name], found["torch"] / 2, rel_tol=1e-3) for name in ("optax", "mlx")]
sys.exit(0 if all(halved) and math.isnan(small) else 1)
PYTHON
