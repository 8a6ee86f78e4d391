#!/usr/bin/env bash
# flair 0.15.1 writes the learning rate into `loss.tsv` with four decimals. Of a fine-tuning, which `fine_tune` does at 5e-5 unless
# told otherwise, the table says 0.0001 for the epochs at the peak, twice what it was, and 0.0000 for the rest, as if nothing
# were learned. The lines of `training.log` beside it have six decimals.
#
# Seen, on a CPU with torch 2.13.0, of a fine-tuning over six epochs at 4e-5:
#   LEARNING_RATE in loss.tsv   ['0.0000', '0.0000', '0.0000', '0.0000', '0.0000', '0.0000']
#   lr in training.log          ['0.000039', '0.000032', '0.000024', '0.000017', '0.000009', '0.000001']
#
# Ends with 1 where flair does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 flair==0.15.1
cd "$folder"
cat > train.py <<'PYTHON'
import random

import flair
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer

flair.set_seed(1)
words, random_number, sentences = "good bad film story actor end music scene".split(), random.Random(1), []
for _ in range(20):
    chosen = [random_number.choice(words) for _ in range(5)]
    sentences.append(Sentence(chosen))
    sentences[-1].add_label("liked", "yes" if "good" in chosen else "no")
data = FlairDatapointDataset(sentences)
corpus = Corpus(train=data, dev=data, test=data)
embeddings = DocumentPoolEmbeddings([OneHotEmbeddings.from_corpus(corpus, embedding_length=4, min_freq=1)])
model = TextClassifier(embeddings, label_type="liked", label_dictionary=corpus.make_label_dictionary("liked"))
ModelTrainer(model, corpus).fine_tune("out", learning_rate=4e-5, max_epochs=6, save_final_model=False)
PYTHON
venv/bin/python train.py > printed.txt 2>&1
venv/bin/python - <<'PYTHON'
import csv
import re
import sys

table = [row["LEARNING_RATE"] for row in csv.DictReader(open("out/loss.tsv"), delimiter="\t")]
lines = re.findall(r"EPOCH \d+ done: .* lr: ([\d.]+)", open("out/training.log").read())
print("LEARNING_RATE in loss.tsv  ", table)
print("lr in training.log         ", lines)
sys.exit(0 if table == ["0.0000"] * 6 and len(lines) == 6 and all(0 < float(rate) < 4e-5 for rate in lines) else 1)
PYTHON
