"""Curves with known truth: healthy runs of many kinds, and ways to break them."""

import numpy as np

from lmdiag.run import Run, Segment, Series


def falling(n: int = 400, start: float = 10.8, floor: float = 3.0, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """A loss that falls like a power law, with normal noise: float64[n]."""
    steps = np.arange(n)
    curve = floor + (start - floor) * (1 + steps / max(4.0, n / 40)) ** -0.7
    return curve + np.random.default_rng(seed).normal(0, noise, n)


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


def fires(rule, made: Run, **settings) -> list:
    """The findings of one rule alone."""
    from lmdiag.finding import Finding

    assert rule.missing(made) is None, rule.missing(made)
    return [said for said in rule.look(made, **settings) if isinstance(said, Finding)]
