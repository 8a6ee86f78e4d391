"""flair: what its trainer prints into `training.log`, and its table of epochs, `loss.tsv`."""

import json
import random
from pathlib import Path

import flair
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin

from tests.readers.stores.curve import Part, run

EPOCHS, BATCH = 8, 4


class Keeps(TrainerPlugin):
    """Keeps the losses of batches and evaluations that the trainer tells its plugins."""

    def __init__(self):
        super().__init__()
        self.told = []

    @TrainerPlugin.hook
    def metric_recorded(self, record):
        if str(record.name) in ("train/batch_loss", "dev/loss"):
            self.told.append([str(record.name), record.global_step, float(record.value)])


def write(folder: Path, part: Part) -> None:
    flair.set_seed(1)
    words, random_number, sentences = "good bad film story actor end music scene".split(), random.Random(1), []
    for _ in range(20):
        chosen = [random_number.choice(words) for _ in range(5)]
        sentences.append(Sentence(chosen))
        sentences[-1].add_label("liked", "yes" if "good" in chosen else "no")
    data, keeps = FlairDatapointDataset(sentences), Keeps()
    corpus = Corpus(train=data, dev=data, test=data)
    embeddings = OneHotEmbeddings.from_corpus(corpus, embedding_length=4, min_freq=1)
    labels = corpus.make_label_dictionary("liked")
    model = TextClassifier(DocumentPoolEmbeddings([embeddings]), label_type="liked", label_dictionary=labels)
    ModelTrainer(model, corpus).train(
        ".", learning_rate=0.1, mini_batch_size=BATCH, max_epochs=EPOCHS, plugins=[keeps], save_final_model=False
    )
    for path in folder.iterdir():
        if path.name not in ("training.log", "loss.tsv"):
            path.unlink()
    (folder.parent / f"{folder.name}.json").write_text(json.dumps(keeps.told))


if __name__ == "__main__":
    run(write, cases="whole")
