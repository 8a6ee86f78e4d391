"""The whole of training a language model, in one flat file: read it from top to bottom, run it with `python trainers/minimal.py`.

A recurrent network learns to predict the next character of Python's own documentation, in under a minute on one CPU core. It writes the
log that `lmdiag check minimal.jsonl` reads. Try to break it: a rate of 0.5, no clipping, `shuffled` targets.
"""

import math
import pydoc_data.topics
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from lmdiag import RunLogger

# ---- settings

STEPS, ROWS, CONTEXT = 600, 32, 64  # updates; streams read side by side; characters per update of each
WIDTH, RATE, CLIP, WARMUP = 160, 5e-3, 1.0, 50
torch.manual_seed(1)

# ---- data: text -> numbers

text = "\n\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
characters = sorted(set(text))  # the vocabulary: here a token is a character
number = {character: i for i, character in enumerate(characters)}
ids = torch.tensor([number[character] for character in text])
# What is learned must show on text that was not seen: the last tenth is kept for that. In one piece: of single characters drawn by
# chance the network would have seen both neighbours.
train, held_out = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]


def streams(ids: torch.Tensor) -> torch.Tensor:
    """Cut a text into rows that are read side by side: the network's state at the end of a batch fits the next one."""
    return ids[: len(ids) // ROWS * ROWS].view(ROWS, -1)


def batch(rows: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets: the target of each character is the one behind it."""
    return rows[:, start : start + CONTEXT], rows[:, start + 1 : start + CONTEXT + 1]


# ---- model: a character becomes a vector, the LSTM remembers what came before, and a linear layer scores each next character


class Model(nn.Module):
    """An embedding, an LSTM and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(characters), WIDTH)  # numbers of characters mean nothing: 7 is not near 8
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.scores = nn.Linear(WIDTH, len(characters))  # any numbers: the loss makes probabilities of them

    def forward(self, ids: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None = None):  # type: ignore[no-untyped-def]
        hidden, state = self.lstm(self.embedding(ids), state)
        return self.scores(hidden), state


model = Model()
# Adam divides the step of each weight by how large its gradients have been: gates that are nearly shut get tiny ones, and learn as well.
optimizer = torch.optim.Adam(model.parameters(), lr=RATE)


def loss_of(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean of -ln p(target) in nats; e to its power is the perplexity: among so many the model still chooses."""
    return functional.cross_entropy(scores.flatten(0, 1), targets.flatten())


@torch.no_grad()
def evaluate() -> float:
    """Return the loss on the text that was held out."""
    rows, state, losses = streams(held_out), None, []
    for start in range(0, rows.shape[1] - CONTEXT, CONTEXT):
        inputs, targets = batch(rows, start)
        scores, state = model(inputs, state)  # carried, as in training: the model reads on, and need not begin anew
        losses.append(loss_of(scores, targets).item())
    return sum(losses) / len(losses)  # all batches are equally large: else each would count by its characters


@torch.no_grad()
def sample(prompt: str, length: int, temperature: float = 0.8) -> str:
    """Let the model write: draw a character, show it to the model, draw the next."""
    ids, state = [number[character] for character in prompt], None
    told = torch.tensor([ids])  # all of the prompt first; then each new character alone, for the state holds the others
    for _ in range(length):
        scores, state = model(told, state)
        chances = torch.softmax(scores[0, -1] / temperature, 0)  # below 1 the likely becomes likelier
        ids.append(int(torch.multinomial(chances, 1)))
        told = torch.tensor([[ids[-1]]])
    return "".join(characters[i] for i in ids)


# ---- the loop

rows, state, start = streams(train), None, 0
params = sum(weights.numel() for weights in model.parameters())
about = {"name": "lstm", "params": params, "vocab_size": len(characters), "context": CONTEXT}

Path("minimal.jsonl").unlink(missing_ok=True)  # of the run before
with RunLogger(
    "minimal.jsonl", task="causal-lm", model=about, max_steps=STEPS, warmup_steps=WARMUP, grad_clip=CLIP
) as log:
    log.eval(0, loss=evaluate())  # an untrained model is at ln(vocabulary): one that is above starts broken
    for step in range(1, STEPS + 1):
        # Adam's first estimates are poor, so the rate rises first; it falls in the end, so that noise averages out.
        rate = RATE * min(step / WARMUP, 0.55 + 0.45 * math.cos(math.pi * step / STEPS))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if start + CONTEXT >= rows.shape[1]:  # the end of the text: begin again, with an empty memory
            start, state = 0, None
        inputs, targets = batch(rows, start)
        start += CONTEXT

        scores, state = model(inputs, state)
        # What was remembered stays, but no gradient goes back beyond this batch: the way back would grow with every step.
        state = tuple(s.detach() for s in state)
        loss = loss_of(scores, targets)
        optimizer.zero_grad()  # gradients add up, unless they are cleared
        loss.backward()
        # One rare batch can have a gradient a hundred times as long as usual; without a limit one such step undoes many.
        norm = nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()

        # The norm is the one before clipping: behind it all large ones look alike, and nobody sees them coming.
        log.step(step, loss=loss.item(), lr=rate, grad_norm=norm.item(), tokens=step * ROWS * CONTEXT)
        if step % 50 == 0:
            found = evaluate()
            log.eval(step, loss=found)
            print(f"step {step}: loss {loss.item():.3f}, held out {found:.3f}, perplexity {math.exp(found):.2f}")

print(sample("The ", 300))
