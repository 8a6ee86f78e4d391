#!/usr/bin/env bash
# transformers 5.24.0 with `logging_nan_inf_filter=False`: after one loss that is NaN or infinite every later `loss` in the log is NaN, and so
# is `train_loss`, however well the model learns: the sum behind a record is emptied by taking it from itself. With the filter, on by
# default, the same step is logged as 0.0. Gradient norms and `eval_loss` in the log are right. A batch whose texts have no label, as where
# a prompt alone fills the length that texts are cut at, is enough: its loss is 0/0, its gradient 0, and the model takes no harm.
#
# Seen, with torch 2.13.0 on a CPU, for 8 steps of which the third has no label
#   without the filter   losses 4.15 4.06 nan nan  nan  nan  nan  nan    train_loss nan
#   with the filter      losses 4.15 4.06 0.0 3.97 3.95 3.94 3.94 3.95   train_loss 3.5
#   with either          norms  2.18 2.22 0.0 2.17 2.08 2.08 2.04 2.03   eval_loss 3.94 behind step 4, 3.87 behind step 8
#
# Ends with 1 where the Trainer does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import math
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments

torch.set_num_threads(1)
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
texts = [(torch.arange(16) + k) % 64 for k in range(8)]
samples = [{"input_ids": text, "labels": text} for text in texts]
training = [*samples[:2], {"input_ids": texts[2], "labels": torch.full((16,), -100)}, *samples[3:]]


def train(filtered):
    """Return the records of steps, the two losses of evaluations, and the mean at the end."""
    torch.manual_seed(0)
    arguments = TrainingArguments(
        "out", logging_nan_inf_filter=filtered, max_steps=8, learning_rate=1e-3, per_device_train_batch_size=1, logging_steps=1,
        train_sampling_strategy="sequential", eval_strategy="steps", eval_steps=4, save_strategy="no", report_to="none", use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(LlamaForCausalLM(LlamaConfig(**shape)), arguments, train_dataset=training, eval_dataset=samples)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    log = trainer.state.log_history
    steps = [record for record in log if "loss" in record]
    return steps, [record["eval_loss"] for record in log if "eval_loss" in record], log[-1]["train_loss"]


print("transformers", transformers.__version__)
found = {filtered: train(filtered) for filtered in (False, True)}
for filtered, (steps, evaluations, mean) in found.items():
    print("with the filter" if filtered else "without the filter")
    print("  losses", *(round(record["loss"], 2) for record in steps), " train_loss", round(mean, 2))
    print("  norms ", *(round(record["grad_norm"], 2) for record in steps), " eval_loss", *(round(loss, 2) for loss in evaluations))
(steps, evaluations, mean), (filtered_steps, filtered_evaluations, filtered_mean) = found.values()
right = (
    [math.isnan(record["loss"]) for record in steps] == [False] * 2 + [True] * 6
    and math.isnan(mean)
    and [record["grad_norm"] for record in steps] == [record["grad_norm"] for record in filtered_steps]
    and [record["loss"] > 3 for record in filtered_steps] == [True] * 2 + [False] + [True] * 5
    and filtered_steps[2]["loss"] == 0
    and evaluations == filtered_evaluations == sorted(evaluations, reverse=True)
)
sys.exit(0 if right else 1)
PYTHON
