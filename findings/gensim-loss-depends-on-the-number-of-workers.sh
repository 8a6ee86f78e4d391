#!/usr/bin/env bash
# gensim 4.4.0: the training loss of Word2Vec, get_latest_training_loss(), is a share of what was lost that shrinks with the
# number of `workers`, 3 by default: each thread adds to the total that it began its batch with, and so overwrites what the
# others have added. Losses of runs with other numbers of workers, or on busier machines, cannot be compared.
#
# Seen on two cores, the same 5,000 sentences, seed and parameters, 3 epochs of skip-gram:
#   workers=1  3,295,610    workers=2  2,065,715    workers=4  1,043,531
#
# Ends with 1 where the loss of four workers is more than three quarters of that of one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet gensim==4.4.0
"$folder/venv/bin/python" - <<'PYTHON'
import random
import sys

import gensim
from gensim.models import Word2Vec

random.seed(0)
words = [f"w{i}" for i in range(2000)]
sentences = [
    [random.choice(words[at - 10 : at + 10]) for _ in range(40)] for at in random.choices(range(20, 1990), k=5000)
]


def loss(workers):
    model = Word2Vec(vector_size=8, min_count=1, sg=1, seed=1, workers=workers)
    model.build_vocab(sentences)
    model.train(sentences, total_examples=model.corpus_count, epochs=3, compute_loss=True)
    return model.get_latest_training_loss()


print(f"gensim {gensim.__version__}")
losses = {workers: loss(workers) for workers in (1, 2, 4)}
for workers, value in losses.items():
    print(f"workers={workers}  {value:,.0f}")
sys.exit(0 if losses[4] < 0.75 * losses[1] else 1)
PYTHON
