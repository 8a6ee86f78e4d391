"""The methods that train language models, and what the loss of each is: this decides which rules look at a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LANGUAGE_MODEL, CLASSIFICATION, PREFERENCE, REINFORCEMENT, OTHER = (
    "language-model",
    "classification",
    "preference",
    "reinforcement",
    "other",
)
METHODS: dict[str, tuple[str, str]] = {  # method: what kind of loss it has, and how people are told of it
    "pretraining": (LANGUAGE_MODEL, "language modelling"),
    "sft": (LANGUAGE_MODEL, "supervised fine-tuning"),
    "classification": (CLASSIFICATION, "classification"),
    "dpo": (PREFERENCE, "DPO"),
    "orpo": (PREFERENCE, "ORPO"),
    "cpo": (PREFERENCE, "CPO"),
    "simpo": (PREFERENCE, "SimPO"),
    "kto": (PREFERENCE, "KTO"),
    "reward-model": (PREFERENCE, "a reward model"),
    "preference": (PREFERENCE, "training on preferences"),
    "ppo": (REINFORCEMENT, "PPO"),
    "grpo": (REINFORCEMENT, "GRPO"),
    "rloo": (REINFORCEMENT, "RLOO"),
    "reinforcement": (REINFORCEMENT, "reinforcement learning"),
    "distillation": (OTHER, "distillation"),
    "embedding": (OTHER, "sentence embeddings"),
    "composite": (OTHER, "a loss of several terms"),
}
OF_OBJECTIVE = {  # the method where nothing but the objective is known
    "causal-lm": "pretraining",
    "masked-lm": "pretraining",
    "classification": "classification",
    "reinforcement": "reinforcement",
    "composite": "composite",
}
_SETTINGS = frozenset(
    """
    stage rlhf_type rl adv_estimator advantage_estimator estimator trainer_type train_method training_method method algorithm loss_type
    pref_loss trainer_class trainer
    """.split()
)
_SAID = {  # what a setting may say, in lower case without separators
    **{name.replace("-", ""): name for name in METHODS if name not in ("composite", "classification", "embedding")},
    "pt": "pretraining", "pretrain": "pretraining", "rm": "reward-model", "reward": "reward-model", "gae": "ppo", "rlhf": "ppo",
    "reinforce": "reinforcement", "reinforce++": "reinforcement", "reinforcebaseline": "reinforcement", "dapo": "grpo", "drgrpo": "grpo",
    "gspo": "grpo", "bnpo": "grpo", "cispo": "grpo", "groupnorm": "grpo", "gkd": "distillation", "ipo": "dpo", "sigmoid": "dpo",
}  # fmt: skip


def said_in(settings: Mapping[str, Any], among: str = "") -> str:
    """Return the method that the settings of a program name, of one kind where that is known; "" where they name none.

    >>> said_in({"stage": "rm"}), said_in({"algorithm": {"adv_estimator": "rloo"}}), said_in({"loss_type": "sigmoid"}, "reinforcement")
    ('reward-model', 'rloo', '')
    """
    for name, value in _named(settings):
        said = _SAID.get(value.lower().replace("-", "").replace("_", "").removesuffix("trainer").removesuffix("config"))
        if said and name.rpartition(".")[2].rpartition("/")[2].lower() in _SETTINGS and among in ("", METHODS[said][0]):
            return said
    return ""


def _named(settings: Mapping[str, Any], depth: int = 0) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, str) and len(value) < 40:
            found.append((str(name), value))
        elif isinstance(value, Mapping) and depth < 4:
            found += _named(value, depth + 1)
    return found
