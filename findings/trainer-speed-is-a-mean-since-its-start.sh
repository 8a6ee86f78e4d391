#!/usr/bin/env bash
# transformers 5.24.0 with `include_num_input_tokens_seen`: `train_tokens_per_second` of a record is the mean since the training was started, its
# evaluations and checkpoints included. A training that has become ten times slower shows it by and by, the later the less, and one
# that goes on at full speed gets slower in the log with each evaluation. `train_runtime` in the same record tells the speed.
#
# Seen, with torch 2.13.0 on a CPU, for 100 tokens a step, steps of 50 ms until step 40, then of 500 ms, and evaluations of 2 seconds
#   step 20   logged 1,200, about the speed since the record before
#   step 40   logged   800, at a speed of 1,300, for the evaluation behind step 20
#   step 60   logged   340, at a speed of 190
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
import time

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainingArguments


class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps = 0

    def forward(self, input_ids, labels=None):
        self.steps += self.training
        time.sleep((0.05 if self.steps <= 40 else 0.5) if self.training else 2.0)
        return {"loss": (self.weight * input_ids).mean()}


sample = {"input_ids": torch.ones(100), "labels": torch.ones(1)}
arguments = TrainingArguments(
    "out", per_device_train_batch_size=1, per_device_eval_batch_size=1, max_steps=60, logging_steps=10, eval_strategy="steps",
    eval_steps=20, include_num_input_tokens_seen=True, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
)
trainer = Trainer(Slow(), arguments, train_dataset=[sample] * 60, eval_dataset=[sample])
trainer.remove_callback(PrinterCallback)
trainer.train()

print("transformers", transformers.__version__)
log = [record for record in trainer.state.log_history if "loss" in record]
tokens, clock = 0, 0.0
logged, passed, mean = {}, {}, {}
for record in log:
    step, logged[record["step"]] = record["step"], record["train_tokens_per_second"]
    passed[step] = (record["num_input_tokens_seen"] - tokens) / (record["train_runtime"] - clock)
    tokens, clock = record["num_input_tokens_seen"], record["train_runtime"]
    mean[step] = tokens / clock
    print(f"step {step}   logged {logged[step]:7,.0f}   since the record before {passed[step]:7,.0f}   since the start {mean[step]:7,.0f}")
right = all(abs(logged[step] - mean[step]) < 0.01 * mean[step] for step in logged)
sys.exit(0 if right and logged[40] < 0.75 * logged[20] and logged[60] > 1.3 * passed[60] else 1)
PYTHON
