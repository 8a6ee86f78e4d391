#!/usr/bin/env bash
# transformers 5.24.0, with `logging_nan_inf_filter`, on by default: a loss of NaN is replaced by "the average of recent valid losses". With
# gradient accumulation it is not: each NaN adds what was summed since the last record, divided by steps, not by micro-batches. A
# NaN in the last of four micro-batches adds half to the logged loss, two double it, and one in the first takes a quarter away.
# The curve has a spike, or a dip, where every loss that there was is the same. Without accumulation the loss is right.
#
# Seen, with torch 2.13.0 on a CPU, each update logged, for losses that are all 2.0, or NaN
#   accumulation 4   2, 2, 2, 2      logged 2.0
#   accumulation 4   2, 2, 2, NaN    logged 3.0
#   accumulation 4   2, 2, NaN, NaN  logged 4.0
#   accumulation 4   NaN, 2, 2, 2    logged 1.5
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
from transformers import PrinterCallback, Trainer, TrainingArguments


class Given(torch.nn.Module):
    """Has the loss that stands in the data."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, labels=None):
        return {"loss": x.mean() + 0 * self.weight.sum()}


def logged(losses, accumulation):
    arguments = TrainingArguments(
        "out", per_device_train_batch_size=1, gradient_accumulation_steps=accumulation, num_train_epochs=1, logging_steps=1,
        train_sampling_strategy="sequential", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
    )
    data = [{"x": torch.tensor([loss]), "labels": torch.tensor([0.0])} for loss in losses]
    trainer = Trainer(Given(), arguments, train_dataset=data)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [record["loss"] for record in trainer.state.log_history if "loss" in record]


print("transformers", transformers.__version__)
nan = float("nan")
found = []
for losses in ([2.0] * 4, [2.0, 2.0, 2.0, nan], [2.0, 2.0, nan, nan], [nan, 2.0, 2.0, 2.0]):
    found += logged(losses, 4)
    print("accumulation 4", losses, "logged", found[-1])
sys.exit(0 if found == [2.0, 3.0, 4.0, 1.5] else 1)
PYTHON
