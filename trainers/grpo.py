"""Group relative policy optimisation: reinforcement learning in which answers are held against others to the same prompt.

Shao et al. 2024 (arXiv:2402.03300), section 4.1. The policy writes a group of answers to each prompt; the advantage of
an answer is its reward less the mean of its group, over the group's standard deviation: no network has to learn
what reward to expect. The loss is that of PPO (Schulman et al. 2017) with this advantage A, the same for all tokens of an
answer, and a penalty for leaving the reference:

    -mean over answers and their tokens of  min(ratio A, clip(ratio, 1 - eps, 1 + eps) A) - beta KL

with ratio = pi / pi when it was written, and KL = ref/pi - log(ref/pi) - 1, which is never negative and right on average
(Schulman 2020, http://joschu.net/blog/kl-approx.html). In value the loss is near 0 at every step, because the
advantages of a group add up to 0: look at the reward. Read `Groups` from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from trainers import post_training
from trainers.completions import Completions, log_probabilities
from trainers.faults import Hooks
from trainers.post_training import Bench, drawn
from trainers.post_training import Settings as SharedSettings
from trainers.settings import setting


@dataclass
class Settings(SharedSettings):
    """The settings of group relative policy optimisation beside those of all methods."""

    prompts: int = setting(8, "prompts per generation", least=1)
    group_size: int = setting(8, "answers to each prompt", least=1)
    iterations: int = setting(1, "optimizer updates that use the same answers", least=1)
    epsilon: float = setting(0.2, "how far the ratio of probabilities may leave 1 before its gradient is cut")


@dataclass
class Written:
    """Answers, their advantages, and their log-probabilities when they were written and under the reference."""

    answers: Completions
    advantages: torch.Tensor  # float[n]
    logs: torch.Tensor  # float[n, length], as are those of the reference
    reference: torch.Tensor


class Groups:
    """Groups of answers, written anew every few steps, and their loss."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.generator = torch.Generator().manual_seed(bench.settings.seed)
        self.asked = drawn(bench.held_out, bench.settings.eval_prompts, self.generator)
        self.written: Written | None = None

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss, and what the log should hold, under the names that TRL gave it."""
        s = self.bench.settings
        metrics: dict[str, torch.Tensor] = {}
        if (step - 1) % s.iterations == 0:
            self.written, metrics = self.write(step)
        assert self.written is not None
        self.bench.policy.train()
        logs, entropy = log_probabilities(self.bench.policy, self.written.answers, s.temperature)
        mask = self.bench.hooks.mask(self.written.answers.mask)
        advantages = self.written.advantages[:, None]

        # 1 in the first update after writing; beyond it the answers are those of a policy that is no longer quite this one
        ratio = (logs - self.written.logs).exp()
        kept = ratio.clamp(1 - s.epsilon, 1 + s.epsilon)
        # the smaller of the two: clipping may take a gain away, and must never hide a loss
        gain = torch.minimum(ratio * advantages, kept * advantages)
        apart = self.bench.hooks.reference(self.written.reference, logs) - logs
        # the plain log ratio is right on average as well, but negative half of the time, and as noisy as the ratio itself
        kl = apart.exp() - apart - 1
        loss = per_answer(s.beta * kl - gain, mask).mean()

        written = self.written.answers.mask
        low, high = (ratio < 1 - s.epsilon) & (advantages < 0), (ratio > 1 + s.epsilon) & (advantages > 0)
        return loss, metrics | {
            "kl": per_token(kl.detach(), written),
            "entropy": per_token(entropy, written),
            "clip_ratio/low_mean": per_token(low.float(), written),
            "clip_ratio/high_mean": per_token(high.float(), written),
            "clip_ratio/region_mean": per_token((low | high).float(), written),
        }

    @torch.no_grad()
    def write(self, step: int) -> tuple[Written, dict[str, torch.Tensor]]:
        """Let the policy write a group of answers to each of some prompts, and hold them against each other."""
        s = self.bench.settings
        prompts = drawn(self.bench.prompts, s.prompts, self.generator).repeat_interleave(s.group_size, 0)
        answers = self.bench.write(prompts, self.generator)
        parts = self.bench.rewards(answers)
        parts = {name: self.bench.hooks.rewards(step, values, answers.lengths) for name, values in parts.items()}
        reward = torch.stack(list(parts.values())).mean(0)
        # Over the spread: an easy prompt and a hard one then teach equally much. Where all answers are equally good the spread is 0, and
        # 1e-4 lets the advantages be 0 instead of 0/0.
        groups = reward.view(s.prompts, s.group_size)
        spread = groups.std(1, correction=0, keepdim=True)
        advantages = (groups - groups.mean(1, keepdim=True)) / (spread + 1e-4)
        logs, reference = (
            log_probabilities(model, answers, s.temperature)[0] for model in (self.bench.policy, self.bench.reference)
        )
        new_tokens = answers.mask.sum() + prompts.numel()
        found = described(answers, reward, parts) | {"new_tokens": new_tokens}
        found["frac_reward_zero_std"] = (spread < 1e-6).float().mean()
        return Written(answers, advantages.flatten(), logs, reference), found

    @torch.no_grad()
    def evaluate(self) -> dict[str, torch.Tensor]:
        """Return the reward of one answer to each prompt of the validation split; always with the same luck."""
        # a generator of its own: an evaluation that took from the training's luck would change the run it looks at
        answers = self.bench.write(self.asked, torch.Generator().manual_seed(self.bench.settings.seed))
        parts = self.bench.rewards(answers)
        return described(answers, torch.stack(list(parts.values())).mean(0), parts)

    def state_dict(self) -> dict[str, Any]:
        held = self.written
        kept = held and {**vars(held), "answers": vars(held.answers)}
        return {"generator": self.generator.get_state(), "written": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"].cpu())
        held = state["written"]
        self.written = held and Written(**held | {"answers": Completions(**held["answers"])})


def per_answer(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens of each answer, float[n]."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def per_token(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over all tokens written."""
    return (values * mask).sum() / mask.sum()


def described(answers: Completions, reward: torch.Tensor, parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what is known of answers as soon as they are written."""
    lengths, ended = answers.lengths, answers.ended.float()
    found = {
        "reward": reward.mean(),
        "reward_std": reward.std(correction=0),
        "completions/mean_length": lengths.mean(),
        "completions/min_length": lengths.min(),
        "completions/max_length": lengths.max(),
        "completions/clipped_ratio": 1 - ended.mean(),
        "completions/mean_terminated_length": (lengths * ended).sum() / ended.sum().clamp(min=1),
    }
    for name, values in parts.items():
        found |= {f"rewards/{name}/mean": values.mean(), f"rewards/{name}/std": values.std(correction=0)}
    return found


def train(settings: Settings, hooks: Hooks) -> None:
    """Post-train a saved model on rewards."""
    post_training.train("grpo", "reinforcement", Groups, settings, hooks)
