"""What a run trains for and by which method, as far as the log tells: only the loss of a language model must fall."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from lmdiag.methods import LANGUAGE_MODEL, METHODS, OF_OBJECTIVE, OTHER, PREFERENCE, REINFORCEMENT, said_in
from lmdiag.metrics import LN2
from lmdiag.naming import evaluation_set, words_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.run import Series
from lmdiag.stats.windows import median

LIKELIHOODS = ("causal-lm", "masked-lm", "classification")
OFTEN = 0.1  # of the losses
NEAR_ZERO = 1.0  # nats: a language model that is trained on begins above it, and so does one from scratch
OF_COINS, OF_TOSSING = frozenset({"dpo"}), 0.02  # methods whose loss begins at ln 2, and how near it
TASKS = ("causal-lm", "masked-lm", "classification", "reinforcement", "composite")
REWARDS = re.compile(
    r"(^|/)(reward|reward_std|rewards?|kl|objective/kl|grpo_loss|advantages?)($|/|_mean$)|^(actor|critic)/|(^|/)(act|cri|actor|critic|policy|pg)_loss$"
    r"|(^|/)(approx_?kl|ep_?rew_?mean|ep(isode)?_?reward_?mean|mean_episode_reward|average_?ep_?ret|mean reward|policy_gradient_loss)$"
    r"|^average reward score$|^ppo/mean_scores$"
)
PREFERENCES = re.compile(r"(^|/|_)rewards ?/ ?(margins|chosen|rejected|accuracies)$|(^|/)logps/(chosen|rejected)$")
OF_PAIRS = re.compile(r"(^|[/_ ])reward[_ ]margins?$")  # of preferences, by a method that its name does not tell
OTHER_TERMS = re.compile(
    r"(^|[/_ ])(kl|teacher|distill\w*|kd|recon\w*|contrastive|mse|jepa|align\w*|commit\w*)_?loss$", re.IGNORECASE
)
_LEADING = re.compile(r"^(?:train/|loss(?:es)?/)+")
_WEAK = re.compile(r"(^|/)kl($|/)|(^|/)approx_?kl$")  # a log of a language model may have one, too
_GIVEN_AWAY = {"reward", "zero_std_share", "clip_ratio", "update_kl"}
_EMBEDDINGS = re.compile(
    r"(^|[/_])(embedding_loss$|(spearman|pearson)_(cosine|euclidean|manhattan|dot)$|cosine_(accuracy|ndcg|mrr|map)(@\d+)?$)"
)
ADVERSARIES = re.compile(r"(^|[/_ ])(d|g|disc|discriminator|gen|generator)_?loss$", re.IGNORECASE)
_MASKED = frozenset({"mlm", "masked"})  # words of a name
OF_RLOO = "normalize_advantages"  # a setting that TRL's RLOO has, and its GRPO has not
_OF_SFT = frozenset({"mean_token_accuracy", "eval_mean_token_accuracy", "token_acc", "eval_token_acc"})


def objective_and_method(raw: RawLog, series: Mapping[str, Series]) -> tuple[str, str]:
    """Return what a run trains for and by which method.

    What the reader knows comes first, then the names of the metrics, then the task of the header: a policy that is trained by
    reinforcement has the architecture of a language model.
    """
    names = [_LEADING.sub("", name.lower()) for name in raw.columns]
    task = str(raw.config.get("task", ""))
    settings = {**raw.config, **raw.settings}
    told = next((word for word in (raw.method, str(raw.config.get("method", ""))) if word in METHODS), "")
    method = _method(names, set(series), settings)
    if told and (not method or METHODS[method][0] == METHODS[told][0]):
        method = told
    method = method or _named(raw, series)
    if raw.objective in TASKS:
        return raw.objective, method if method and _fits(method, raw.objective) else OF_OBJECTIVE[raw.objective]
    kind = METHODS[method][0] if method else ""
    if kind in (PREFERENCE, OTHER):
        return "composite", method
    strong = any(not _WEAK.search(name) for name in names if REWARDS.search(name)) or not _GIVEN_AWAY.isdisjoint(series)
    if kind == REINFORCEMENT and (strong or told or (task not in TASKS and _near_zero(series))):
        return "reinforcement", method
    if task in TASKS:
        return task, method if method and _fits(method, task) else OF_OBJECTIVE[task]
    if any(ADVERSARIES.search(name) for name in names) or _auxiliary_terms_dominate(raw, series):
        return "composite", "composite"
    losses = series.get("loss", series.get("val/loss"))
    of_masked = losses is not None and not _MASKED.isdisjoint(words_of(losses.source_name))
    return "masked-lm" if of_masked else "causal-lm", method if kind == LANGUAGE_MODEL else "pretraining"


def _named(raw: RawLog, series: Mapping[str, Series]) -> str:
    """Return the method that the name of a log says, such as `dpo_loss.csv`, where its loss begins at what tossing a coin for each pair costs."""
    losses = series["loss"].finite.values if "loss" in series else np.empty(0)
    if not len(losses) or abs(float(losses[0]) / LN2 - 1) > OF_TOSSING:
        return ""
    words = words_of(raw.name.replace("\\", "/").rpartition("/")[2])
    return next((word for word in words if word in OF_COINS), "")


def _near_zero(series: Mapping[str, Series]) -> bool:
    """Tell whether a loss begins near 0, as that of a policy does beside its divergence, or there is none."""
    losses = series["loss"].finite.values if "loss" in series else np.empty(0)
    return not len(losses) or abs(float(losses[0])) < NEAR_ZERO


def _fits(method: str, objective: str) -> bool:
    """Tell whether a method can be that of an objective, whatever else the names say."""
    kinds = {"reinforcement": (REINFORCEMENT,), "composite": (PREFERENCE, OTHER), "classification": ()}
    return METHODS[method][0] in kinds.get(objective, (LANGUAGE_MODEL,))


def _method(names: Collection[str], metrics: Collection[str], settings: Mapping[str, object]) -> str:
    """Return the method that names give away, "" where they are those of any language model."""
    if any(PREFERENCES.search(name) for name in names) or {"chosen_reward", "rejected_reward"} <= set(metrics):
        return said_in(settings, PREFERENCE) or _preference(names, metrics)
    if "reward_margin" in metrics and {"reward_min", "reward_accuracy", "accuracy"} & set(metrics):
        return "reward-model"
    if any(OF_PAIRS.search(name) for name in names):
        return said_in(settings, PREFERENCE) or "preference"
    if any(REWARDS.search(name) for name in names) or not _GIVEN_AWAY.isdisjoint(metrics):
        return said_in(settings, REINFORCEMENT) or ("rloo" if OF_RLOO in settings else _reinforcement(names, metrics))
    losses = any(name.rpartition("/")[2] == "loss" for name in metrics)
    if not losses and any(name.endswith("/reward") and evaluation_set(name) for name in metrics):
        return said_in(settings, REINFORCEMENT) or _reinforcement(names, metrics)
    if any(_EMBEDDINGS.search(name) for name in names):
        return "embedding"
    if any(name.startswith("completions/") for name in names):
        return "distillation"
    said = said_in(settings)
    if said in ("sft", "distillation", "pretraining", "reward-model"):
        return said
    return "sft" if not _OF_SFT.isdisjoint(names) else ""


def _preference(names: Collection[str], metrics: Collection[str]) -> str:
    """Tell the methods apart by what only one of them logs."""
    if any("log_odds" in name or "odds_ratio" in name for name in names):
        return "orpo"
    if any(name.endswith("nll_loss") for name in names) and any(PREFERENCES.search(name) for name in names):
        return "cpo"
    if "kl" in metrics and "reward_accuracy" not in metrics:
        return "kto"
    return "dpo"


def _reinforcement(names: Collection[str], metrics: Collection[str]) -> str:
    """Tell PPO by its value function, and GRPO by its name or by what TRL's trainer logs: a spread of rewards is that of any batch."""
    if {"value_loss", "explained_variance", "value_grad_norm", "value_clip_ratio"} & set(metrics):
        return "ppo"
    parts = "zero_std_share" in metrics or any(name.startswith("rewards/") for name in metrics)
    of_trl = "reward_std" in metrics and any(name.startswith("completion") for name in names)
    return "grpo" if parts or of_trl or any("grpo" in name for name in names) else "reinforcement"


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
