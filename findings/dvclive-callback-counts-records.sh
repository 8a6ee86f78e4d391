#!/usr/bin/env bash
# transformers 5.24.0 with DVCLive 3.49.1 (`report_to="dvclive"`): the steps in DVCLive's files are not those of the Trainer. Its
# callback calls `next_step` behind every record, and never sets the step: they count records, from 0 on. The evaluation at step 10
# stands at 2 where the loss is logged every fifth step, training and evaluation never share a step, and another `logging_steps`
# stretches the curve. The epoch of each record is right.
#
# Seen, for 20 steps with torch 2.13.0, the loss logged every fifth step and evaluated every tenth:
#   loss        Trainer [5, 10, 15, 20]   DVCLive [0, 1, 3, 4]
#   eval loss   Trainer [10, 20]          DVCLive [2, 5]
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 dvclive==3.49.1
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import csv
import sys
from importlib.metadata import version

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainingArguments


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": (self.layer(x) - labels).square().mean(), "logits": x}


samples = [{"x": torch.tensor([k % 4.0]), "labels": torch.tensor([2 * (k % 4.0)])} for k in range(64)]
arguments = TrainingArguments(
    output_dir="out", use_cpu=True, report_to="dvclive", disable_tqdm=True, save_strategy="no", max_steps=20, logging_steps=5,
    eval_strategy="steps", eval_steps=10,
)
trainer = Trainer(Small(), arguments, train_dataset=samples, eval_dataset=samples[:8])
trainer.remove_callback(PrinterCallback)
trainer.train()
print("transformers", transformers.__version__, "dvclive", version("dvclive"))
wanted = {"loss": ([5, 10, 15, 20], [0, 1, 3, 4]), "eval_loss": ([10, 20], [2, 5])}
found = {}
for name in wanted:
    of_trainer = [record["step"] for record in trainer.state.log_history if name in record]
    path = f"dvclive/plots/metrics/{name.replace('_', '/')}.tsv"
    found[name] = of_trainer, [int(row["step"]) for row in csv.DictReader(open(path), delimiter="\t")]
    print(f"{name:10}  Trainer {found[name][0]}  DVCLive {found[name][1]}")
sys.exit(0 if found == wanted else 1)
PYTHON
