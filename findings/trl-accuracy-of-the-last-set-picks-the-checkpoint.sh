#!/usr/bin/env bash
# TRL 1.16.0, SFTTrainer with two evaluation sets: of what an evaluation measures only the loss and the speeds carry the
# name of the set. Accuracy, entropy and tokens of both sets stand under the same key at the same step, so whoever reads
# the log by key keeps the last. So does the Trainer: `metric_for_best_model="mean_token_accuracy"` is accepted and goes
# by the set that comes last in the dictionary. The same training, with the two sets in the other order, keeps another
# best value; `best_metric` does not say of which set it is.
#
# Seen, with transformers 5.23.0 and torch 2.13.0 on a CPU; the text of `easy` is trained on, that of `hard` is not:
#   keys with accuracy      eval_mean_token_accuracy, in 2 records at step 10
#   easy, then hard         best 0.143
#   hard, then easy         best 1.000
#
# Ends with 1 where TRL does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python - <<'PYTHON'
import sys

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import SFTConfig, SFTTrainer

words = "<pad> <eos> <unk> the cat dog sat ran on mat rug a big red and then".split()
tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
easy = Dataset.from_list([{"text": "the cat sat on the mat"}] * 8)
hard = Dataset.from_list([{"text": "rug big red dog then a and"}] * 8)


def train(folder, sets):
    torch.manual_seed(0)
    size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
    model = Qwen2ForCausalLM(
        Qwen2Config(vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=1, **size)
    )
    arguments = SFTConfig(
        output_dir=folder, max_steps=10, learning_rate=1e-2, per_device_train_batch_size=4, logging_steps=1, seed=0,
        eval_strategy="steps", eval_steps=10, save_strategy="steps", save_steps=10, load_best_model_at_end=True,
        metric_for_best_model="mean_token_accuracy", greater_is_better=True,
        use_cpu=True, bf16=False, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=model, processing_class=tokenizer, train_dataset=easy, eval_dataset=sets, args=arguments
    )
    trainer.train()
    return trainer.state


first, second = train("a", {"easy": easy, "hard": hard}), train("b", {"hard": hard, "easy": easy})
named = [key for record in first.log_history for key in record if "eval" in key and "accuracy" in key]
print(f"trl {trl.__version__}", file=sys.stderr)
print(f"keys with accuracy      {', '.join(sorted(set(named)))}, in {len(named)} records at step 10")
print(f"easy, then hard         best {first.best_metric:.3f}")
print(f"hard, then easy         best {second.best_metric:.3f}")
same = named == ["eval_mean_token_accuracy"] * 2
sys.exit(0 if same and first.best_metric < 0.5 and second.best_metric > 0.9 else 1)
PYTHON
