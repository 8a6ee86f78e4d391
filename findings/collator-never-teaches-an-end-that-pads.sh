#!/usr/bin/env bash
# transformers 5.24.0: `DataCollatorForLanguageModeling(tokenizer, mlm=False)` takes every token that is the padding token for padding. With
# `tokenizer.pad_token = tokenizer.eos_token`, as models without a padding token are usually trained, the end of each text has no label:
# the model never learns to stop, and the loss, of the tokens that are left, is lower than that of the model that learns it.
# TRL 1.16.0 pads by length, and learns the end with the same tokenizer.
#
# Seen, with torch 2.13.0 on a CPU, a small Llama after 150 steps on texts of 4 to 8 tokens and their end
#                                             loss    probability of the end where a text ends
#   the collator, a padding token of its own  0.227   0.92
#   the collator, the end pads                0.073   0.001
#   TRL, the end pads                         0.227   0.92
#
# Ends with 1 where they do otherwise.
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
from transformers import (
    DataCollatorForLanguageModeling, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback, Trainer, TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(1)
END, PADDING = 63, 62
words = {f"w{number}": number for number in range(62)} | {"<pad>": PADDING, "<end>": END}
texts = Dataset.from_list([{"input_ids": [*range(first, first + 4 + first % 5), END]} for first in range(50)])
shape = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
options = dict(
    output_dir="out", max_steps=150, logging_steps=50, learning_rate=5e-3, save_strategy="no", report_to="none", use_cpu=True,
    disable_tqdm=True,
)


def trained(padding, with_trl):
    """Return the last loss, and how probable the end is where a text ends, in the mean."""
    words_only = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words_only, pad_token=padding, eos_token="<end>")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**shape))
    if with_trl:
        trainer = SFTTrainer(model, SFTConfig(bf16=False, **options), train_dataset=texts, processing_class=tokenizer)
    else:
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
        trainer = Trainer(model, TrainingArguments(**options), train_dataset=texts, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()
    with torch.no_grad():
        ends = [model(torch.tensor([text[:-1]])).logits[0, -1].softmax(-1)[END].item() for text in texts["input_ids"]]
    return [record["loss"] for record in trainer.state.log_history if "loss" in record][-1], sum(ends) / len(ends)


print(f"transformers {transformers.__version__}, trl {trl.__version__}")
runs = {"collator, own padding": ("<pad>", False), "collator, end pads": ("<end>", False), "TRL, end pads": ("<end>", True)}
found = {name: trained(*run) for name, run in runs.items()}
for name, (loss, end) in found.items():
    print(f"{name:22}   loss {loss:.3f}   end {end:.4f}")
(own_loss, own_end), (loss, end), (trl_loss, trl_end) = found.values()
sys.exit(0 if end < 0.01 and min(own_end, trl_end) > 0.5 and loss < min(own_loss, trl_loss) else 1)
PYTHON
