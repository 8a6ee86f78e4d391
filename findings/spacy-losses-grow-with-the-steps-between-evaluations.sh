#!/usr/bin/env bash
# spaCy 3.8.18: the losses that `spacy train` prints and its console logger writes are sums over the steps since the last row.
# With `eval_frequency` at four times as many steps they are about four times as high for the same training, and the first row,
# which is of one step alone, is by far the lowest: the table of a model that learns well begins with a rise.
#
# Seen, for one training of 240 steps, seed and data: the losses of the text classifier, and their sum over all rows
#   eval_frequency = 20   first 0.250, second 4.9     sum 42
#   eval_frequency = 80   first 0.250, second 18.6    sum 42
#
# Ends with 1 where spaCy does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet spacy==3.8.18
cd "$folder"
cat > train.py <<'PYTHON'
import json
import random
import sys

import spacy
from spacy.language import DEFAULT_CONFIG
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config_from_str

CONFIG = """
[paths]
corpus = "corpus.spacy"
[nlp]
lang = "en"
pipeline = ["textcat"]
[components]
[components.textcat]
factory = "textcat"
[corpora]
[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.corpus}
[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.corpus}
[training]
seed = 1
dev_corpus = "corpora.dev"
train_corpus = "corpora.train"
max_steps = 240
eval_frequency = FREQUENCY
patience = 0
[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 4
[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.00002
[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
output_file = "log-FREQUENCY.jsonl"
"""
words, random_number, nlp, corpus = "good bad film story actor end music scene".split(), random.Random(1), spacy.blank("en"), DocBin()
for _ in range(120):
    doc = nlp(" ".join(random_number.choice(words) for _ in range(6)))
    doc.cats = {"liked": float("good" in doc.text), "disliked": float("good" not in doc.text)}
    corpus.add(doc)
corpus.to_disk("corpus.spacy")
sums, rows = [], []
for frequency in ("20", "80"):
    config = DEFAULT_CONFIG.merge(load_config_from_str(CONFIG.replace("FREQUENCY", frequency)))
    train(init_nlp(config, use_gpu=-1), None, stdout=open("printed.txt", "w"))
    losses = [json.loads(line)["losses"]["textcat"] for line in open(f"log-{frequency}.jsonl")]
    sums.append(sum(losses))
    rows.append(losses)
    print(f"eval_frequency = {frequency}   first {losses[0]:.3f}, second {losses[1]:.1f}    sum {sums[-1]:.0f}")
same = abs(sums[0] - sums[1]) < 0.05 * sums[0] and rows[0][0] == rows[1][0]
sys.exit(0 if same and rows[1][1] > 3 * rows[0][1] > 9 * rows[0][0] else 1)
PYTHON
echo "spaCy $(venv/bin/python -c 'import spacy; print(spacy.__version__)')"
venv/bin/python train.py
