"""What healthy post-training logs look like: a policy that learns by reward, a policy that learns preferences, drawn at random.

A policy's reward is a share of right answers (its noise is that of so many responses) or the score of a model; it rises, and the rest follows it as in
public runs of GRPO and PPO: a divergence that grows from 0 with single outliers of its estimator, an entropy that falls, lengths that drift, losses around
0. Pairs begin at ln 2 and one half and separate, the likelihood of both answers falling a little.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from lmdiag.run import Run, Segment, Series

LN2 = float(np.log(2))
LEAST_GAIN = 4.0  # times the noise of a record: what is learned at least, so that a log can show it


def policy(rng: np.random.Generator, records: int) -> Run:
    """Return the run of a policy that earns more and more reward."""
    steps = np.arange(1, records + 1) * int(rng.choice([1, 1, 5, 10]))
    share = steps / steps[-1]
    learned = _learned(rng, share)
    reward, spread = _rewards(rng, learned)
    series = {"loss": rng.normal(0, _between(rng, 1e-4, 0.05), records), "reward": reward, "reward_std": spread}
    drift = _between(rng, 0.003, 0.3) * share ** rng.uniform(0.5, 1.2)
    divergence = drift * np.exp(rng.normal(0, rng.uniform(0.1, 0.4), records))
    divergence[rng.random(records) < 0.005] *= rng.uniform(2, 8)
    if rng.random() < 0.7:
        series["kl"] = divergence
    if rng.random() < 0.3:
        series["loss"] = series["loss"] + 0.04 * divergence
    if rng.random() < 0.7:
        kept = rng.uniform(0.3, 1.1)
        series["entropy"] = (
            rng.uniform(0.2, 1.5) * (1 - (1 - kept) * learned) * np.exp(rng.normal(0, rng.uniform(0.02, 0.1), records))
        )
    if rng.random() < 0.7:
        longer = _between(rng, 0.6, 2.0)
        lengths = _between(rng, 40, 2000) * longer**learned * np.exp(rng.normal(0, rng.uniform(0.03, 0.15), records))
        series["response_length"] = lengths
        cut = rng.uniform(0, 0.15) * (1 - 0.5 * learned) * np.exp(rng.normal(0, 0.4, records))
        series["truncated_share"] = np.clip(cut, 0, 1)
    if rng.random() < 0.5:
        series["clip_ratio"] = np.clip(_between(rng, 0.001, 0.1) * np.exp(rng.normal(0, 0.5, records)), 0, 1)
    if rng.random() < 0.3:
        explained = rng.uniform(0.4, 0.9) * (1 - np.exp(-share / 0.1))
        series["explained_variance"] = np.minimum(explained + rng.normal(0, 0.08, records), 0.99)
        series["value_loss"] = _between(rng, 0.05, 2) * (1 - 0.7 * learned) * np.exp(rng.normal(0, 0.2, records))
    return _run(rng, "grpo" if "value_loss" not in series else "ppo", "reinforcement", steps, series)


def pairs(rng: np.random.Generator, records: int) -> Run:
    """Return the run of a policy that learns to prefer the better of two answers."""
    steps = np.arange(1, records + 1) * int(rng.choice([1, 5, 10, 25]))
    share = steps / steps[-1]
    learned = _learned(rng, share)
    batch = int(rng.choice([32, 64, 128, 256, 512]))  # pairs behind a record
    margin, scatter = _between(rng, 0.3, 4) * learned, rng.uniform(0.8, 2.0)
    right = 0.5 + (rng.uniform(0.62, 0.95) - 0.5) * np.minimum(1, learned / 0.7)
    noise = 1 / np.sqrt(batch)
    right_seen = rng.binomial(batch, right) / batch
    gained = max(LEAST_GAIN * noise * 0.5, rng.uniform(0.08, 0.5))  # nats
    loss = LN2 - min(gained, 0.6) * learned + 0.5 * noise * rng.normal(0, 1, records)
    sinks = rng.uniform(-0.6, 0.3) * margin
    gone = rng.uniform(0, 0.12) * learned
    likely = -_between(rng, 20, 400)
    seen = 1 + rng.normal(0, 0.6 * noise, records)
    series = {
        "loss": np.maximum(loss, 0.02),
        "reward_margin": margin + scatter * noise * learned**0.5 * rng.normal(0, 1, records),
        "reward_accuracy": right_seen,
        "chosen_reward": sinks + 0.3 * noise * rng.normal(0, 1, records),
        "chosen_logp": likely * (1 + gone) * seen,
        "rejected_logp": 0.9 * likely * (1 + gone + rng.uniform(0.02, 0.2) * learned) * seen,
    }
    series["rejected_reward"] = series["chosen_reward"] - series["reward_margin"]
    run = _run(rng, "dpo", "composite", steps, series)
    if rng.random() < 0.6:
        rows = np.unique(np.linspace(records / 8, records, 8).astype(int)) - 1
        held = {
            "val/loss": LN2 - 0.9 * min(gained, 0.6) * learned[rows] + 0.1 * noise * rng.normal(0, 1, len(rows)),
            "val/reward_accuracy": np.clip(right[rows] - 0.02 + 0.2 * noise * rng.normal(0, 1, len(rows)), 0, 1),
            "val/reward_margin": 0.9 * margin[rows] + 0.2 * noise * rng.normal(0, 1, len(rows)),
        }
        more = {name: Series(steps[rows], values) for name, values in held.items()}
        return Run(run.name, {**run.series, **more}, segments=run.segments, objective=run.objective, method=run.method)
    return run


KINDS = {"policy": policy, "pairs": pairs}


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _learned(rng: np.random.Generator, share: np.ndarray) -> np.ndarray:
    """Return how much of what is learned has been learned, 0 to 1: at once, steadily, or after a while."""
    if rng.random() < 0.6:
        speed = _between(rng, 0.05, 1.0)
        course = 1 - np.exp(-share / speed)
    else:
        middle, width = rng.uniform(0.1, 0.6), rng.uniform(0.03, 0.15)
        course = 1 / (1 + np.exp(-(share - middle) / width))
    return (course - course[0]) / (course[-1] - course[0])


def _rewards(rng: np.random.Generator, learned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean reward of the responses of each record, and its standard deviation over them."""
    n = len(learned)
    if rng.random() < 0.6:
        responses = int(rng.choice([64, 128, 256, 512, 1024]))
        first = rng.uniform(0.02, 0.6)
        least = LEAST_GAIN * np.sqrt(first * (1 - first) / responses)
        right = first + max(least, rng.uniform(0.1, 0.95 - first)) * learned
        right = np.clip(right, 0, 0.98)
        hard = 1 + 0.03 * _wandering(rng, n)  # prompts of one record are harder than those of another
        seen = rng.binomial(responses, np.clip(right * hard, 0, 1)) / responses
        return seen, np.sqrt(seen * (1 - seen))
    noise = _between(rng, 0.02, 0.5)
    gain = max(LEAST_GAIN * noise, _between(rng, 0.2, 3))
    return rng.uniform(-3, 3) + gain * learned + noise * _wandering(rng, n), noise * 4 * np.exp(rng.normal(0, 0.1, n))


def _wandering(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return noise of standard deviation 1: in a third of the runs half of it lasts for some records, as the order of the prompts does."""
    noise = rng.normal(0, 1, n)
    if rng.random() < 2 / 3:
        return noise
    kept = np.exp(-1 / np.clip(_between(rng, 0.002, 0.02) * n, 0.5, 20))
    slow = lfilter([np.sqrt(1 - kept**2)], [1, -kept], rng.normal(0, 1, n + 100))[100:]
    mixed: np.ndarray = np.sqrt(0.5) * (noise + slow)
    return mixed


def _run(
    rng: np.random.Generator, method: str, objective: str, steps: np.ndarray, series: dict[str, np.ndarray]
) -> Run:
    n = len(steps)
    series["grad_norm"] = _between(rng, 0.05, 5) * np.exp(0.25 * rng.standard_t(8, n))
    rates = _between(rng, 1e-7, 1e-5) * (1 - steps / (steps[-1] + 1) if rng.random() < 0.6 else np.ones(n))
    series["lr"] = rates * np.minimum(1, np.arange(1, n + 1) / max(0.05 * n, 1))
    decimals = None if rng.random() < 0.5 else 4
    made = {
        name: Series(steps, values if decimals is None or name == "lr" else np.round(values, decimals))
        for name, values in series.items()
    }
    first, last = int(steps[0]), int(steps[-1])
    return Run(method, made, segments=(Segment(first, last, 0),), objective=objective, method=method)
