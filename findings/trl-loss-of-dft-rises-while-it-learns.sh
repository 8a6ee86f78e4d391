#!/usr/bin/env bash
# TRL 1.16.0, SFTTrainer with `loss_type="dft"`: each token's loss is its negative log-likelihood times its probability, -p log p. That is near 0
# for what a model does not know, highest at p = 0.37, and 0 again for what it knows. A model that learns from scratch, or something new, has
# a loss that rises at first, and so has its `eval_loss`: an untrained model is as good by it as one that has learned all, and the
# checkpoint with the lowest may be the first. The accuracy in the same records tells them apart.
#
# Seen, with torch 2.13.0 and transformers 5.24.0 on a CPU, a small Llama that learns 64 texts: `eval_loss` and `eval_mean_token_accuracy`
#   step    0            10           30           50           80
#   "nll"   4.17, 0.03   2.80, 1.00   1.07, 1.00   0.40, 1.00   0.24, 1.00
#   "dft"   0.07, 0.03   0.17, 1.00   0.36, 1.00   0.14, 1.00   0.07, 1.00
#
# Ends with 1 where TRL does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.24.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
venv/bin/python - 2> stderr.txt <<'PYTHON'
import sys

import tokenizers
import torch
import transformers
import trl
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(1)
words = {f"w{number}": number for number in range(62)} | {"<pad>": 62, "<eos>": 63}
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>")), pad_token="<pad>", eos_token="<eos>"
)
texts = Dataset.from_list([{"input_ids": [(first + place) % 62 for place in range(16)]} for first in range(62)])
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)


def evaluated(loss):
    """Return the loss and the accuracy of each evaluation by its step."""
    torch.manual_seed(0)
    arguments = SFTConfig(
        "out", loss_type=loss, max_steps=80, learning_rate=5e-3, eval_strategy="steps", eval_steps=10, eval_on_start=True, bf16=False,
        save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
    )
    trainer = SFTTrainer(
        LlamaForCausalLM(LlamaConfig(**shape)), arguments, train_dataset=texts, eval_dataset=texts, processing_class=tokenizer
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    records = [record for record in trainer.state.log_history if "eval_loss" in record]
    return {record["step"]: (record["eval_loss"], record["eval_mean_token_accuracy"]) for record in records}


print(f"trl {trl.__version__}, transformers {transformers.__version__}")
found = {loss: evaluated(loss) for loss in ("nll", "dft")}
for loss, evaluations in found.items():
    print(f"{loss}  ", *(f"{step}: {value:.3f} {accuracy:.2f}  " for step, (value, accuracy) in evaluations.items()))
losses = {loss: [value for value, _ in evaluations.values()] for loss, evaluations in found.items()}
accuracies = [accuracy for _, accuracy in found["dft"].values()]
right = (
    losses["nll"] == sorted(losses["nll"], reverse=True)
    and losses["dft"][0] < 0.1
    and max(losses["dft"]) > 3 * losses["dft"][0]
    and accuracies[losses["dft"].index(max(losses["dft"]))] > accuracies[0] + 0.5
)
sys.exit(0 if right else 1)
PYTHON
