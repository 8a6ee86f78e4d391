"""Runs of the real TRL on a random model of a few thousand weights: one function for each Trainer, all offline."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = "the a cat dog bird tree sees eats likes red green big small and on under runs sings today now".split()
SPECIAL = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}


def tokenizer() -> Any:
    """Words are tokens."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)


def model(seed: int, kind: str = "ForCausalLM", **more: Any) -> Any:
    transformers.set_seed(seed)
    config = transformers.Qwen2Config(
        vocab_size=len(WORDS) + len(SPECIAL),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        **more,
    )
    return getattr(transformers, f"Qwen2{kind}")(config)


def sentence(rng: random.Random, words: list[str], length: int) -> str:
    return " ".join(rng.choice(words) for _ in range(length))


def pairs(seed: int, count: int) -> list[dict[str, str]]:
    """Prompts with a chosen answer, which is about animals, and a rejected one, which is not."""
    rng = random.Random(seed)
    good, bad = WORDS[2:9], WORDS[9:]
    return [
        {
            "prompt": sentence(rng, WORDS, 3),
            "chosen": " " + sentence(rng, good, rng.randint(3, 6)),
            "rejected": " " + sentence(rng, bad, rng.randint(3, 6)),
        }
        for _ in range(count)
    ]


def arguments(folder: Path, seed: int, **options: Any) -> dict[str, Any]:
    shared = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "max_steps": 20,
        "eval_strategy": "steps",
        "eval_steps": 5,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": seed,
    }
    return shared | options


def sft(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    """With two evaluation sets; of one kind there is less in the training set, and it has more words."""
    rng = random.Random(seed)
    easy, hard = ("the {} <eos>", WORDS[2:7]), ("a {} <eos>", WORDS[7:])

    def rows(kinds: list[Any], count: int) -> Any:
        return Dataset.from_list(
            [{"text": form.format(sentence(rng, words, 5))} for form, words in rng.choices(kinds, k=count)]
        )

    return trl.SFTTrainer(
        model(seed),
        trl.SFTConfig(**arguments(folder, seed, **options)),
        train_dataset=rows([easy, easy, hard], 1024),
        eval_dataset={"easy": rows([easy], 32), "hard": rows([hard], 32)},
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def dpo(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    return trl.DPOTrainer(
        model(seed),
        ref_model=model(seed),
        args=trl.DPOConfig(**arguments(folder, seed, **options)),
        train_dataset=Dataset.from_list(pairs(seed, 512)),
        eval_dataset=Dataset.from_list(pairs(seed + 1000, 16)),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def kto(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    def rows(found: list[dict[str, str]]) -> Any:
        kinds = (("chosen", True), ("rejected", False))
        return Dataset.from_list(
            [
                {"prompt": pair["prompt"], "completion": pair[kinds[i % 2][0]], "label": kinds[i % 2][1]}
                for i, pair in enumerate(found)
            ]
        )

    return trl.KTOTrainer(
        model(seed),
        ref_model=model(seed),
        args=trl.KTOConfig(**arguments(folder, seed, **options)),
        train_dataset=rows(pairs(seed, 512)),
        eval_dataset=rows(pairs(seed + 1000, 16)),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def reward(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    return trl.RewardTrainer(
        model(seed, "ForSequenceClassification", num_labels=1),
        args=trl.RewardConfig(**arguments(folder, seed, **options)),
        train_dataset=Dataset.from_list(pairs(seed, 512)),
        eval_dataset=Dataset.from_list(pairs(seed + 1000, 16)),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def about_animals(completions: list[str], **other: Any) -> list[float]:
    """Reward the share of words that are wanted."""
    return [sum(word in WORDS[2:5] for word in text.split()) / max(len(text.split()), 1) for text in completions]


def taught(seed: int, folder: Path) -> str:
    """Keep a model that has learned to end its sentences, and return where."""
    rng, words, policy = random.Random(seed), tokenizer(), model(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    for _ in range(60):
        length = rng.randint(2, 6)
        texts = [f"{sentence(rng, WORDS, 3)} {sentence(rng, WORDS, length)} <eos>" for _ in range(16)]
        ids = words(texts, return_tensors="pt")["input_ids"]
        policy(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    policy.save_pretrained(folder / "start")
    return str(folder / "start")


def grpo(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    return with_rewards(trl.GRPOTrainer, trl.GRPOConfig, folder, callbacks, seed, **options)


def rloo(folder: Path, callbacks: list[Any], seed: int = 0, **options: Any) -> Any:
    return with_rewards(trl.RLOOTrainer, trl.RLOOConfig, folder, callbacks, seed, **options)


def with_rewards(trainer: Any, config: Any, folder: Path, callbacks: list[Any], seed: int, **options: Any) -> Any:
    group = {"num_generations": 4, "max_completion_length": 16, "temperature": 1.0, "learning_rate": 3e-3}
    return trainer(
        model=taught(seed, folder),  # by its folder: the reference model is loaded from there
        reward_funcs=about_animals,
        args=config(**arguments(folder, seed, **(group | options))),
        train_dataset=Dataset.from_list([{"prompt": pair["prompt"]} for pair in pairs(seed, 512)]),
        eval_dataset=Dataset.from_list([{"prompt": pair["prompt"]} for pair in pairs(seed + 1000, 8)]),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


TRAINERS = {"sft": sft, "dpo": dpo, "kto": kto, "reward": reward, "grpo": grpo, "rloo": rloo}
