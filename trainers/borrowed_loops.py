"""What the trainers share whose loop is somebody else's: Keras' `fit`, Hugging Face's `Trainer`."""

from __future__ import annotations

from trainers.faults import Hooks

REACHABLE = {"__init__", "__module__", "__doc__", "__dict__", "__weakref__", "at", "corpus"}


def check_fault(hooks: Hooks, name: str) -> None:
    """Raise ValueError for a fault that must reach into a loop of our own."""
    reached = [
        hook for hook in vars(Hooks) if hook not in REACHABLE and getattr(type(hooks), hook) is not getattr(Hooks, hook)
    ]
    if reached:
        raise ValueError(
            f"this fault changes the inside of the training loop ({', '.join(reached)}), and the loop of {name} is not "
            "ours: use it with rnn, lstm or transformer"
        )
