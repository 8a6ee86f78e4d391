#!/usr/bin/env bash
# sentence-transformers 6.2.0: `MultipleNegativesRankingLoss` tells each text's pair from the others of its batch, so that its loss is one of the
# size of the batch: a model that knows nothing has the logarithm of it. `per_device_eval_batch_size`, 8 by default, makes `eval_loss`
# lower than the loss of a training in larger batches from the first step on, and two runs with other batches cannot be compared.
# A gap between the two says nothing of generalization.
#
# Seen, with torch 2.13.0 and transformers 5.24.0 on a CPU, for an untrained model, a rate of 0 and pairs of random words, for training and evaluation
#   batches of  8 and  8   loss 2.27   eval_loss 2.15
#   batches of 32 and 32   loss 3.69   eval_loss 3.55
#   batches of 32 and  8   loss 3.69   eval_loss 2.15
#   batches of 64 and  8   loss 4.35   eval_loss 2.15
#
# Ends with 1 where sentence-transformers does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 sentence-transformers==6.2.0 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import random
import sys

import sentence_transformers
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, models
from sentence_transformers.losses import MultipleNegativesRankingLoss
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, PrinterCallback

torch.set_num_threads(1)
torch.manual_seed(0)
words = {f"w{number}": number for number in range(200)} | {"[PAD]": 200, "[UNK]": 201}
splitting = Tokenizer(WordLevel(words, unk_token="[UNK]"))
splitting.pre_tokenizer = WhitespaceSplit()
PreTrainedTokenizerFast(tokenizer_object=splitting, pad_token="[PAD]", unk_token="[UNK]").save_pretrained("bert")
BertModel(BertConfig(vocab_size=202, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)).save_pretrained("bert")
draw = random.Random(0)
text = lambda: " ".join(f"w{draw.randrange(200)}" for _ in range(5))  # noqa: E731
pairs = Dataset.from_list([{"anchor": text(), "positive": text()} for _ in range(128)])


def losses(training, evaluation):
    """Return the loss of one epoch and of the evaluation behind it, for these sizes of batches."""
    model = SentenceTransformer(modules=[models.Transformer("bert"), models.Pooling(32)], device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        "out", per_device_train_batch_size=training, per_device_eval_batch_size=evaluation, num_train_epochs=1, learning_rate=0.0,
        logging_steps=128 // training, eval_strategy="epoch", save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model, arguments, train_dataset=pairs, eval_dataset=pairs, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    log = trainer.state.log_history
    return [next(record[key] for record in log if key in record) for key in ("loss", "eval_loss")]


print(f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}")
found = {sizes: losses(*sizes) for sizes in ((8, 8), (32, 32), (32, 8), (64, 8))}
for (training, evaluation), pair in found.items():
    print(f"batches of {training:2} and {evaluation:2}   loss {pair[0]:.2f}   eval_loss {pair[1]:.2f}")
alike = [abs(loss - evaluated) < 0.2 for loss, evaluated in found.values()]
apart = found[32, 8][0] - found[32, 8][1] > 1.2 and found[64, 8][0] - found[64, 8][1] > 1.8
sys.exit(0 if alike == [True, True, False, False] and apart and found[32, 8][1] == found[64, 8][1] else 1)
PYTHON
