#!/usr/bin/env bash
# transformers 5.24.0: a run that resumes with another `learning_rate`, `weight_decay` or `adam_beta2` trains with the old ones, which it takes from
# the states of the optimizer and of the schedule. The arguments that are logged, and what trackers keep as settings, have the new
# ones. A new `max_steps` or `lr_scheduler_type` does count: from the second step on the rate follows the new shape at the old height. The
# Trainer warns of settings that differ from the checkpoint, such as `save_steps`, and of these it says nothing.
#
# Seen, with torch 2.13.0 on a CPU, for 20 steps with a linear schedule, left at step 10 and resumed
#                                              rate of step 12   weight decay   beta2
#   as before: 1e-3, decay 0.1, beta2 0.99     4.5e-4            0.1            0.99
#   with 1e-5, decay 0.0, beta2 0.9            4.5e-4            0.1            0.99
#   with 40 steps instead of 20                7.25e-4           0.1            0.99
#   with a constant schedule                   1e-3              0.1            0.99
#   from the start, with 1e-5, 0.0, and 0.9    4.5e-6            0.0            0.9
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
OLD = {"learning_rate": 1e-3, "weight_decay": 0.1, "adam_beta2": 0.99}
NEW = {"learning_rate": 1e-5, "weight_decay": 0.0, "adam_beta2": 0.9}


def train(checkpoint=None, **options):
    """Return the rate of step 12 in the log, and decay and beta2 of the optimizer at the end."""
    torch.manual_seed(0)
    arguments = TrainingArguments(
        "out", **{"max_steps": 20} | options, logging_steps=1, save_steps=10, report_to="none", use_cpu=True, disable_tqdm=True
    )
    trainer = Trainer(LlamaForCausalLM(LlamaConfig(**shape)), arguments, train_dataset=samples)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint)
    rates = {record["step"]: record["learning_rate"] for record in trainer.state.log_history if "loss" in record}
    group = trainer.optimizer.param_groups[0]
    return round(rates[12], 8), group["weight_decay"], group["betas"][1]


print("transformers", transformers.__version__)
begun = train(**OLD)
found = {
    "as before": train("out/checkpoint-10", **OLD),
    "with new ones": train("out/checkpoint-10", **NEW),
    "with 40 steps": train("out/checkpoint-10", **OLD, max_steps=40),
    "constant": train("out/checkpoint-10", **OLD, lr_scheduler_type="constant"),
    "from the start": train(**NEW),
}
for name, numbers in found.items():
    print(f"{name:15}", *numbers)
old = (4.5e-4, 0.1, 0.99)
wanted = dict(zip(found, (old, old, (7.25e-4, 0.1, 0.99), (1e-3, 0.1, 0.99), (4.5e-6, 0.0, 0.9))))
said = [line for line in open("stderr.txt") if any(name in line for name in OLD)]
sys.exit(0 if begun == old and found == wanted and not said else 1)
PYTHON
