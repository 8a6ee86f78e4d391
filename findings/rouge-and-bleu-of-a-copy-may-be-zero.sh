#!/usr/bin/env bash
# rouge-score 0.1.2 and sacrebleu 2.6.0 give 0 to a word-for-word copy. ROUGE counts the letters a to z and digits, and nothing else is a word: a
# copy in Cyrillic, Hindi or Chinese has 0.0, texts that share a number and nothing more have 1.0, and words with accents fall into
# pieces. `corpus_bleu` wants four words in a row somewhere in the set: copies of answers of three words have 0.0, and so has Chinese,
# where a sentence is one word without `tokenize="zh"`. In a curve over the training both are a model that learns nothing.
#
# Seen
#                                         ROUGE-1   BLEU    mended
#   a copy of English                     1.0       100
#   a copy of Russian                     0.0       100     1.0 with a tokenizer that splits at blanks
#   Russian, one number alike             1.0
#   a copy of Chinese                     0.0       0.0     100 with tokenize="zh"
#   copies of answers of three words      1.0       0.0     100 with effective_order=True
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rouge-score==0.1.2 sacrebleu==2.6.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import BLEU


class Blanks:
    """Splits at blanks."""

    def tokenize(self, text):
        return text.split()


def rouge(answer, reference, **options):
    """Return the F-measure of single words."""
    return RougeScorer(["rouge1"], **options).score(reference, answer)["rouge1"].fmeasure


def bleu(answers, references, **options):
    """Return the score of a set of answers."""
    return round(BLEU(**options).corpus_score(answers, [references]).score, 1)


english, russian, chinese = "the cat sat on the mat", "кошка сидит на коврике у двери", "猫坐在门边的垫子上"
short = ["it is Paris", "it is Rome", "I know not"]
rows = {
    "a copy of English": (rouge(english, english), bleu([english], [english])),
    "a copy of Russian": (rouge(russian, russian), bleu([russian], [russian]), rouge(russian, russian, tokenizer=Blanks())),
    "Russian, one number alike": (rouge("кошка 5", "собака 5"),),
    "a copy of Chinese": (rouge(chinese, chinese), bleu([chinese], [chinese]), bleu([chinese], [chinese], tokenize="zh")),
    "copies of three words": (rouge(short[0], short[0]), bleu(short, short), bleu(short, short, effective_order=True)),
}
print(f"rouge-score {version('rouge-score')}, sacrebleu {version('sacrebleu')}")
for name, scores in rows.items():
    print(f"{name:27}", *(f"{score:6.1f}" for score in scores))
wanted = [(1.0, 100.0), (0.0, 100.0, 1.0), (1.0,), (0.0, 0.0, 100.0), (1.0, 0.0, 100.0)]
said = open("stderr.txt").read()
sys.exit(0 if list(rows.values()) == wanted and not said else 1)
PYTHON
