"""Faults of the data: broken batches, too little text, targets that do not fit, text seen where it should not be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.faults.fault import Fault
from trainers.faults.machine import CrashAndResume

if TYPE_CHECKING:
    import torch

    from trainers.corpus import Corpus

Batch = tuple["torch.Tensor", "torch.Tensor"]


def few_tokens(settings: Any) -> int:
    """Return the least text that a batch can be cut from, and a little more: it is soon learned by heart."""
    return 2 * settings.batch_size * (settings.context + 2)


class PoisonedBatch(Fault):
    """One batch at 60% of the run is noise, the same few rare tokens over and over, as from a broken file."""

    rules = ("loss-spike", "gradient-spike")
    remedy = "find the batch and leave it out"
    advised = "batch"
    changes = {"grad_clip": 0.0}
    cure = {"grad_clip": 1.0}

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
        if step == self.at(0.6):
            noise = self.vocabulary - 1 - inputs % 2
            return noise, noise.roll(1, 1)
        return inputs, targets

    def corpus(self, corpus: Corpus) -> Corpus:
        self.vocabulary = corpus.vocabulary.size
        return corpus


class TinyData(Fault):
    """There is far too little training text: it is learned by heart."""

    rules = ("overfitting",)
    remedy = "more data, or stop at the best evaluation"
    advised = "more data|best|Keep"
    changes = {"train_tokens": few_tokens}
    cure = {"train_tokens": 0}


class PaddedStretch(Fault):
    """From 40% to 60% of the run a quarter of each batch is padding that counts as text: the same token over and over."""

    rules = ("repeated-stretch",)
    remedy = "mask the padding, or leave it out"
    advised = "padding"

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
        if not self.at(0.4) < step <= self.at(0.6):
            return inputs, targets
        inputs, targets = inputs.clone(), targets.clone()
        padded = slice(0, len(inputs) // 4)
        inputs[padded] = targets[padded] = self.padding
        return inputs, targets

    def corpus(self, corpus: Corpus) -> Corpus:
        self.padding = int(np.bincount(corpus.train).argmax())
        return corpus


class UnrelatedTargets(Fault):
    """Targets come from other sequences: the most a model can learn is how often each token occurs."""

    rules = ("at-chance", "plateau", "worse-than-reference")
    remedy = "check how targets are made from inputs"
    advised = "label"

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
        return inputs, targets.flip(0).roll(targets.shape[1] // 2, 1)

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return [self.batch(0, *batch) for batch in batches]


class LeakedTargets(Fault):
    """The shift by one token was forgotten: a model has to repeat what it sees."""

    rules = ("bits-per-byte-out-of-range", "too-low-loss")
    remedy = "shift the targets by one token"
    advised = "shift|training data"

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
        return inputs, inputs

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return [self.batch(0, *batch) for batch in batches]


class MaskedTargets(Fault):
    """All targets are masked, as when a template does not find the answer: there is nothing to learn, and no loss."""

    rules = ("zero-loss",)
    remedy = "decode the labels of one batch"
    advised = "labels"

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> Batch:
        return inputs, targets * 0 - 100  # what cross-entropy ignores


class OverlappingEvaluation(Fault):
    """The evaluation set is the tiny training set, which is learned by heart.

    Recurrent models read it without the state they had in training, and do not know it again.
    """

    rules = ("bits-per-byte-out-of-range", "too-low-loss")
    remedy = "evaluate on text the model has not seen"
    advised = "training data"
    changes = {"train_tokens": lambda s: few_tokens(s) // 2}
    cure = {"train_tokens": 0}
    models = ("transformer",)

    def corpus(self, corpus: Corpus) -> Corpus:
        return replace(corpus, val=corpus.train)


class RepeatedDataOnResume(CrashAndResume):
    """After a crash the run begins with its first batches again."""

    rules = ("replayed-data",)
    remedy = "restore the sampler with the weights"
    advised = "sampler"
    mended = CrashAndResume

    def sampler(self, saved: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
        return fresh


FAULTS = (
    PoisonedBatch,
    TinyData,
    PaddedStretch,
    UnrelatedTargets,
    LeakedTargets,
    MaskedTargets,
    OverlappingEvaluation,
    RepeatedDataOnResume,
)
