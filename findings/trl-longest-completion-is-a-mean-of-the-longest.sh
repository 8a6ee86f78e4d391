#!/usr/bin/env bash
# TRL 1.16.0, GRPOTrainer: `completions/max_length` and `completions/min_length` of a record are means over the batches since the last one of
# the longest and the shortest completion of each. With `logging_steps` above 1 the longest of the log is one that nobody wrote: it stays
# below the limit where completions run into it, and a single long one is averaged away. `clip_ratio/high_max` and the
# `min_reward` and `max_reward` of RewardTrainer are made the same way.
#
# Seen, with transformers 5.24.0 and torch 2.13.0 on a CPU, for one training of 8 steps and a limit of 40 tokens
#   the longest completion written     40
#   logging_steps=1   max_length       a whole number in each record, 40 the highest
#   logging_steps=8   max_length       the mean of these eight, below 40, and min_length above the shortest
#
# Ends with 1 where TRL does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback

WORDS = ["<pad>", "<eos>", "<unk>", *(f"w{n}" for n in range(20))]
words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
)
prompts = Dataset.from_list([{"prompt": f"w{n} w{n + 1}"} for n in range(16)])


def trained(logging_steps):
    """Return the lengths that were written, by batch, and those in the log."""
    lengths = []

    def length(completion_ids, **_):
        lengths.append([len(completion) for completion in completion_ids])
        return [float(len(completion)) for completion in completion_ids]

    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), eos_token_id=1, pad_token_id=0, **size))
    arguments = trl.GRPOConfig(
        "out", per_device_train_batch_size=8, num_generations=4, max_completion_length=40, max_steps=8, logging_steps=logging_steps,
        learning_rate=0.0, save_strategy="no", report_to=[], use_cpu=True, bf16=False, disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(model, length, args=arguments, train_dataset=prompts, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    log = [record for record in trainer.state.log_history if "completions/max_length" in record]
    return lengths, [(record["completions/min_length"], record["completions/max_length"]) for record in log]


print("TRL", trl.__version__)
written, each = trained(1)
print("written", [(min(batch), max(batch)) for batch in written])
print("logging_steps=1", each)
again, all_steps = trained(8)
print("logging_steps=8", all_steps, "written", min(map(min, again)), "to", max(map(max, again)))
right = each == [(min(batch), max(batch)) for batch in written] and len(all_steps) == 1
shortest, longest = all_steps[0]
mean = sum(max(batch) for batch in again) / len(again)
sys.exit(0 if right and shortest > min(map(min, again)) and longest == mean < max(map(max, again)) == 40 else 1)
PYTHON
