#!/usr/bin/env bash
# transformers 5.24.0: a model whose `forward` takes `**kwargs` is believed to divide its loss by `num_items_in_batch`, whatever it
# does with it. One that returns the mean of its batch, as most do, is then not divided by `gradient_accumulation_steps`: the
# logged loss and the gradient norm are as many times too high, and so is what the norm is clipped against. The same model without
# `**kwargs` is right. `accepts_loss_kwargs = False` on the model, or `loss_is_scaled_for_ga = False` on the Trainer, mends it.
#
# Seen, with torch 2.13.0 on a CPU: loss and gradient norm of the first update, on the same weights and samples
#   forward(x, labels)             accumulation 1   loss 11.162  norm 13.391      accumulation 4   loss 11.162  norm 13.391
#   forward(x, labels, **kwargs)   accumulation 1   loss 11.162  norm 13.391      accumulation 4   loss 44.648  norm 53.565
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


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": (self.layer(x) - labels).square().mean()}


class Kwargs(Plain):
    def forward(self, x, labels, **kwargs):
        return super().forward(x, labels)


samples = [{"x": torch.tensor([k % 4.0]), "labels": torch.tensor([2 * (k % 4.0)])} for k in range(8)]


def first_update(model, accumulation):
    """Return what is logged of one update on all samples."""
    arguments = TrainingArguments(
        output_dir="out", use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=1,
        per_device_train_batch_size=8 // accumulation, gradient_accumulation_steps=accumulation, max_grad_norm=1e9, seed=1,
    )
    trainer = Trainer(model, arguments, train_dataset=samples)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history[0]


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
found = {}
for model in (Plain, Kwargs):
    for accumulation in (1, 4):
        log = first_update(model(), accumulation)
        found[model.__name__, accumulation] = log["loss"], log["grad_norm"]
        print(f"{model.__name__:8} accumulation {accumulation}   loss {log['loss']:.3f}  norm {log['grad_norm']:.3f}")


def times(accumulation, model):
    return [round(a / b, 3) for a, b in zip(found[model, accumulation], found["Plain", 1])]


sys.exit(0 if times(4, "Plain") == times(1, "Kwargs") == [1, 1] and times(4, "Kwargs") == [4, 4] else 1)
PYTHON
