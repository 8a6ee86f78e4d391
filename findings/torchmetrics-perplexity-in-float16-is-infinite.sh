#!/usr/bin/env bash
# torchmetrics 1.9.0 and torcheval 0.0.7: `Perplexity` takes the softmax in the type of the logits, and the logarithm of that. In float16,
# as under mixed precision, a probability below 3e-8 is 0: one such token in an evaluation makes its perplexity infinite,
# where the loss over the same logits is healthy. In bfloat16 what a model is nearly sure of has a probability of 1, and the
# perplexity of a set it has learnt is exactly 1.
#
# Seen, with torch 2.13.0 on a CPU: exp(loss) is that of `cross_entropy` on the same logits, in float32
#   1 token of 256 with a loss of 20            float32 1.0995   bfloat16 1.0994   float16 inf      exp(loss) 1.0995
#   each of 256 tokens with a loss of 0.00083   float32 1.0008   bfloat16 1.0      float16 1.001    exp(loss) 1.0008
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 torchmetrics==1.9.0 torcheval==0.0.7
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import torch
import torcheval.metrics
from torch.nn.functional import cross_entropy
from torchmetrics.text import Perplexity

TOKENS, WORDS = 256, 1000
torch.manual_seed(0)
targets = torch.randint(0, WORDS, (1, TOKENS))


def sure(by):
    """Return logits that stand out by so much at the targets."""
    return torch.zeros(1, TOKENS, WORDS).scatter_(2, targets[..., None], by)


def measured(logits):
    """Return the perplexity by type and library, and that of the loss."""
    found = {}
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        ours, theirs = Perplexity(), torcheval.metrics.Perplexity()
        for metric in (ours, theirs):
            metric.update(logits.to(kind), targets)
        found[kind] = [round(float(metric.compute()), 4) for metric in (ours, theirs)]
    losses = [round(cross_entropy(logits.to(kind).float()[0], targets[0]).exp().item(), 4) for kind in found]
    return list(found.values()), losses


one_bad = torch.randn(1, TOKENS, WORDS) + sure(12.0)
one_bad[0, 0] = 0.0
one_bad[0, 0, (targets[0, 0] + 1) % WORDS] = 20.0
print("torch", torch.__version__, *(f"{name} {version(name)}" for name in ("torchmetrics", "torcheval")))
(bad, bad_loss), (good, good_loss) = measured(one_bad), measured(sure(14.0))
for name, values, losses in (("one improbable token", bad, bad_loss), ("all nearly sure", good, good_loss)):
    print(f"{name:21} float32, bfloat16, float16 {values}   exp(loss) {losses}")
infinite = bad[2] == [float("inf")] * 2 and all(abs(value - bad_loss[0]) < 1e-3 for value in bad[0] + bad_loss)
exact = good[1][0] == 1.0 and all(value == 1.0008 for value in good[0] + good_loss)
sys.exit(0 if infinite and exact else 1)
PYTHON
