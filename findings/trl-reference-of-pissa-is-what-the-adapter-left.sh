#!/usr/bin/env bash
# TRL 1.16.0 with an adapter of peft 0.21.2: the reference of DPO and GRPO is the model with its adapter switched off. `init_lora_weights="pissa"` or
# "olora" moves a part of the weights into the adapter, and what is left without it is no model that anyone trained. The policy before its
# first step differs from its reference: rewards and margins are not 0, the loss is not log 2, and the training pulls towards the broken
# model. With True, "gaussian" or "orthogonal" the reference is the model that was given. No word of it.
#
# Seen, with torch 2.13.0 on a CPU, for a small Llama that has learned to count, DPOTrainer at a rate of 0: the first record
#   True, "gaussian", "orthogonal"   loss 0.693   margins 0.000
#   "pissa"                          loss 0.680   margins 0.028   accuracies 0.62
#   "olora"                          loss 0.682   margins 0.022   accuracies 0.65
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import copy
import math
import sys

import peft
import tokenizers
import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback
from trl import DPOConfig, DPOTrainer

torch.set_num_threads(1)
words = {f"w{number}": number for number in range(62)} | {"<pad>": 62, "<eos>": 63}
splitting = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
splitting.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=splitting, pad_token="<pad>", eos_token="<eos>")
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
pairs = Dataset.from_list(
    [{"prompt": f"w{k} w{k + 1}", "chosen": f" w{k + 2} w{k + 3}", "rejected": f" w{k + 5} w{k + 9}"} for k in range(40)]
)


def counting():
    """Return a model that was trained to write n + 1 after n."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**shape))
    texts = (torch.arange(16) + torch.arange(46)[:, None]) % 62
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(100):
        model(input_ids=texts, labels=texts).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def first_record(model, begin):
    """Return the first record of a training in which no weight moves."""
    arguments = DPOConfig(
        "out", max_steps=1, learning_rate=0.0, per_device_train_batch_size=40, logging_steps=1, bf16=False, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True,
    )
    parts = ["q_proj", "v_proj", "up_proj", "down_proj"]
    adapter = LoraConfig(r=8, lora_alpha=8, init_lora_weights=begin, target_modules=parts, task_type="CAUSAL_LM")
    trainer = DPOTrainer(copy.deepcopy(model), args=arguments, train_dataset=pairs, processing_class=tokenizer, peft_config=adapter)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history[0]


print(f"trl {trl.__version__}, peft {peft.__version__}, transformers {transformers.__version__}")
model = counting()
found = {}
for begin in (True, "gaussian", "orthogonal", "pissa", "olora"):
    record = first_record(model, begin)
    found[begin] = loss, margin = record["loss"], record["rewards/margins"]
    print(f"{begin!s:10}  loss {loss:.3f}  margins {margin:.3f}  accuracies {record['rewards/accuracies']:.2f}")
same = [abs(loss - math.log(2)) < 1e-3 and abs(margin) < 1e-3 for loss, margin in found.values()]
sys.exit(0 if same == [True] * 3 + [False] * 2 else 1)
PYTHON
