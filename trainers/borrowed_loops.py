"""What the trainers share whose loop is somebody else's: Keras' `fit`, Hugging Face's `Trainer`."""

from __future__ import annotations

from trainers.faults import Hooks

REACHED = ("corpus",)


def check_fault(hooks: Hooks, name: str) -> None:
    """Raise ValueError for a fault that must reach into a loop of our own."""
    reached = hooks.beyond(REACHED)
    if reached:
        raise ValueError(
            f"this fault changes the inside of the training loop ({', '.join(reached)}), and the loop of {name} is not "
            "ours: use it with rnn, lstm or transformer"
        )
