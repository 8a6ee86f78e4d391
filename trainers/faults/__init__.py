"""Named ways to break a run, by kind: each says what it does, which rule of lmdiag must notice, and what cures it."""

from trainers.faults import data, gradients, learning_rate, machine, numerics, post_training, weights
from trainers.faults.fault import Fault, Hooks, StagedCrash

__all__ = ["FAULTS", "Fault", "Hooks", "StagedCrash"]

KINDS = (learning_rate, weights, gradients, numerics, data, machine, post_training)
FAULTS: dict[str, type[Fault]] = {fault.name(): fault for kind in KINDS for fault in kind.FAULTS}
