#!/usr/bin/env bash
# mlx-lm 0.32.2: the loss of its trainer counts one token too many of each text, the padding behind it, which is token 0. A model that
# knows every token of the data has a loss above 0, and learns to write token 0 after the end; with `mask_prompt` and short answers
# that is a large part of training and validation loss. `trained_tokens` counts it as well. Texts cut at `max_seq_length` have none.
#
# Seen, with mlx 0.32.4 on a CPU, for a model that says n + 1 after each n, and texts that count on, two tokens of each an answer
#   loss                      10.0, a third of the 30.0 of the padding, where each token of the answers is right
#   tokens of a batch of 4    12, of which 8 are answers
#   after 20 steps            the model says 0, not n + 1, after the last token of each text
#
# Ends with 1 where mlx-lm does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'mlx[cpu]==0.32.4' mlx-lm==0.32.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import mlx.core as mx
from mlx import nn, optimizers
from mlx_lm.tuner.trainer import TrainingArgs, default_loss, evaluate, iterate_batches, train


class Counting(nn.Module):
    """Says n + 1 after n, with all certainty."""

    def __init__(self):
        super().__init__()
        self.logits = 30.0 * mx.eye(50, k=1)

    def __call__(self, tokens):
        return self.logits[tokens]


texts = [([n, n + 1, n + 2, n + 3], 2) for n in range(5, 45, 4)]  # the tokens, and how many are the prompt
model = Counting()
loss = evaluate(model, texts, batch_size=2, num_batches=-1)
_, tokens = default_loss(model, *next(iterate_batches(texts, 4, 2048)))
arguments = TrainingArgs(batch_size=5, iters=20, steps_per_report=100, steps_per_save=100, adapter_file="adapters.safetensors")
before = {n: int(mx.argmax(model(mx.array([n])))) for text, _ in texts for n in text[-1:]}
train(model, optimizers.Adam(5.0), texts, args=arguments)
after = {n: int(mx.argmax(model(mx.array([n])))) for n in before}
inside = [int(mx.argmax(model(mx.array([text[2]])))) == text[3] for text, _ in texts]

print()
print("mlx-lm", version("mlx-lm"))
print("loss of a model that knows each token", round(loss, 3))
print("tokens of a batch of 4 answers of 2", tokens.item())
print("said after the last token, before", sorted(set(before.values()))[:3], "and after training", sorted(set(after.values())))
right = loss > 9.9 and tokens.item() == 12 and 0 not in before.values() and set(after.values()) == {0} and all(inside)
sys.exit(0 if right else 1)
PYTHON
