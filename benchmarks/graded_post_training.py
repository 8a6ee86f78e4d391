"""The faults of post-training at graded strength, put into a healthy run of a policy or of pairs at a random place."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from graded_faults import Fault, length
from healthy_post_training import pairs, policy

from lmdiag.finding import Severity
from lmdiag.run import Run, Series

INFO = Severity.INFO
BETA = 0.1  # by which a lost log-probability lowers the reward of DPO


def _policy(rng: np.random.Generator, _: float) -> Run:
    return policy(rng, length(rng))  # which draws its own noise


def _pairs(rng: np.random.Generator, _: float) -> Run:
    return pairs(rng, length(rng))


def _with(run: Run, **values: np.ndarray) -> Run:
    changed = {name.replace("__", "/"): Series(run["loss"].steps, v) for name, v in values.items()}
    return replace(run, series={**run.series, **changed})


def _ramp(rng: np.random.Generator, run: Run) -> np.ndarray:
    """Return how far a change has come at each record: 0 before a place in the middle, 1 a twentieth of the run later."""
    share = np.linspace(0, 1, len(run["loss"]))
    return np.clip((share - rng.uniform(0.4, 0.7)) / 0.05, 0, 1)


def _grown(rng: np.random.Generator, run: Run, name: str, level: float, factor: float) -> Run:
    n = len(run["loss"])
    values = run[name].values if name in run else level * np.exp(rng.normal(0, 0.1, n))
    return _with(run, **{name: values * factor ** _ramp(rng, run)})


def _reward_lost(rng: np.random.Generator, run: Run, part: float) -> Run:
    rewards = run["reward"].values
    tenth = max(len(rewards) // 10, 3)
    gain = np.median(rewards[-tenth:]) - np.median(rewards[:tenth])
    return _with(run, reward=rewards - part * gain * _ramp(rng, run))


def _reward_flat(rng: np.random.Generator, run: Run, records: float) -> Run:
    n = int(records)
    steps, noise = np.arange(1, n + 1), rng.normal(0, 1, n)
    level, spread = rng.uniform(0.05, 0.6), rng.uniform(0.01, 0.06)
    return replace(run, series={"loss": Series(steps, 0.01 * noise), "reward": Series(steps, level + spread * rng.normal(0, 1, n))})  # fmt: skip


def _kl(rng: np.random.Generator, run: Run, nats: float) -> Run:
    n = len(run["loss"])
    return _with(run, kl=(0.01 + nats * _ramp(rng, run)) * np.exp(rng.normal(0, 0.2, n)))


def _entropy_lost(rng: np.random.Generator, run: Run, part: float) -> Run:
    n = len(run["loss"])
    fallen = rng.uniform(0.3, 1.5) * (1 - part * _ramp(rng, run))
    return _with(run, entropy=fallen * np.exp(rng.normal(0, 0.05, n)))


def _entropy_grown(rng: np.random.Generator, run: Run, factor: float) -> Run:
    return _grown(rng, run, "entropy", 0.8, factor)


def _longer(rng: np.random.Generator, run: Run, factor: float) -> Run:
    return _grown(rng, run, "response_length", 300.0, factor)


def _cut_off(rng: np.random.Generator, run: Run, share: float) -> Run:
    n = len(run["loss"])
    return _with(run, truncated_share=np.clip(share * _ramp(rng, run) + rng.uniform(0, 0.05, n), 0, 1))


def _no_signal(rng: np.random.Generator, run: Run, share: float) -> Run:
    n = len(run["loss"])
    return _with(run, zero_std_share=np.clip(share + rng.normal(0, 0.02, n), 0, 1))


def _clipped(rng: np.random.Generator, run: Run, share: float) -> Run:
    return _with(run, clip_ratio=np.clip(share + rng.normal(0, 0.02, len(run["loss"])), 0, 1))


def _unexplained(rng: np.random.Generator, run: Run, share: float) -> Run:
    return _with(run, explained_variance=1 - share + rng.normal(0, 0.08, len(run["loss"])))


def _margin_flat(rng: np.random.Generator, run: Run, records: float) -> Run:
    n = int(records)
    steps, batch = np.arange(1, n + 1) * 10, int(rng.choice([32, 128, 512]))
    values = {
        "loss": np.log(2) + rng.normal(0, 0.3 / np.sqrt(batch), n),
        "reward_margin": rng.normal(0, 0.3 / np.sqrt(batch), n),
        "reward_accuracy": rng.binomial(batch, 0.5, n) / batch,
    }
    return replace(run, series={name: Series(steps, v) for name, v in values.items()})


def _unlikely(rng: np.random.Generator, run: Run, part: float) -> Run:
    lost = run["chosen_logp"].values * part * _ramp(rng, run)
    return _with(
        run, chosen_logp=run["chosen_logp"].values + lost, chosen_reward=run["chosen_reward"].values + BETA * lost
    )


def _sunk(rng: np.random.Generator, run: Run, reward: float) -> Run:
    return _with(run, chosen_reward=run["chosen_reward"].values - reward * _ramp(rng, run))


def _mismatched(rng: np.random.Generator, run: Run, nats: float) -> Run:
    return _with(run, logp_mismatch=nats * np.exp(rng.normal(0, 0.2, len(run["loss"]))))


def _shorter(rng: np.random.Generator, run: Run, factor: float) -> Run:
    return _grown(rng, run, "response_length", 300.0, 1 / factor)


def _exploded(rng: np.random.Generator, run: Run, factor: float) -> Run:
    return _with(run, policy_loss=rng.normal(0, 0.02, len(run["loss"])) * factor ** _ramp(rng, run))


def _frozen(rng: np.random.Generator, run: Run, share: float) -> Run:
    n = len(run["loss"])
    return _with(run, grad_norm=np.where(rng.random(n) < share, 0.0, np.exp(rng.normal(0, 0.3, n))))


def _unrewarded(rng: np.random.Generator, run: Run, share: float) -> Run:
    rewards = run["reward"]
    kept = max(5, round((1 - share) * len(rewards)))
    return replace(run, series={**run.series, "reward": Series(rewards.steps[:kept], rewards.values[:kept])})


def _swapped(rng: np.random.Generator, run: Run, share: float) -> Run:
    n = len(run["loss"])
    right = np.linspace(0.5, 0.9, n)
    steps = run["loss"].steps[n // 10 :: max(n // 10, 1)]
    judged = np.interp(steps, run["loss"].steps, right)
    values = rng.binomial(256, share * (1 - judged) + (1 - share) * judged) / 256
    made = _with(run, reward_accuracy=rng.binomial(256, right) / 256)
    return replace(made, series={**made.series, "val/reward_accuracy": Series(steps, values)})


def _overfit(rng: np.random.Generator, run: Run, nats: float) -> Run:
    count = int(rng.integers(8, 30))
    at = np.linspace(1 / count, 1, count)
    best = rng.uniform(0.3, 0.6)
    values = np.where(at < best, 0.69 - 0.2 * at / best, 0.49 + nats * (at - best) / (1 - best))
    steps = np.unique((at * run.last_step).astype(int))[:count]
    return replace(run, series={**run.series, "val/loss": Series(steps, (values + rng.normal(0, 0.005, count))[: len(steps)])})  # fmt: skip


_of_policy = partial(Fault, noises=(0.0,), sound=_policy)
_of_pairs = partial(Fault, noises=(0.0,), sound=_pairs)
POST_TRAINING_FAULTS = (
    _of_policy("reward is lost again", "of its gain", (0.1, 0.2, 0.4, 0.8, 1.2), ("reward-collapse",), _reward_lost),
    _of_policy("reward does not rise", "records", (10, 20, 40, 80, 160), ("flat-reward",), _reward_flat),
    _of_policy("divergence grows", "nats per token", (0.3, 1, 3, 10, 30), ("kl-explosion",), _kl),
    _of_policy("entropy is lost", "of its start", (0.7, 0.8, 0.9, 0.95, 0.98), ("entropy-collapse",), _entropy_lost, INFO),
    _of_policy("entropy grows", "times", (1.5, 2, 3, 5, 8, 12), ("entropy-explosion",), _entropy_grown),
    _of_policy("responses grow", "times", (1.5, 2, 3, 5, 10, 20), ("length-explosion", "reward-hacking"), _longer, INFO),
    _of_policy("responses are cut off", "of the responses", (0.2, 0.3, 0.5, 0.7, 0.9), ("truncated-responses",), _cut_off),
    _of_policy("groups without signal", "of the groups", (0.5, 0.7, 0.8, 0.9, 0.98), ("no-group-signal",), _no_signal),
    _of_policy("updates are clipped", "of the tokens", (0.1, 0.2, 0.3, 0.5, 0.8), ("too-large-updates",), _clipped),
    _of_policy("values explain nothing", "of the variance left", (0.6, 0.8, 0.95, 1.1, 1.5), ("useless-value-function",), _unexplained),
    _of_pairs("margin does not grow", "records", (8, 10, 20, 40, 80, 160), ("flat-margin", "accuracy-at-half"), _margin_flat),
    _of_pairs("preferred answers grow unlikely", "of their log-probability", (0.1, 0.2, 0.4, 0.8, 1.6), ("falling-likelihood",), _unlikely),
    _of_pairs("reward of the preferred answers falls", "at a beta of 0.1", (2, 4, 6, 8, 12), ("falling-chosen-reward",), _sunk),
    _of_pairs("evaluation of the pairs rises", "nats", (0.02, 0.05, 0.1, 0.2, 0.4), ("overfitting",), _overfit),
    _of_policy("sampler and trainer differ", "nats", (0.02, 0.05, 0.1, 0.2, 0.5), ("sampler-mismatch",), _mismatched),
    _of_policy("responses shrink", "times shorter", (2, 4, 8, 16, 32), ("length-collapse",), _shorter, INFO),
    _of_policy("loss of the policy explodes", "times", (10, 100, 1e3, 1e4, 1e5), ("loss-explosion",), _exploded),
    _of_policy("gradients are exactly 0", "of the records", (0.5, 0.8, 0.9, 0.95, 1), ("frozen-policy",), _frozen),
    _of_policy("rewards stop", "of the records", (0.05, 0.1, 0.2, 0.4, 0.6), ("missing-reward",), _unrewarded),
    _of_pairs("pairs of the evaluation are swapped", "of the pairs", (0.2, 0.4, 0.6, 0.8, 1), ("swapped-pairs",), _swapped),
)  # fmt: skip
