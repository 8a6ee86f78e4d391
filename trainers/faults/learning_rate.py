"""Faults of the learning rate and its schedule."""

from __future__ import annotations

from trainers.faults.fault import Fault
from trainers.faults.machine import CrashAndResume


class LrTooHigh(Fault):
    """The learning rate is 256 times too high and does not fall, and nothing is clipped."""

    rules = ("divergence", "lr-too-high", "early-divergence")
    remedy = "lower the learning rate and clip gradients"
    advised = "Lower the learning rate"
    changes = {"lr": lambda s: 256 * s.lr, "schedule": "constant", "grad_clip": 0.0}
    cure = {"lr": lambda s: s.lr / 256, "grad_clip": 1.0}


class LrGrowing(Fault):
    """From 40% of the run on the learning rate grows tenfold every fifth of the run, and nothing is clipped."""

    rules = ("divergence",)
    remedy = "correct the sign of the decay"
    advised = "Correct the schedule"
    changes = {"grad_clip": 0.0}
    cure = {"grad_clip": 1.0}

    def lr(self, step: int, lr: float) -> float:
        return self.settings.lr * 10 ** (5 * (step / self.settings.steps - 0.4)) if step > self.at(0.4) else lr


class LrTooLow(Fault):
    """The learning rate is 8192 times too low."""

    rules = ("not-learning", "lr-too-low", "worse-than-reference")
    remedy = "raise it"
    advised = "learning rate"
    changes = {"lr": lambda s: s.lr / 8192}
    cure = {"lr": lambda s: 8192 * s.lr}


class LrZero(Fault):
    """The learning rate is zero."""

    rules = ("zero-lr",)
    remedy = "set a learning rate"
    advised = "learning rate|schedule"
    changes = {"lr": 0.0}
    cure = {"lr": lambda s: type(s)().lr}  # the default of the trainer


class LrDeadHalfway(Fault):
    """The schedule was made for half of the steps: after that the learning rate is zero."""

    rules = ("zero-lr",)
    remedy = "make the schedule as long as the run"
    advised = "schedule"

    def lr(self, step: int, lr: float) -> float:
        return lr if step <= self.at(0.5) else 0.0


class LrJumpOnResume(CrashAndResume):
    """After a crash the learning rate goes on ten times higher."""

    rules = ("lr-jump",)
    remedy = "restore the scheduler with the weights"
    advised = "scheduler"
    resumed = {"lr": lambda s: 10 * s.lr}
    mended = CrashAndResume


class NoWarmup(Fault):
    """The warm-up is upside down, from 100 times the peak down to it over a tenth of the run, and nothing is clipped."""

    rules = ("early-instability", "lr-too-high")
    remedy = "warm up over the first steps, and clip gradients"
    advised = "[Ww]arm up"
    changes = {"grad_clip": 0.0}
    stands_for = ("warmup_steps",)
    cure = {"grad_clip": 1.0}

    def lr(self, step: int, lr: float) -> float:
        return self.settings.lr * max(1.0, 100 * (1 - step / self.at(0.1))) if step <= self.at(0.1) else lr


class LrHump(Fault):
    """From 30% to 45% of the run the learning rate is 12 times as high, and nothing is clipped."""

    rules = ("temporary-divergence", "lr-jump", "divergence")
    remedy = "keep the schedule, and clip gradients"
    advised = "Lower the learning rate|scheduler|schedule"
    changes = {"grad_clip": 0.0}
    cure = {"grad_clip": 1.0}

    def lr(self, step: int, lr: float) -> float:
        return 12 * lr if self.at(0.3) < step <= self.at(0.45) else lr


FAULTS = (LrTooHigh, LrGrowing, LrTooLow, LrZero, LrDeadHalfway, LrJumpOnResume, NoWarmup, LrHump)
