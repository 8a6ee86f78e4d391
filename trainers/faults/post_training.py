"""Faults of post-training: of the rewards, the preferences, the reference and what of an answer is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.faults.fault import Fault

if TYPE_CHECKING:
    import torch


class NoKlPenalty(Fault):
    """Leaving the reference costs nothing, and the rate is ten times higher: the policy ends far from language."""

    rules = ("kl-explosion",)
    models = ("grpo",)
    remedy = "let the divergence cost something, and lower the rate"
    advised = "KL|beta"
    changes = {"beta": 0.0, "lr": lambda s: 10 * s.lr}
    cure = {"beta": lambda s: type(s)().beta, "lr": lambda s: s.lr / 10}


class PolicyRateTooHigh(Fault):
    """The learning rate is 1,000 times too high, and nothing is clipped: the policy is gone after a few updates."""

    rules = ("falling-likelihood", "falling-chosen-reward", "kl-explosion", "reward-collapse", "entropy-collapse")
    models = ("dpo", "grpo")
    remedy = "lower the learning rate and clip gradients"
    advised = "[Ll]earning rate|rate"
    changes = {"lr": lambda s: 1000 * s.lr, "grad_clip": 0.0, "warmup_steps": 0}
    cure = {"lr": lambda s: s.lr / 1000, "grad_clip": lambda s: type(s)().grad_clip, "warmup_steps": 10}


class ReferenceMissing(Fault):
    """Nobody kept a copy of the model that training began with: the reference is the policy itself, and no margin is seen."""

    rules = ("flat-margin",)
    models = ("dpo",)
    remedy = "load the model that training began with as the reference"
    advised = "reference"

    def reference(self, reference: torch.Tensor, policy: torch.Tensor) -> torch.Tensor:
        return policy.detach()


class SwappedPairs(Fault):
    """In the pairs that are trained on, the preferred answer stands in the column of the rejected one."""

    rules = ("swapped-pairs", "overfitting")
    models = ("dpo", "reward-model")
    remedy = "swap the columns"
    advised = "[Ss]wap"

    def pairs(self, chosen: Any, rejected: Any) -> tuple[Any, Any]:
        return rejected, chosen


class EqualPairs(Fault):
    """Both columns of the pairs hold the same answers: there is nothing to prefer."""

    rules = ("flat-margin",)
    models = ("dpo", "reward-model")
    remedy = "read the other column"
    advised = "same text"

    def pairs(self, chosen: Any, rejected: Any) -> tuple[Any, Any]:
        return chosen, chosen


class ConstantReward(Fault):
    """Every answer gets the same reward, as from a parser that fits none: groups have no spread, advantages are 0."""

    rules = ("no-group-signal", "flat-reward")
    models = ("grpo",)
    remedy = "run the reward on a few answers by hand"
    advised = "by hand|reward"

    def rewards(self, step: int, rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return rewards * 0


class RewardFails(Fault):
    """From a third on the function that rewards fails, and nobody sees it: each answer is worth nothing, and the log holds no reward."""

    rules = ("missing-reward",)
    models = ("grpo",)
    remedy = "run the reward on the answers of the step where it stopped"
    advised = "reward function|by hand"

    def rewards(self, step: int, rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return rewards * 0 if step > self.at(1 / 3) else rewards

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        gone = {name for name in record if name.startswith("reward") or name == "frac_reward_zero_std"}
        return record if step <= self.at(1 / 3) else {name: value for name, value in record.items() if name not in gone}


class TooManyIterations(Fault):
    """The same answers are used for many updates at a high rate: the policy is soon no longer the one that wrote them."""

    rules = ("too-large-updates",)
    models = ("grpo",)
    remedy = "use answers for one update, and lower the rate"
    advised = "fewer epochs|[Ll]earning rate"
    changes = {"iterations": lambda s: 16 * s.iterations, "lr": lambda s: 10 * s.lr, "grad_clip": 0.0}
    cure = {
        "iterations": lambda s: s.iterations // 16,
        "lr": lambda s: s.lr / 10,
        "grad_clip": lambda s: type(s)().grad_clip,
    }


class LengthRewarded(Fault):
    """Every token is paid for: the policy learns to write on until it is cut off."""

    rules = ("reward-hacking", "truncated-responses", "length-explosion")
    models = ("grpo",)
    remedy = "do not pay for length"
    advised = "[Ll]ength|pay for nothing"

    def rewards(self, step: int, rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return rewards + 3 * lengths / self.settings.completion_tokens


class LengthPunished(Fault):
    """Every token costs more than an answer can earn: the policy learns to say nothing."""

    rules = ("length-collapse",)
    models = ("grpo",)
    remedy = "do not let a token cost more than it earns"
    advised = "[Pp]ay for the content"

    def rewards(self, step: int, rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return rewards - 3 * lengths / self.settings.completion_tokens


class GroupsOfOne(Fault):
    """One answer to each prompt: it is its own mean, and its advantage is always 0."""

    rules = ("no-group-signal",)
    models = ("grpo",)
    remedy = "several answers to each prompt"
    advised = "more responses"
    changes = {"group_size": 1, "prompts": lambda s: s.prompts * s.group_size}
    cure = {"group_size": lambda s: type(s)().group_size, "prompts": lambda s: s.prompts // type(s)().group_size}


class MaskedCompletions(Fault):
    """The mask that should leave the prompt out leaves the answer out as well: no token is trained on."""

    rules = ("frozen-policy", "flat-margin")
    models = ("dpo", "grpo", "reward-model")
    remedy = "decode what the mask leaves of one answer"
    advised = "truncation|requires_grad"

    def mask(self, mask: torch.Tensor) -> torch.Tensor:
        return mask * 0


FAULTS = (
    NoKlPenalty,
    PolicyRateTooHigh,
    ReferenceMissing,
    SwappedPairs,
    EqualPairs,
    ConstantReward,
    RewardFails,
    TooManyIterations,
    LengthRewarded,
    LengthPunished,
    GroupsOfOne,
    MaskedCompletions,
)
