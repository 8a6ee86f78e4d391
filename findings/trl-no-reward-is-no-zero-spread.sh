#!/usr/bin/env bash
# TRL 1.16.0, GRPOTrainer: a reward function may answer None where it does not apply. Where no function answers for any
# completion, nothing can be learned, and TRL warns on the console. The log says so in one place only: `reward` and `reward_std`
# are null. `loss` and `grad_norm` are exactly 0, as for a solved task, and `frac_reward_zero_std`, which counts the
# groups without a difference to learn from, says 0.0: none of them. Whoever watches that share sees a healthy run.
#
# Seen, with transformers 5.23.0 and torch 2.13.0 on a CPU; from step 4 on the function answers None:
#   step  reward  reward_std  frac_reward_zero_std  loss       grad_norm
#   3     a number, a number, a number              not 0      above 0
#   4     None    None        0.0                   0.0        0.0
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
from trl import GRPOConfig, GRPOTrainer

words = "<pad> <eos> <unk> the cat dog sat ran on mat rug a big red and then".split()
tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
torch.manual_seed(0)
size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2)
model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=1, **size))


def length_until_step_3(completions, trainer_state, **_):
    return [None if trainer_state.global_step >= 3 else float(len(set(text.split()))) for text in completions]


trainer = GRPOTrainer(
    model=model, processing_class=tokenizer, train_dataset=Dataset.from_list([{"prompt": "the cat"}] * 8),
    reward_funcs=length_until_step_3,
    args=GRPOConfig(
        output_dir="run", max_steps=6, per_device_train_batch_size=4, num_generations=4, max_completion_length=6,
        learning_rate=1e-3, logging_steps=1, save_strategy="no",
        use_cpu=True, bf16=False, report_to="none", disable_tqdm=True,
    ),
)  # fmt: skip
trainer.train()
print(f"trl {trl.__version__}", file=sys.stderr)
shown = ("reward", "reward_std", "frac_reward_zero_std", "loss", "grad_norm")
rows = [{name: record[name] for name in shown} for record in trainer.state.log_history if "loss" in record]
for step, row in enumerate(rows, 1):
    print(step, row)
answered = all(row["reward"] is not None for row in rows[:3]) and any(row["grad_norm"] > 0 for row in rows[:3])
silent = all(list(row.values()) == [None, None, 0.0, 0.0, 0.0] for row in rows[3:])
sys.exit(0 if answered and silent and len(rows) == 6 else 1)
PYTHON
