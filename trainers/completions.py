"""What a policy writes to a prompt, and how likely it finds what was written: all that post-training asks of a model."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Completions:
    """Prompts and what was written to them; all prompts are of one length, so that nothing is padded on the left.

    `ids` is int64[n, prompt + length]; `mask` is float[n, length], 1 for the tokens that were written, the one that
    stops included, and 0 behind it.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    ended: torch.Tensor  # bool[n]: stopped of itself, before the limit

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each completion, float[n]."""
        return self.mask.sum(1)

    def rows(self, which: torch.Tensor) -> Completions:
        """Return some of them."""
        return Completions(self.ids[which], self.mask[which], self.ended[which])


@torch.no_grad()
def write(
    policy: torch.nn.Module,
    prompts: torch.Tensor,
    length: int,
    stop: int,
    temperature: float,
    generator: torch.Generator,
) -> Completions:
    """Draw completions of at most `length` tokens to prompts, int64[n, prompt]; each ends with the token `stop`."""
    policy.eval()
    ids, begun = prompts, prompts.shape[1]
    running = torch.ones(len(prompts), 1, dtype=torch.bool, device=prompts.device)
    mask = []
    for _ in range(length):
        # all of it again for each token, without a cache: a model of two dozen tokens is quicker asked than remembered
        logits, _ = policy(ids, None)
        chances = torch.softmax(logits[:, -1].float() / temperature, -1)
        # drawn on the CPU: its generator gives the same numbers whatever device the model is on
        drawn = torch.multinomial(chances.cpu(), 1, generator=generator).to(ids.device)
        mask.append(running)  # before it is asked whether this token ends the answer: the one that does is learned, too
        ids = torch.cat([ids, torch.where(running, drawn, stop)], 1)
        running = running & (drawn != stop)
        if not running.any():
            break
    missing = begun + length - ids.shape[1]
    ids = torch.nn.functional.pad(ids, (0, missing), value=stop)
    return Completions(ids, torch.nn.functional.pad(torch.cat(mask, 1).float(), (0, missing)), ~running.squeeze(1))


def log_probabilities(
    policy: torch.nn.Module, written: Completions, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of each token written, and the entropy where it was drawn; nats, float[n, length]."""
    length = written.mask.shape[1]
    logits, _ = policy(written.ids[:, :-1], None)  # the logits at a token are about the next one
    logs = torch.log_softmax(logits[:, -length:].float() / temperature, -1)
    entropy = -(logs.exp() * logs).sum(-1)
    return logs.gather(-1, written.ids[:, -length:, None]).squeeze(-1), entropy.detach()
