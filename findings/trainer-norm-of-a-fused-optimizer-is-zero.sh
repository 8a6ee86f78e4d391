#!/usr/bin/env bash
# transformers 5.24.0 with `optim="lomo"` or a layerwise one such as `apollo_adamw_layerwise` or `galore_adamw_layerwise`: these use and drop
# each gradient during the backward pass. The Trainer measures behind it, and logs a gradient norm of exactly 0.0 for every
# step of a training that learns; `max_grad_norm` has nothing to clip. A norm of 0 says a dead model anywhere else.
#
# Seen, with torch 2.13.0 on a CPU, lomo-optim 0.1.1 and apollo-torch 1.0.3, for 40 steps of a small Llama
#   adamw_torch              norms above 0   loss falls
#   apollo_adamw             norms above 0   loss falls
#   apollo_adamw_layerwise   norms all 0.0   loss falls
#   lomo                     norms all 0.0   loss falls
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
# without the GPU packages that they name
"$folder/venv/bin/pip" install --quiet --no-deps lomo-optim==0.1.1 apollo-torch==1.0.3 bitsandbytes==0.50.2
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments

samples = [{"input_ids": ids, "labels": ids} for ids in ((torch.arange(16) + k) % 64 for k in range(64))]
parts = {"optim_target_modules": ["attn", "mlp"], "optim_args": "rank=4"}
runs = {
    "adamw_torch": {"learning_rate": 3e-3},
    "apollo_adamw": {"learning_rate": 3e-3, **parts},
    "apollo_adamw_layerwise": {"learning_rate": 3e-3, **parts},
    "lomo": {"learning_rate": 0.3},
}


def train(optimizer, options):
    """Return the records of 40 steps."""
    torch.manual_seed(0)
    size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
    arguments = TrainingArguments(
        output_dir="out", use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, max_steps=40,
        optim=optimizer, **options,
    )
    trainer = Trainer(LlamaForCausalLM(LlamaConfig(vocab_size=64, **size)), arguments, train_dataset=samples)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [record for record in trainer.state.log_history if "loss" in record]


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
found = {}
for name, options in runs.items():
    records = train(name, options)
    norms, losses = [record["grad_norm"] for record in records], [record["loss"] for record in records]
    found[name] = max(norms) == 0, losses[-1] < losses[0] - 0.3
    print(f"{name:23}  norms {min(norms):.3f} to {max(norms):.3f}, loss {losses[0]:.2f} to {losses[-1]:.2f}")
wanted = {name: (name in ("apollo_adamw_layerwise", "lomo"), True) for name in runs}
sys.exit(0 if found == wanted else 1)
PYTHON
