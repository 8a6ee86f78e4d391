"""Direct preference optimisation: from pairs of answers, of which one is preferred, without a model of rewards.

Rafailov et al. 2023 (arXiv:2305.18290). Who maximises a reward r and pays `beta` for each nat of divergence from a
reference ends at the policy pi(y|x) ~ ref(y|x) exp(r(x,y) / beta), their equation 4. Turned round, a policy says which
reward it is best for, r = beta log(pi / ref) up to a constant for each prompt, and a pair tells about the difference of
two: the loss, their equation 7, is

    -log sigmoid(beta log(pi(chosen) / ref(chosen)) - beta log(pi(rejected) / ref(rejected)))

Here the policy itself writes both answers of a pair before training, and a reward that can be computed prefers one, as
Bradley and Terry 1952 have it: with probability sigmoid(difference / noise). Read `Preferences` from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from trainers import post_training
from trainers.completions import Completions, log_probabilities
from trainers.faults import Hooks
from trainers.post_training import Bench, drawn
from trainers.post_training import Settings as SharedSettings
from trainers.settings import setting

Pairs = tuple[Completions, Completions]  # chosen, rejected


@dataclass
class Settings(SharedSettings):
    """The settings of direct preference optimisation beside those of all methods."""

    lr: float = setting(3e-4, "peak learning rate")
    eval_prompts: int = setting(256, "prompts to evaluate on", least=1)
    pairs: int = setting(1024, "pairs of answers to write; those that are equally good teach nothing", least=1)
    batch_size: int = setting(16, "pairs per optimizer update", least=1)
    noise: float = setting(
        0.05, "how far apart two rewards must be to be told apart; 0: the better is always preferred"
    )


class Preferences:
    """Pairs made once, and the loss of a few of them at each step."""

    def __init__(self, bench: Bench) -> None:
        s = bench.settings
        self.bench = bench
        self.generator = torch.Generator().manual_seed(s.seed)
        # of the two splits; faults may spoil the pairs that are trained on, never those that judge
        self.training = bench.hooks.pairs(*self.compared(drawn(bench.prompts, s.pairs, self.generator)))
        self.held_out = self.compared(drawn(bench.held_out, s.eval_prompts, self.generator))
        with torch.no_grad():  # the reference never changes: ask it once
            self.reference = {id(pairs): self.reference_logs(pairs) for pairs in (self.training, self.held_out)}

    def compared(self, prompts: torch.Tensor) -> Pairs:
        """Let the policy write two answers to each prompt; the reward says, with some noise, which is preferred."""
        two = [self.bench.write(prompts, self.generator) for _ in range(2)]
        first, second = (torch.stack(list(self.bench.rewards(answers).values())).mean(0).cpu() for answers in two)
        # the difference of two rewards with Gumbel noise is logistic: this is Bradley and Terry's model, drawn
        luck = torch.logit(torch.rand(len(prompts), generator=self.generator, dtype=torch.float64)).float()
        prefers_second = first - second < luck * self.bench.settings.noise
        unlike = (first != second).nonzero()[:, 0]  # of two that are equally good, none is preferred
        if not len(unlike):
            raise ValueError(
                f"all answers have the same reward: {self.bench.settings.rewards} tells nothing about them. "
                "Try other --rewards, more --pairs, or a higher --temperature"
            )
        both = Completions(*(torch.cat([getattr(part, name) for part in two]) for name in ("ids", "mask", "ended")))
        place = torch.arange(len(prompts)) + len(prompts) * prefers_second
        return both.rows(place[unlike]), both.rows((place[unlike] + len(prompts)) % (2 * len(prompts)))

    def reference_logs(self, pairs: Pairs) -> torch.Tensor:
        """Return log ref(chosen) and log ref(rejected), float[2, n]."""
        temperature = self.bench.settings.temperature
        logs = (log_probabilities(self.bench.reference, part, temperature)[0] * self.mask(part) for part in pairs)
        return torch.stack([each.sum(1) for each in logs])

    def mask(self, part: Completions) -> torch.Tensor:
        """Return which tokens count."""
        return self.bench.hooks.mask(part.mask)

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss of a batch of pairs, and what its log should hold."""
        which = torch.randint(len(self.training[0].ids), (self.bench.settings.batch_size,), generator=self.generator)
        which = which.to(self.bench.device)
        self.bench.policy.train()
        loss, metrics = self.compare(self.training, which)
        pair = (part.mask[which].sum() for part in self.training)
        return loss, metrics | {"new_tokens": sum(pair) + 2 * len(which) * self.bench.settings.prompt_tokens}

    @torch.no_grad()
    def evaluate(self) -> dict[str, torch.Tensor]:
        """Return the same for the pairs of the validation split."""
        self.bench.policy.eval()
        loss, metrics = self.compare(self.held_out, torch.arange(len(self.held_out[0].ids), device=self.bench.device))
        return {"loss": loss, **metrics}

    def compare(self, pairs: Pairs, which: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss of some pairs, equation 7, and its parts under the names that TRL gave them."""
        s = self.bench.settings
        parts = [part.rows(which) for part in pairs]
        logs, entropies = zip(*(log_probabilities(self.bench.policy, part, s.temperature) for part in parts))
        # sums, not means: the formula is about whole answers, and a mean would take the length out of them
        policy = torch.stack([(each * self.mask(part)).sum(1) for each, part in zip(logs, parts)])
        reference = self.bench.hooks.reference(self.reference[id(pairs)][:, which], policy)
        chosen, rejected = s.beta * (policy - reference)  # the rewards for which this policy would be best
        # logsigmoid, not the logarithm of a sigmoid: that is log 0 as soon as a pair is far on the wrong side
        loss = -logsigmoid(chosen - rejected).mean()
        written = torch.cat([part.mask for part in parts])
        chosen, rejected, (chosen_logs, rejected_logs) = chosen.detach(), rejected.detach(), policy.detach()
        return loss, {
            "rewards/chosen": chosen.mean(),
            "rewards/rejected": rejected.mean(),
            "rewards/margins": (chosen - rejected).mean(),
            "rewards/accuracies": (chosen > rejected).float().mean(),
            "logps/chosen": chosen_logs.mean(),
            "logps/rejected": rejected_logs.mean(),
            "entropy": (torch.cat(entropies) * written).sum() / written.sum(),
            "completions/mean_length": written.sum(1).mean(),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"].cpu())


def train(settings: Settings, hooks: Hooks) -> None:
    """Post-train a saved model on preferences."""
    post_training.train("dpo", "preference", Preferences, settings, hooks)
