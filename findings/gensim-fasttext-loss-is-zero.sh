#!/usr/bin/env bash
# gensim 4.4.0: `FastText.train` and `Doc2Vec.train` take `compute_loss=True`, as Word2Vec does, and count no loss:
# `get_latest_training_loss()` is 0.0 behind every epoch, without a warning. A log of it shows a perfect loss from the first epoch on.
#
# Seen, for the same 200 sentences over three epochs:
#   Word2Vec  [a number, a higher one, a higher one]
#   FastText  [0.0, 0.0, 0.0]
#   Doc2Vec   [0.0, 0.0, 0.0]
#
# Ends with 1 where gensim does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet gensim==4.4.0
"$folder/venv/bin/python" - <<'PYTHON'
import random
import sys

import gensim
from gensim.models import Doc2Vec, FastText, Word2Vec
from gensim.models.callbacks import CallbackAny2Vec
from gensim.models.doc2vec import TaggedDocument


class Losses(CallbackAny2Vec):
    def __init__(self):
        self.values = []

    def on_epoch_end(self, model):
        self.values.append(float(model.get_latest_training_loss()))


random.seed(0)
sentences = [random.choices("the cat dog sat ran on mat rug a big red".split(), k=20) for _ in range(200)]
documents = [TaggedDocument(sentence, [number]) for number, sentence in enumerate(sentences)]


def losses(kind, corpus):
    model, kept = kind(vector_size=8, min_count=1, seed=1, workers=1), Losses()
    model.build_vocab(corpus)
    model.train(corpus, total_examples=model.corpus_count, epochs=3, compute_loss=True, callbacks=[kept])
    return kept.values


print("gensim", gensim.__version__)
found = [losses(Word2Vec, sentences), losses(FastText, sentences), losses(Doc2Vec, documents)]
for name, values in zip(("Word2Vec", "FastText", "Doc2Vec"), found):
    print(f"{name:8} ", values)
grows = 0 < found[0][0] < found[0][1] < found[0][2]
sys.exit(0 if grows and found[1:] == [[0.0] * 3] * 2 else 1)
PYTHON
