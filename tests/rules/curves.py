"""Curves with known truth: healthy runs of many kinds, and ways to break them."""

from dataclasses import replace

import numpy as np

from lmdiag.run import Run, Segment, Series


def falling(n: int = 400, start: float = 10.8, floor: float = 3.0, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """A loss that falls like a power law, with normal noise: float64[n]."""
    steps = np.arange(n)
    curve = floor + (start - floor) * (1 + steps / max(4.0, n / 40)) ** -0.7
    return curve + np.random.default_rng(seed).normal(0, noise, n)


def flat(level: float, n: int, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """A loss that stays, with normal noise of a share of its level: float64[n]."""
    return level + level * noise * np.random.default_rng(seed).normal(size=n)


def lasting_noise(n: int, records: float, seed: int = 0) -> np.ndarray:
    """Noise of standard deviation 1, half of whose variance lasts for so many records: float64[n]."""
    rng = np.random.default_rng(seed)
    kept = np.exp(-1 / records)
    slow, fresh = np.zeros(n), rng.normal(0, np.sqrt(1 - kept**2), n)
    for i in range(1, n):
        slow[i] = kept * slow[i - 1] + fresh[i]
    return np.sqrt(0.5) * (slow + rng.normal(0, 1, n))


def cosine_lr(n: int, peak: float = 1e-3) -> np.ndarray:
    warm = max(1, n // 20)
    steps = np.arange(n)
    return peak * np.minimum((steps + 1) / warm, 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * steps / n)))


def series(values, every: int = 1, first: int = 1) -> Series:
    values = np.asarray(values, float)
    return Series(first + every * np.arange(len(values)), values)


def run(every: int = 1, first: int = 1, config: dict | None = None, objective: str = "causal-lm", **metrics) -> Run:
    """A run from arrays under canonical names; `val__loss` stands for `val/loss`."""
    named = {
        name.replace("__", "/"): values if isinstance(values, Series) else series(values, every, first)
        for name, values in metrics.items()
    }
    last = max((int(s.steps[-1]) for s in named.values() if len(s)), default=0)
    return Run("made", named, segments=(Segment(first, last, 0),), config=config or {}, objective=objective)


def healthy(n: int = 400, seed: int = 0) -> Run:
    """A run from scratch with nothing wrong: loss, learning rate, gradient norm and ten evaluations."""
    loss = falling(n, seed=seed)
    at = np.linspace(n // 10, n, 10).astype(int)
    rng = np.random.default_rng(seed + 1)
    evaluations = Series(at, falling(n, noise=0, seed=seed)[at - 1] + 0.1 + rng.normal(0, 0.01, len(at)))
    norms = np.exp(rng.normal(0, 0.15, n)) * (0.5 + 3 * np.exp(-np.arange(n) / (n / 20)))
    return run(loss=loss, lr=cosine_lr(n), grad_norm=norms, val__loss=evaluations)


def overfit(evaluations: int = 12, best: int = 4, rise: float = 0.3, noise: float = 0.005, seed: int = 0) -> Run:
    """A run whose training loss falls throughout, and whose evaluations rise evenly since the best of them."""
    rng = np.random.default_rng(seed)
    down, up = np.linspace(3.0, 2.0, best + 1), 2.0 + rise * np.linspace(0, 1, evaluations - best)[1:]
    losses = np.r_[down, up] + rng.normal(0, noise, evaluations)
    return run(loss=np.linspace(4, 0.5, 100 * evaluations), val__loss=series(losses, every=100, first=100))


def fires(rule, made: Run, **settings) -> list:
    """The findings of one rule alone."""
    from lmdiag.finding import Finding

    assert rule.missing(made) is None, rule.missing(made)
    return [said for said in rule.look(made, **settings) if isinstance(said, Finding)]


def policy(n: int = 100, seed: int = 0, account=None, **metrics) -> Run:
    """A policy that learns by GRPO with nothing wrong: reward from 0.2 to 0.7; `metrics` replace those of the healthy run, None drops one."""
    rng = np.random.default_rng(seed)
    share = np.linspace(0, 1, n)
    made = {
        "loss": rng.normal(0, 0.01, n) + 0.02 * share,
        "lr": np.full(n, 1e-6),
        "grad_norm": np.exp(rng.normal(-1, 0.3, n)),
        "reward": 0.2 + 0.5 * share**0.7 + rng.normal(0, 0.05, n),
        "reward_std": 0.4 + rng.normal(0, 0.03, n),
        "zero_std_share": np.clip(0.2 + 0.2 * share + rng.normal(0, 0.05, n), 0, 1),
        "kl": 0.1 * share + 0.002 * np.abs(rng.normal(0, 1, n)),
        "entropy": 0.9 - 0.5 * share + rng.normal(0, 0.02, n),
        "clip_ratio": np.abs(rng.normal(0.01, 0.005, n)),
        "response_length": 200 + 60 * share + rng.normal(0, 8, n),
        "truncated_share": np.abs(rng.normal(0.05, 0.02, n)),
    }
    made = {name: values for name, values in (made | metrics).items() if values is not None}
    found = replace(run(objective="reinforcement", **made), method="grpo")
    return replace(found, account=account) if account else found


def pairs(n: int = 100, seed: int = 0, method: str = "dpo", **metrics) -> Run:
    """A policy that learns from preferences with nothing wrong: margin from 0 to 2; `metrics` as in `policy`."""
    rng = np.random.default_rng(seed)
    share = np.linspace(0, 1, n)
    margin = 2 * share**0.8 + rng.normal(0, 0.15, n)
    at = np.linspace(n // 10, n, 10).astype(int)
    made = {
        "loss": np.log1p(np.exp(-margin)) + np.abs(rng.normal(0, 0.02, n)),
        "lr": np.full(n, 5e-7),
        "grad_norm": np.exp(rng.normal(1, 0.3, n)),
        "reward_margin": margin,
        "reward_accuracy": np.clip(0.5 + 0.35 * share**0.5 + rng.normal(0, 0.04, n), 0, 1),
        "chosen_logp": -300 - 30 * share + rng.normal(0, 15, n),
        "rejected_logp": -320 - 60 * share + rng.normal(0, 15, n),
        "val__loss": Series(at, np.linspace(0.67, 0.45, 10) + rng.normal(0, 0.005, 10)),
        "val__reward_accuracy": Series(at, np.linspace(0.6, 0.8, 10)),
    }
    made = {name: values for name, values in (made | metrics).items() if values is not None}
    return replace(run(objective="composite", **made), method=method)


def levels(*parts: tuple[float, int], noise: float = 0.02, seed: int = 0) -> np.ndarray:
    """Return stretches of a level with noise: `levels((0.2, 50), (0.7, 50))`."""
    values = np.concatenate([np.full(n, level, float) for level, n in parts])
    return values + np.random.default_rng(seed).normal(0, noise, len(values))
