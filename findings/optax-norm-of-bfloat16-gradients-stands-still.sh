#!/usr/bin/env bash
# optax 0.2.8 and mlx 0.32.4 add up the squares of the gradients of all tensors in the type of the gradients. In bfloat16 the sum stands
# still as soon as one more tensor is lost in its rounding: of many tensors with the same norm, the norm stays at 16 to 23 times
# that of one. `clip_by_global_norm` and `clip_grad_norm` divide by it, and let through more than they were told. In float16 the
# sum of optax is infinite from a norm of 256 on, and clipping sets every gradient to zero, without a word.
#
# Seen, on a CPU, for gradients of 1,000 tensors, each of norm 1
#   float32          optax 31.62   mlx 31.62   clipped to 1.0: 1.0
#   bfloat16         optax 16.0    mlx 16.0    clipped to 1.0: 1.98
#   float16, one tensor of norm 316, optax     infinity, clipped to 1.0: 0.0
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optax==0.2.8 jax==0.10.2 'mlx[cpu]==0.32.4'
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import jax.numpy as jnp
import mlx.core as mx
import mlx.optimizers
import numpy
import optax


def true_norm(tensors):
    return float(numpy.sqrt(sum(numpy.square(numpy.asarray(tensor, dtype=numpy.float64)).sum() for tensor in tensors)))


def by_optax(kind, tensors, size, value):
    """Return the norm, and the true norm of what was clipped to 1."""
    gradients = [jnp.full((size,), value, kind) for _ in range(tensors)]
    clip = optax.clip_by_global_norm(1.0)
    clipped, _ = clip.update(gradients, clip.init(gradients))
    return round(float(optax.global_norm(gradients)), 2), round(true_norm(clipped), 2)


def by_mlx(kind):
    gradients = {f"layer{n}": mx.full((100,), 0.1, kind) for n in range(1000)}
    clipped, norm = mlx.optimizers.clip_grad_norm(gradients, 1.0)
    return round(float(norm), 2), round(true_norm(tensor.astype(mx.float32) for tensor in clipped.values()), 2)


print("optax", version("optax"), "mlx", version("mlx"))
found = [
    by_optax(jnp.float32, 1000, 100, 0.1),
    by_mlx(mx.float32),
    by_optax(jnp.bfloat16, 1000, 100, 0.1),
    by_mlx(mx.bfloat16),
    by_optax(jnp.float16, 1, 10, 100.0),
]
for name, (norm, clipped) in zip(("float32  optax", "float32  mlx", "bfloat16 optax", "bfloat16 mlx", "float16  optax"), found):
    print(f"{name:15} norm {norm:6}  clipped to 1.0: {clipped}")
narrow, one = found[2:4], found[4]
right = all(norm == 31.62 and clipped == 1 for norm, clipped in found[:2])
sys.exit(0 if right and all(norm == 16 and clipped > 1.9 for norm, clipped in narrow) and one == (numpy.inf, 0.0) else 1)
PYTHON
