"""sentence-transformers: the state of its trainer in a checkpoint, and the file of an evaluator."""

import json
from pathlib import Path

from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.losses import CosineSimilarityLoss
from sentence_transformers.models import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import TrainerCallback

from tests.readers.stores.curve import CONFIG, EVERY, STEPS, Part, run

WORDS = "the cat sat on a mat while some dog ran over its hill and far away".split()


class Keeps(TrainerCallback):
    """Keeps what the trainer tells of each step."""

    def __init__(self):
        self.told = []

    def on_log(self, args, state, control, logs=None, **_):
        self.told.append({"step": state.global_step, **logs})


def write(folder: Path, part: Part) -> None:
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    pairs = [(WORDS[k % 16], WORDS[3 * k % 16], (k % 5) / 4) for k in range(160)]
    columns = dict(zip(("sentence1", "sentence2", "score"), map(list, zip(*pairs))))
    keeps = Keeps()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=int(CONFIG["batch_size"]),
        learning_rate=CONFIG["learning_rate"],
        max_steps=STEPS,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=EVERY,
        save_steps=STEPS,
        report_to="none",
        use_cpu=True,
        seed=1,
    )
    SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict(columns),
        loss=CosineSimilarityLoss(model),
        evaluator=EmbeddingSimilarityEvaluator(*columns.values(), name="dev"),
        callbacks=[keeps],
    ).train()
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("trainer_state.json", "similarity_evaluation_dev_results.csv"):
            path.unlink()
    (folder.parents[0] / f"{folder.name}.json").write_text(json.dumps(keeps.told))


if __name__ == "__main__":
    run(write, cases="whole")
