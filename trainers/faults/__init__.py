"""Named ways to break a run, by kind: each says what it does, which rule of lmdiag must notice, and what cures it."""

from trainers.faults import data, gradients, learning_rate, machine, numerics, weights
from trainers.faults.fault import Fault, Hooks, StagedCrash

__all__ = ["FAULTS", "Fault", "Hooks", "StagedCrash"]

KINDS = (learning_rate, weights, gradients, numerics, data, machine)
FAULTS: dict[str, type[Fault]] = {fault.name(): fault for kind in KINDS for fault in kind.FAULTS}
