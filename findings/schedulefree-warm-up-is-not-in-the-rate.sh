#!/usr/bin/env bash
# schedulefree 1.4.1: an optimizer warms up by itself and leaves `lr` as it is; the rate that a step is made with stands in `scheduled_lr`, which
# nobody logs. transformers 5.24.0 with `optim="schedule_free_adamw"` hands `warmup_steps` to it: with a constant schedule the log
# has the full rate from the first step on, and with the default, linear one, whose warm-up comes on top, up to ten times too much.
#
# Seen, with torch 2.13.0 on a CPU, for the first four of ten steps of warm-up to 0.01: what is logged, and what was used
#   constant   learning_rate 0.01, 0.01, 0.01, 0.01    used 0.001, 0.002, 0.003, 0.004
#   linear     learning_rate 0.0, 0.001, 0.002, 0.003  used 0.0, 0.0002, 0.0006, 0.0012
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 schedulefree==1.4.1
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys
from importlib.metadata import version

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": (self.layer(x) - labels).square().mean()}


class Used(TrainerCallback):
    """Keeps the rates that the optimizer made its steps with."""

    def __init__(self):
        self.rates = []

    def on_optimizer_step(self, arguments, state, control, optimizer=None, **_):
        self.rates.append(optimizer.param_groups[0]["scheduled_lr"])


samples = [{"x": torch.tensor([k % 4.0]), "labels": torch.tensor([2 * (k % 4.0)])} for k in range(64)]


def first_rates(schedule):
    """Return the rates of the first four steps: as logged, and as used."""
    arguments = TrainingArguments(
        output_dir="out", use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=15,
        optim="schedule_free_adamw", learning_rate=0.01, warmup_steps=10, lr_scheduler_type=schedule,
    )
    used = Used()
    trainer = Trainer(Small(), arguments, train_dataset=samples, callbacks=[used])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    logged = [record["learning_rate"] for record in trainer.state.log_history if "loss" in record]
    return [[round(rate, 6) for rate in rates[:4]] for rates in (logged, used.rates)]


print("schedulefree", version("schedulefree"), "transformers", transformers.__version__)
found = {schedule: first_rates(schedule) for schedule in ("constant", "linear")}
for schedule, (logged, used) in found.items():
    print(f"{schedule:8}   learning_rate {logged}   used {used}")
constant, linear = [[0.01] * 4, [0.001, 0.002, 0.003, 0.004]], [[0.0, 0.001, 0.002, 0.003], [0.0, 0.0002, 0.0006, 0.0012]]
sys.exit(0 if found == {"constant": constant, "linear": linear} else 1)
PYTHON
