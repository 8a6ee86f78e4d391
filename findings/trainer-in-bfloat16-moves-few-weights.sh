#!/usr/bin/env bash
# transformers 5.24.0: `from_pretrained` loads weights in the type of their file, and `bf16=True` of the Trainer then has nothing to mix: weights
# and moments are bfloat16, and there is no copy in float32. At the rates of a fine-tuning most of what a step adds is below half a
# part in 256 of its weight and is rounded away. Rate, norm and the first losses are those of the same run with `dtype=torch.float32`; the
# loss falls at a fraction of its speed, and most weights never move. No message says in which type is trained.
#
# Seen, with torch 2.13.0 on a CPU, for 30 steps of a small Llama at a constant 2e-5, from a file in bfloat16
#   as the file is, bfloat16   loss 4.166 to 4.156   norm 1.18 to 1.16   weights that never moved 70%
#   dtype=torch.float32        loss 4.165 to 4.136   norm 1.18 to 1.15   weights that never moved  0%
#
# Ends with 1 where transformers does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments

torch.set_num_threads(1)
samples = [{"input_ids": ids, "labels": ids} for ids in ((torch.arange(16) + k) % 64 for k in range(64))]
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
torch.manual_seed(0)
LlamaForCausalLM(LlamaConfig(**shape)).to(torch.bfloat16).save_pretrained("model")


def train(**loading):
    """Return the records of a run, and the share of the weights that are as they were loaded."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained("model", **loading)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    arguments = TrainingArguments(
        "out", bf16=True, max_steps=30, learning_rate=2e-5, lr_scheduler_type="constant", logging_steps=5, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, train_dataset=samples)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    same = sum((weight == before[name]).sum().item() for name, weight in model.named_parameters()) / model.num_parameters()
    return [record for record in trainer.state.log_history if "loss" in record], same


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
found = {"as the file is": train(), "in float32": train(dtype=torch.float32)}
for name, (records, same) in found.items():
    first, last = records[0], records[-1]
    print(
        f"{name:15}  loss {first['loss']:.3f} to {last['loss']:.3f}  norm {first['grad_norm']:.2f} to {last['grad_norm']:.2f}"
        f"  rate {last['learning_rate']}  unmoved weights {same:.0%}"
    )
(low, unmoved), (full, moved) = found.values()
fell = [records[0]["loss"] - records[-1]["loss"] for records in (low, full)]
alike = all(abs(one["grad_norm"] - other["grad_norm"]) < 0.1 for one, other in zip(low, full))
said = [line for line in open("stderr.txt") if "bfloat16" in line or "float32" in line]
sys.exit(0 if unmoved > 0.5 and moved < 0.02 and fell[0] < 0.6 * fell[1] and alike and not said else 1)
PYTHON
