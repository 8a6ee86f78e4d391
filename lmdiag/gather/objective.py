"""What a run trains for, as far as the log tells: only the loss of a language model must fall."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from lmdiag.readers.rawlog import RawLog
from lmdiag.run import Series
from lmdiag.stats.windows import median

LIKELIHOODS = ("causal-lm", "masked-lm", "classification")
OFTEN = 0.1  # of the losses
TASKS = ("causal-lm", "masked-lm", "classification", "reinforcement", "composite")
REWARDS = re.compile(
    r"(^|/)(reward|reward_std|rewards?|kl|objective/kl|grpo_loss|advantages?)($|/|_mean$)|^(actor|critic)/|(^|/)(act|cri|actor|critic|policy|pg)_loss$"
    r"|(^|/)(approx_?kl|ep_?rew_?mean|ep(isode)?_?reward_?mean|mean_episode_reward|average_?ep_?ret|mean reward|policy_gradient_loss)$"
)
PREFERENCES = re.compile(r"(^|/)rewards/(margins|chosen|rejected|accuracies)$")
OTHER_TERMS = re.compile(
    r"(^|[/_ ])(kl|teacher|distill\w*|kd|recon\w*|contrastive|mse|jepa|align\w*|commit\w*)_?loss$", re.IGNORECASE
)
_LEADING = re.compile(r"^(?:train/|loss(?:es)?/)+")
ADVERSARIES = re.compile(r"(^|[/_ ])(d|g|disc|discriminator|gen|generator)_?loss$", re.IGNORECASE)


def objective(raw: RawLog, series: Mapping[str, Series]) -> str:
    """Return what the reader knows, else the task of the header, else what the names of the metrics give away."""
    known = raw.objective or raw.config.get("task")
    if known in TASKS:
        return str(known)
    names = [_LEADING.sub("", name.lower()) for name in raw.columns]
    if any(PREFERENCES.search(name) for name in names):
        return "composite"
    if any(REWARDS.search(name) for name in names):
        return "reinforcement"
    if any(ADVERSARIES.search(name) for name in names) or _auxiliary_terms_dominate(raw, series):
        return "composite"
    return "causal-lm"


def _auxiliary_terms_dominate(raw: RawLog, series: Mapping[str, Series]) -> bool:
    """Tell whether the terms beside the language model's loss are, together, at least half as large as the loss.

    Balancing terms of mixtures of experts do not count: they are logged before their small weight.
    """
    if "loss" not in series or "lm" in series["loss"].source_name.lower():
        return False
    terms = [
        float(median(np.abs(column.values[np.isfinite(column.values)])))
        for name, column in raw.columns.items()
        if OTHER_TERMS.search(name) and "val" not in name and len(column.rows) >= 0.5 * len(series["loss"])
        if np.isfinite(column.values).any()
    ]
    finite = series["loss"].finite.values
    return bool(terms) and bool(len(finite)) and sum(terms) >= 0.5 * float(median(np.abs(finite)))


def signed_or(known: str, series: Mapping[str, Series]) -> str:
    """Return `signed` where the loss is often below zero, which no cross-entropy is, else the objective known."""
    loss = series.get("loss", series.get("val/loss"))
    if known not in LIKELIHOODS or loss is None or not len(loss.finite):
        return known
    return "signed" if float((loss.finite.values < 0).mean()) >= OFTEN else known
