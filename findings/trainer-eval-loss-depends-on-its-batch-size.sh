#!/usr/bin/env bash
# transformers 5.24.0: `eval_loss` is the mean over samples of the loss of their batch, which a language model averages over the
# tokens of the batch. Where samples differ in length it changes with `per_device_eval_batch_size` alone: short samples count
# as much as long ones in batches of one, and for their few tokens in large batches. The training loss is one over tokens. The
# perplexities of two evaluations of one model, or of training and evaluation, cannot be compared.
#
# Seen, with torch 2.13.0 on a CPU: one model, one set of 16 texts of which every fourth is ten times as long as the others
#   batches of 1   eval_loss 3.9
#   batches of 2   eval_loss 2.9
#   batches of 4   eval_loss 0.9, the loss over all tokens
#
# Ends with 1 where the first is no longer above the second, that above the third, or the third not that over all tokens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 accelerate==1.15.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import random
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments, set_seed

set_seed(0)
sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
model = LlamaForCausalLM(LlamaConfig(vocab_size=50, max_position_embeddings=64, **sizes))


def text(tokens):
    """Return a text that is filled up to 30 tokens, which do not count."""
    filled = 30 - len(tokens)
    mask = [1] * len(tokens) + [0] * filled
    return {"input_ids": tokens + [0] * filled, "labels": tokens + [-100] * filled, "attention_mask": mask}


long, short = text([7] * 30), [text([random.randrange(50) for _ in range(3)]) for _ in range(12)]
texts = [long if k % 4 == 0 else short[k * 3 // 4 - 1] for k in range(16)]
arguments = TrainingArguments(
    output_dir="out", use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", max_steps=40, learning_rate=0.01
)
trainer = Trainer(model, arguments, train_dataset=[long] * 8, eval_dataset=texts)
trainer.remove_callback(PrinterCallback)
trainer.train()
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
found = []
for size in (1, 2, 4):
    trainer.args.per_device_eval_batch_size = size
    found.append(trainer.evaluate()["eval_loss"])
    print(f"batches of {size}   eval_loss {found[-1]:.3f}")
with torch.no_grad():
    whole = float(model(**{name: torch.tensor([one[name] for one in texts]) for name in texts[0]}).loss)
print(f"over all tokens          {whole:.3f}")
sys.exit(0 if found[0] > 1.2 * found[1] > 1.5 * found[2] and abs(found[2] - whole) < 0.01 else 1)
PYTHON
