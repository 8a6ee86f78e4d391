#!/usr/bin/env bash
# transformers 5.24.0 on a data set without a length, such as a stream: `epoch` in the log is the share of `max_steps` that is done, and jumps
# to the next whole number where the stream ends and begins anew. The second pass begins at 1.1, and a run that reads the data two
# and a half times ends at 2.2. A run that resumes in a later pass begins the stream anew: the epoch falls back, and what was
# read in that pass is read again, while what it had not come to waits for the next one.
#
# Seen, with torch 2.13.0 on a CPU, for 16 samples in batches of 4, ten steps, and then once more from step 6 on
#   with a length    0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5
#   a stream         0.1, 0.2, 0.3, 0.4, 1.1, 1.2, 1.3, 1.4, 2.1, 2.2
#   resumed          epoch 1.2 at step 6, then 1.1 at step 7   samples 0 to 7, which steps 5 and 6 had read
#
# Ends with 1 where the Trainer does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import torch
import transformers
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments


class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.read = []

    def forward(self, x, labels=None):
        self.read.append([int(value) for value in x])
        return {"loss": (x - self.weight).square().mean()}


def trained(data, resume=None):
    """Return the epochs by step, and the samples that were read."""
    model = Mean()
    arguments = TrainingArguments(
        "out", per_device_train_batch_size=4, max_steps=10, logging_steps=1, save_steps=6, report_to=[], use_cpu=True,
        train_sampling_strategy="sequential", disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, train_dataset=data)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    epochs = {record["step"]: round(record["epoch"], 3) for record in trainer.state.log_history if "loss" in record}
    return epochs, model.read


print("transformers", transformers.__version__)
samples = Dataset.from_dict({"x": [float(n) for n in range(16)], "labels": [0.0] * 16})
whole, _ = trained(samples)
stream, read = trained(samples.to_iterable_dataset())
resumed, again = trained(samples.to_iterable_dataset(), "out/checkpoint-6")
print("with a length", list(whole.values()))
print("a stream     ", list(stream.values()))
print("resumed       epoch", resumed[6], "at step 6, then", resumed[7], "; steps 5 and 6 read", read[4:6], "7 and 8", again[:2])
right = list(whole.values())[:5] == [0.25, 0.5, 0.75, 1.0, 1.25] and list(stream.values())[3:5] == [0.4, 1.1]
sys.exit(0 if right and stream[10] == 2.2 and resumed[7] < resumed[6] and again[:2] == read[4:6] else 1)
PYTHON
