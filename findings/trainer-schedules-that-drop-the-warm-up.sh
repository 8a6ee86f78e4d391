#!/usr/bin/env bash
# transformers 5.24.0: `warmup_steps` with `lr_scheduler_type="reduce_lr_on_plateau"`, "greedy" or "constant" warms up nothing: the first step is made
# at the full rate, and no message says so. The settings that are logged have the warm-up. With "linear"
# and "constant_with_warmup" the first rate is 0.
#
# Seen, with torch 2.13.0 on a CPU, for a rate of 1e-3 and 10 steps of warm-up: the rates of steps 1, 5 and 11 in the log
#   linear, constant_with_warmup             0.0     4e-4   1e-3
#   reduce_lr_on_plateau, greedy, constant   1e-3    1e-3   1e-3
#
# Ends with 1 where the Trainer does otherwise.
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
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments

torch.set_num_threads(1)
samples = [{"input_ids": ids, "labels": ids} for ids in ((torch.arange(16) + k) % 64 for k in range(64))]
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)


def rates(schedule):
    """Return the rate of each step in the log."""
    torch.manual_seed(0)
    arguments = TrainingArguments(
        "out", max_steps=20, learning_rate=1e-3, warmup_steps=10, lr_scheduler_type=schedule, logging_steps=1, eval_strategy="steps",
        eval_steps=10, metric_for_best_model="loss", save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
    )
    trainer = Trainer(LlamaForCausalLM(LlamaConfig(**shape)), arguments, train_dataset=samples, eval_dataset=samples[:4])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    found = {record["step"]: record["learning_rate"] for record in trainer.state.log_history if "loss" in record}
    return [round(found[step], 8) for step in (1, 5, 11)]


print("transformers", transformers.__version__)
warmed, dropped = ("linear", "constant_with_warmup"), ("reduce_lr_on_plateau", "greedy", "constant")
found = {schedule: rates(schedule) for schedule in (*warmed, *dropped)}
for schedule, numbers in found.items():
    print(f"{schedule:22}", *numbers)
said = [line for line in open("stderr.txt") if "warm" in line.lower()]
right = all(found[name] == [0.0, 4e-4, 1e-3] for name in warmed) and all(found[name] == [1e-3] * 3 for name in dropped)
sys.exit(0 if right and not said else 1)
PYTHON
