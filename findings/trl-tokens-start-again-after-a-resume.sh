#!/usr/bin/env bash
# TRL 1.16.0: `num_tokens`, "tokens seen so far", begins at 0 again when SFTTrainer resumes from a checkpoint, while the
# steps, the epochs and the Trainer's own `num_input_tokens_seen` in the same record go on. GRPOTrainer's `num_tokens`
# goes on as well. A loss drawn over num_tokens folds back on itself, and a budget in tokens is trained twice.
#
# Seen, with transformers 5.23.0 and torch 2.13.0 on a CPU, resumed at step 4:
#   step                        1    2    3    4 |   5    6    7    8
#   SFT  num_tokens            28   56   84  112 |  28   56   84  112
#   SFT  num_input_tokens_seen 28   56   84  112 | 140  168  196  224
#   GRPO num_tokens          grows through the resume
#
# Ends with 1 where TRL does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python - <<'PYTHON'
import sys

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

words = "<pad> <eos> <unk> the cat dog sat ran on mat rug a big red and then".split()
tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
often = dict(
    per_device_train_batch_size=4, learning_rate=1e-3, logging_steps=1, save_strategy="steps", save_steps=4,
    use_cpu=True, bf16=False, report_to="none", disable_tqdm=True,
)  # fmt: skip


def model():
    torch.manual_seed(0)
    size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=1, **size))


def sft(steps):
    text = Dataset.from_list([{"text": "the cat sat on the mat"}] * 8)
    arguments = SFTConfig(output_dir="sft", max_steps=steps, include_num_input_tokens_seen="all", **often)
    return SFTTrainer(model=model(), processing_class=tokenizer, train_dataset=text, args=arguments)


def grpo(steps):
    prompts = Dataset.from_list([{"prompt": "the cat"}] * 8)
    arguments = GRPOConfig(
        output_dir="grpo", max_steps=steps, num_generations=4, max_completion_length=6, **often
    )
    return GRPOTrainer(
        model=model(), processing_class=tokenizer, train_dataset=prompts, args=arguments,
        reward_funcs=lambda completions, **_: [float("sat" in text) for text in completions],
    )  # fmt: skip


def resumed(trainer):
    trainer(4).train()
    again = trainer(8)
    again.train(resume_from_checkpoint=True)
    return [record for record in again.state.log_history if "loss" in record]


print(f"trl {trl.__version__}", file=sys.stderr)
records, other = resumed(sft), [record["num_tokens"] for record in resumed(grpo)]
counted = [record["num_tokens"] for record in records]
seen = [record["num_input_tokens_seen"] for record in records]
print("SFT  num_tokens           ", counted)
print("SFT  num_input_tokens_seen", seen)
print("GRPO num_tokens           ", other)
grows = all(before < after for values in (seen, other) for before, after in zip(values, values[1:]))
sys.exit(0 if grows and counted[4:] == counted[:4] else 1)
PYTHON
