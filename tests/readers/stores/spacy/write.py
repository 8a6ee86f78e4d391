"""spaCy: the file that its console logger writes, and the models of `spacy train` with their configuration."""

import json
import random
import shutil
from pathlib import Path

import spacy
from spacy.language import DEFAULT_CONFIG
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loggers import console_logger
from spacy.training.loop import train
from spacy.util import load_config_from_str

from tests.readers.stores.curve import Part, run

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
dev_corpus = "corpora.dev"
train_corpus = "corpora.train"
max_steps = 40
eval_frequency = 2
patience = 0
[training.logger]
@loggers = "keeps.v1"
[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.003
"""


@spacy.registry.loggers("keeps.v1")
def keeps():
    """The console logger, of which the rows that it was given are kept."""
    inner, kept = console_logger(progress_bar=False, output_file="training.jsonl"), []

    def setup(nlp, stdout, stderr):
        log, finalize = inner(nlp, stdout, stderr)

        def row(info):
            if info is not None:
                losses = {name: float(value) for name, value in info["losses"].items()}
                kept.append({"step": info["step"], "losses": losses, "score": info["score"]})
            log(info)

        def end():
            finalize()
            Path("..", f"{Path.cwd().name}.json").write_text(json.dumps(kept))

        return row, end

    return setup


def write(folder: Path, part: Part) -> None:
    words, random_number = "good bad film story actor end music scene".split(), random.Random(1)
    nlp, corpus = spacy.blank("en"), DocBin()
    for _ in range(120):
        doc = nlp(" ".join(random_number.choice(words) for _ in range(6)))
        doc.cats = {"liked": float("good" in doc.text), "disliked": float("good" not in doc.text)}
        corpus.add(doc)
    corpus.to_disk(folder / "corpus.spacy")
    (folder / "model").mkdir()
    config = DEFAULT_CONFIG.merge(load_config_from_str(CONFIG))
    train(init_nlp(config, use_gpu=-1), folder / "model")
    for path in [folder / "corpus.spacy", *(folder / "model").glob("*/*")]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "config.cfg":
            path.unlink()


if __name__ == "__main__":
    run(write, cases="whole")
