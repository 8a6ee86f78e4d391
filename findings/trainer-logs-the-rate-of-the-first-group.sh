#!/usr/bin/env bash
# transformers 5.24.0: `learning_rate` in the log is that of the optimizer's first group of parameters, and nothing says that there are
# more. With LoRA+ of peft 0.21.2, which trains one half of the adapter at 16 times the rate of the other, the log has the
# low one alone; with rates by layer it is the rate of the layer that comes first.
#
# Seen, with torch 2.13.0 on a CPU, at the first of four steps:
#   the log                       learning_rate 0.0001
#   the groups of the optimizer   512 parameters at 0.0001, 512 parameters at 0.0016
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 peft==0.21.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments


class Groups(TrainerCallback):
    """Keeps the rates that each step is made with."""

    def __init__(self):
        self.rates = []

    def on_pre_optimizer_step(self, arguments, state, control, optimizer=None, **_):
        self.rates.append({group["lr"]: sum(p.numel() for p in group["params"]) for group in optimizer.param_groups if group["params"]})


torch.manual_seed(0)
samples = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 64, (32, 16))]
size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
model = get_peft_model(LlamaForCausalLM(LlamaConfig(vocab_size=64, **size)), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
optimizer, groups = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1e-4, loraplus_lr_ratio=16), Groups()
arguments = TrainingArguments(
    output_dir="out", use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=4
)
trainer = Trainer(model, arguments, train_dataset=samples, optimizers=(optimizer, None), callbacks=[groups])
trainer.remove_callback(PrinterCallback)
trainer.train()
record, used = trainer.state.log_history[0], groups.rates[0]
print(f"transformers {transformers.__version__}, peft {peft.__version__}")
print("the log                      ", {name: value for name, value in record.items() if "rate" in name})
print("the groups of the optimizer  ", ", ".join(f"{count} parameters at {rate}" for rate, count in used.items()))
sys.exit(0 if record["learning_rate"] == 1e-4 and used == {1e-4: 512, 1.6e-3: 512} else 1)
PYTHON
