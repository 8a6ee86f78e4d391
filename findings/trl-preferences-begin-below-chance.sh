#!/usr/bin/env bash
# TRL 1.16.0, DPOTrainer: `rewards/accuracies` counts the pairs whose chosen answer has the higher reward; a tie counts as wrong. A policy that
# is still its reference ties on every pair, and has an accuracy of 0.0, not one half: in an evaluation before the training,
# in the first step, and while the learning rate of a warm-up is 0. A record over several steps averages these zeros in, so that a run
# begins below chance as one with swapped answers would. `rewards/margins`, exactly 0.0, tells them apart.
#
# Seen, with transformers 5.24.0 and torch 2.13.0 on a CPU, for two steps of warm-up
#   evaluation before the training   accuracy 0.0   margin 0.0   loss 0.6931
#   steps 1 and 2                    accuracy 0.0   margin 0.0   loss 0.6931
#   steps 3 to 6                     accuracy above 0, margin not 0
#   logging_steps=6                  accuracy of the first record a third below the mean of steps 3 to 6
#
# Ends with 1 where TRL does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python - 2> stderr.txt <<'PYTHON'
import copy
import random
import sys

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, PrinterCallback, Qwen2Config, Qwen2ForCausalLM
from trl import DPOConfig, DPOTrainer

words = "<pad> <eos> <unk> the cat dog sat ran on mat rug a big red and then".split()
tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
draw = random.Random(0)
pairs = [{name: " ".join(draw.choices(words[3:], k=4)) for name in ("prompt", "chosen", "rejected")} for _ in range(96)]


def records(every):
    """Return what is logged of six steps, the first of which have a rate of 0."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=1, **size))
    trainer = DPOTrainer(
        model=model, ref_model=copy.deepcopy(model), processing_class=tokenizer, train_dataset=Dataset.from_list(pairs),
        eval_dataset=Dataset.from_list(pairs[:16]),
        args=DPOConfig(
            output_dir="run", max_steps=6, per_device_train_batch_size=16, learning_rate=1e-3, warmup_steps=2, logging_steps=every,
            eval_strategy="steps", eval_steps=6, eval_on_start=True, save_strategy="no", use_cpu=True, bf16=False, report_to="none",
            disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history


def measured(record, prefix=""):
    return [round(record[f"{prefix}{name}"], 4) for name in ("rewards/accuracies", "rewards/margins", "loss")]


print(f"trl {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
each, once = records(1), records(6)
before = measured(next(record for record in each if "eval_loss" in record), "eval_")
steps = [measured(record) for record in each if "loss" in record]
(whole,) = [measured(record) for record in once if "loss" in record]
print("before", before)
for step, values in enumerate(steps, 1):
    print("step", step, values)
print("one record of all", whole)
tied, later = [0.0, 0.0, 0.6931], [accuracy for accuracy, _, _ in steps[2:]]
right = before == tied and steps[:2] == [tied] * 2 and min(later) > 0 and all(margin != 0 for _, margin, _ in steps[2:])
sys.exit(0 if right and abs(whole[0] - sum(later) / 6) < 1e-3 else 1)
PYTHON
