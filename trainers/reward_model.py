"""A reward model: it learns from pairs of answers which of them people would prefer, and gives each a number.

Bradley and Terry 1952: of two answers with rewards r, the first is preferred with probability sigmoid(r1 - r2). Stiennon et
al. 2020 (arXiv:2009.01325, section 3.4) and Ouyang et al. 2022 (arXiv:2203.02155, equation 1) fit r to pairs by

    -log sigmoid(r(chosen) - r(rejected))

with the last hidden state of a language model before a head of one output. Here the logit of the token that stops, behind the
last token of an answer, is that output: it is linear in the hidden state as well, and asks for no weight that the saved model
does not have. Only differences count: all rewards may wander together. The pairs are those of `dpo`, which it shares the
class with that makes them; read `Ranking` behind `dpo.Preferences`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from trainers import post_training
from trainers.completions import Completions
from trainers.dpo import Pairs, Preferences
from trainers.dpo import Settings as PairSettings
from trainers.faults import Hooks
from trainers.settings import setting


@dataclass
class Settings(PairSettings):
    """The settings of a reward model: those of `dpo`; there is no reference, so that `beta` does nothing."""

    lr: float = setting(1e-4, "peak learning rate")
    pairs: int = setting(2048, "pairs of answers to write; those that are equally good teach nothing", least=1)
    beta: float = setting(0.1, "of no effect: a reward model has no reference to stay near")


class Ranking(Preferences):
    """The pairs of `dpo`, and the loss of a few of them for a model that ranks instead of writing."""

    def reference_logs(self, pairs: Pairs) -> torch.Tensor:
        return torch.zeros(2, len(pairs[0].ids))  # nobody asks what a reference would give them

    def scored(self, part: Completions) -> torch.Tensor:
        """Return the reward of each answer, float[n]."""
        logits, _ = self.bench.policy(part.ids, None)
        last = self.bench.settings.prompt_tokens + self.mask(part).sum(1).long() - 1
        return logits[torch.arange(len(last)), last, self.bench.stop].float()

    def compare(self, pairs: Pairs, which: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss of some pairs and its parts, under the names that TRL gave them."""
        chosen, rejected = (self.scored(part.rows(which)) for part in pairs)
        loss = -logsigmoid(chosen - rejected).mean()
        chosen, rejected = chosen.detach(), rejected.detach()
        both = torch.cat([chosen, rejected])
        return loss, {
            "min_reward": both.min(),
            "mean_reward": both.mean(),
            "max_reward": both.max(),
            "margin": (chosen - rejected).mean(),
            "accuracy": (chosen > rejected).float().mean(),
        }


def train(settings: Settings, hooks: Hooks) -> None:
    """Make a reward model of a saved model."""
    post_training.train("reward-model", "preference", Ranking, settings, hooks)
