#!/usr/bin/env bash
# transformers 5.24.0: a run that resumes with more samples in an update, as on more devices or with more accumulation, finds its place
# by dividing the steps that were made by the steps of an epoch now. The epoch in the log jumps ahead, the samples between
# are never read, and `num_train_epochs` are over early. A change of `gradient_accumulation_steps` is not warned of.
#
# Seen, with torch 2.13.0 on a CPU, for 64 samples and three epochs, stopped at step 8 of 16 in an epoch
#   resumed as it was          epoch 0.5 at step 8, then 0.5625; 3.0 at step 48   192 samples in 3 epochs
#   with accumulation doubled  epoch 0.5 at step 8, then 1.125;  3.0 at step 24   160 samples in 3 epochs
#   warnings                   none
#
# Ends with 1 where the Trainer does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import logging
import sys

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments


class Small(torch.nn.Module):
    """Counts the samples that it learns from."""

    def __init__(self):
        super().__init__()
        self.layer, self.samples = torch.nn.Linear(1, 1), 0

    def forward(self, x, labels):
        self.samples += len(x)
        return {"loss": (self.layer(x) - labels).square().mean()}


class StopAtEight(TrainerCallback):
    def on_step_end(self, arguments, state, control, **_):
        control.should_training_stop = control.should_save = state.global_step == 8


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


data = [{"x": torch.tensor([k % 4.0]), "labels": torch.tensor([2 * (k % 4.0)])} for k in range(64)]
warnings = Warnings()
transformers.utils.logging.add_handler(warnings)


def train(name, accumulation, resumes):
    """Return the model, and the records of its training."""
    arguments = TrainingArguments(
        output_dir=name, use_cpu=True, report_to="none", disable_tqdm=True, logging_steps=1, num_train_epochs=3,
        per_device_train_batch_size=4, gradient_accumulation_steps=accumulation, save_strategy="steps", save_steps=1000,
    )
    trainer = Trainer(Small(), arguments, train_dataset=data, callbacks=None if resumes else [StopAtEight()])
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resumes or None)
    return trainer.model, [record for record in trainer.state.log_history if "loss" in record]


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
found = []
for name, accumulation in (("as it was", 1), ("with accumulation doubled", 2)):
    first, _ = train(name, 1, False)
    second, records = train(name, accumulation, True)
    epochs = [record["epoch"] for record in records]
    found.append((epochs[7], epochs[8], epochs[-1], len(epochs), first.samples + second.samples))
    print(f"resumed {name:27} epoch {epochs[7]} at step 8, then {epochs[8]}; {epochs[-1]} at step {len(epochs)}   {found[-1][4]} samples")
print("warnings:", warnings.said)
sys.exit(0 if found == [(0.5, 0.5625, 3.0, 48, 192), (0.5, 1.125, 3.0, 24, 160)] and not warnings.said else 1)
PYTHON
