"""gensim: what its own logger and a callback print of Word2Vec: the loss is a running total that starts at the training."""

import json
import logging
from pathlib import Path

from gensim.models import Word2Vec
from gensim.models.callbacks import CallbackAny2Vec

from tests.readers.stores.curve import Part, run

EPOCHS = 12
WORDS = "the cat sat on a mat while some dog ran over its hill and far away".split()


class Tells(CallbackAny2Vec):
    """Prints the loss as gensim's documentation does, and keeps what it asked for."""

    def __init__(self):
        self.epoch, self.totals = 0, []

    def on_epoch_end(self, model):
        self.totals.append(model.get_latest_training_loss())
        logging.getLogger("gensim").info("epoch %d: loss %r", self.epoch, self.totals[-1])
        self.epoch += 1


def write(folder: Path, part: Part) -> None:
    logging.basicConfig(
        filename=folder / "train.log", level=logging.INFO, format="%(asctime)s : %(levelname)s : %(message)s"
    )
    sentences = [[WORDS[(k * j + j) % len(WORDS)] for j in range(1, 9)] for k in range(400)]
    tells = Tells()
    Word2Vec(
        sentences, vector_size=8, min_count=1, workers=1, seed=1, epochs=EPOCHS, compute_loss=True, callbacks=[tells]
    )
    log = folder / "train.log"  # its notes on its life tell of the machine
    log.write_text("".join(line for line in log.open() if "lifecycle event" not in line))
    (folder.parents[0] / f"{folder.name}.json").write_text(json.dumps(tells.totals))


if __name__ == "__main__":
    run(write, cases="whole")
