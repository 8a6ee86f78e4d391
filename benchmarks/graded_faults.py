"""The faults that rules look for, each at graded strength, put into a healthy log at a random place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from healthy_logs import healthy

from lmdiag.finding import Severity
from lmdiag.run import Run, Segment, Series

Injure = Callable[[np.random.Generator, Run, float], Run]


def length(rng: np.random.Generator) -> int:
    """Return how many records a run with a fault has: 60 to 2,000."""
    return round(np.exp(rng.uniform(np.log(60), np.log(2000))))


def pre_training(rng: np.random.Generator, noise: float) -> Run:
    """Return a healthy run whose loss falls from the first record on, over the same text."""
    while True:
        run = healthy(rng, length(rng), noise)
        if "loss" in run and not {"begins-later", "curriculum", "epochs"} & set(run.name.split()):
            return run


@dataclass(frozen=True)
class Fault:
    """A fault, how strong it is made, in which unit, and the rules of which one must find it at `least` or above; `sound` makes the run."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    rules: tuple[str, ...]
    injure: Injure
    least: Severity = Severity.WARNING
    noises: tuple[float, ...] = (0.01, 0.05)
    sound: Callable[[np.random.Generator, float], Run] = pre_training

    def made(self, rng: np.random.Generator, noise: float, strength: float) -> Run:
        """Return a run with the fault, that without it would be healthy."""
        return self.injure(rng, self.sound(rng, noise), strength)


def _changed(run: Run, **series: Series) -> Run:
    named = {name.replace("__", "/"): s for name, s in series.items()}
    return replace(run, series={**run.series, **named})


def _with_loss(run: Run, values: np.ndarray) -> Run:
    return _changed(run, loss=Series(run["loss"].steps, values))


def _losses(run: Run, factor: Callable[[np.ndarray], np.ndarray]) -> Run:
    """Return the run with its training and evaluation losses times a factor, a function of the share of the run."""
    names = [name for name in run.series if name in ("loss", "val/loss")]
    last = run.last_step
    return replace(
        run,
        series={**run.series, **{n: Series(run[n].steps, run[n].values * factor(run[n].steps / last)) for n in names}},
    )


def _rise(rng: np.random.Generator, run: Run, share: float) -> Run:
    at = rng.uniform(0.4, 0.8)
    return _losses(run, lambda place: 1 + share * np.clip((place - at) / 0.05, 0, 1))


def _drift(rng: np.random.Generator, run: Run, share: float) -> Run:
    at = rng.uniform(0.4, 0.6)
    last = run["loss"].values[int(at * len(run["loss"]))]

    def crept(name: str) -> Series:
        s = run[name]
        place = s.steps / run.last_step
        around = np.median(s.values[np.abs(place - at) < 0.1]) if (np.abs(place - at) < 0.1).any() else last
        noise = s.values / np.interp(s.steps, s.steps[:: max(1, len(s) // 20)], _smooth(s.values, max(1, len(s) // 20)))
        up = around * (1 + share * (place - at) / (1 - at)) * noise
        return Series(s.steps, np.where(place > at, up, s.values))

    return _changed(run, **{n.replace("/", "__"): crept(n) for n in run.series if n in ("loss", "val/loss")})


def _smooth(values: np.ndarray, every: int) -> np.ndarray:
    return np.array([np.median(values[max(0, i - every) : i + every + 1]) for i in range(0, len(values), every)])


def _spike(rng: np.random.Generator, run: Run, share: float) -> Run:
    values = run["loss"].values.copy()
    values[int(rng.uniform(0.2, 0.9) * len(values))] *= 1 + share
    return _with_loss(run, values)


def _many_spikes(rng: np.random.Generator, run: Run, share: float) -> Run:
    values = run["loss"].values.copy()
    count = max(1, round(share * len(values)))
    rows = np.linspace(0.1 * len(values), 0.98 * len(values), count + 1)[:-1] + rng.uniform(0, 5, count)
    values[np.minimum(rows.astype(int), len(values) - 2)] *= 1.6
    return _with_loss(run, values)


def _overfit(rng: np.random.Generator, run: Run, share: float) -> Run:
    count = int(rng.integers(8, 60))
    at = np.linspace(1 / count, 1, count)
    best = rng.uniform(0.3, 0.7)
    fall = 3 * (0.5 + 0.5 * np.exp(-at / 0.15))
    low = 3 * (0.5 + 0.5 * np.exp(-best / 0.15))
    values = np.where(at <= best, fall, low * (1 + share * (at - best) / (1 - best)))
    noise = rng.normal(0, EVALUATION_NOISE, count)
    return _changed(run, val__loss=Series((at * run.last_step).astype(int), values * np.exp(noise)))


def _not_finite(rng: np.random.Generator, run: Run, count: float) -> Run:
    values = run["loss"].values.copy()
    values[rng.choice(len(values), int(count), replace=False)] = np.nan
    return _with_loss(run, values)


def _zeros(rng: np.random.Generator, run: Run, count: float) -> Run:
    values = run["loss"].values.copy()
    values[-int(count) :] = 0.0
    return _with_loss(run, values)


def _stuck(rng: np.random.Generator, run: Run, records: float) -> Run:
    n = int(records)
    noise = np.std(np.diff(np.log(run["loss"].values[-40:]))) / np.sqrt(2)
    level = np.log(rng.choice([8_000, 32_000, 50_257]))
    steps = np.arange(1, n + 1) * 10
    loss = level * (1 + 0.02 * np.exp(-np.arange(n))) * np.exp(rng.normal(0, noise, n))
    return Run(run.name, {"loss": Series(steps, loss)}, segments=(Segment(10, 10 * n, 0),))


def _plateau(rng: np.random.Generator, run: Run, share: float) -> Run:
    n = len(run["loss"])
    noise = np.exp(rng.normal(0, np.std(np.diff(np.log(run["loss"].values[-40:]))) / np.sqrt(2), n))
    falling = 7.2 + 3.6 * np.clip(1 - np.linspace(0, 1, n) / (1 - share), 0, 1) ** 1.5
    return replace(run, series={"loss": Series(run["loss"].steps, falling * noise)})


def _shift(rng: np.random.Generator, run: Run, share: float) -> Run:
    at = rng.uniform(0.3, 0.7)
    values = run["loss"].values * np.where(run["loss"].steps > at * run.last_step, 1 + share, 1.0)
    return replace(run, series={"loss": Series(run["loss"].steps, values)})


def _slow(rng: np.random.Generator, run: Run, factor: float) -> Run:
    place = run["loss"].steps / run.last_step
    seconds = np.exp(rng.normal(0, 0.1, len(place))) * np.where(place > rng.uniform(0.5, 0.65), factor, 1.0)
    scale = 36_000 / max(run.last_step, 1)  # ten hours: what a quarter of the run costs matters
    kept = {name: s for name, s in run.series.items() if name not in ("tokens_per_sec", "step_time_s")}
    return replace(run, series={**kept, "step_time_s": Series(run["loss"].steps, scale * seconds)})


def _lr_jump(rng: np.random.Generator, run: Run, factor: float) -> Run:
    place = run["loss"].steps / run.last_step
    rates = 3e-4 * 0.5 * (1 + np.cos(np.pi * place * 0.8))
    return _changed(run, lr=Series(run["loss"].steps, rates * np.where(place > rng.uniform(0.5, 0.8), factor, 1.0)))


def _gradient(rng: np.random.Generator, run: Run, factor: float) -> Run:
    n = len(run["loss"])
    norms = (0.5 + 3 * np.exp(-np.arange(n) / (0.03 * n))) * np.exp(rng.normal(0, 0.2, n))
    norms[int(rng.uniform(0.3, 0.95) * n)] *= factor
    return _changed(run, grad_norm=Series(run["loss"].steps, norms))


def _memory(rng: np.random.Generator, run: Run, share: float) -> Run:
    place = run["loss"].steps / run.last_step
    used = 2e10 * (1 + share * place) * (1 + rng.normal(0, 0.003, len(place)))
    return _changed(run, mem_bytes=Series(run["loss"].steps, used))


def _swings(rng: np.random.Generator, run: Run, share: float) -> Run:
    period = rng.uniform(1 / 25, 1 / 10)
    return _losses(run, lambda place: 1 + share * np.clip(place / 0.2, 0, 1) * np.sin(2 * np.pi * place / period))


def _multiple(rng: np.random.Generator, run: Run, factor: float) -> Run:
    losses = run["loss"].values
    rows = np.unique(np.linspace(len(losses) // 12, len(losses) - 1, 12).astype(int))
    smooth = np.array([np.median(losses[max(0, i - 5) : i + 6]) for i in rows])
    at = run["loss"].steps[rows]
    return _changed(
        run,
        loss=Series(run["loss"].steps, factor * losses),
        val__loss=Series(at, smooth * 1.03 * np.exp(rng.normal(0, 0.005, len(rows)))),
    )


EVALUATION_NOISE = 0.01
INFO = Severity.INFO
FAULTS = (
    Fault("loss rises and stays up", "of its level", (0.02, 0.05, 0.1, 0.2, 0.4, 0.8), ("divergence", "lr-too-high"), _rise),
    Fault("loss creeps up", "of its level", (0.01, 0.02, 0.04, 0.08, 0.16, 0.32), ("divergence", "slow-drift"), _drift, INFO),
    Fault("loss swings", "of its level", (0.03, 0.06, 0.12, 0.25, 0.5), ("oscillation", "growing-oscillation"), _swings),
    Fault("one spike", "of its level", (0.05, 0.1, 0.2, 0.4, 0.8, 1.6), ("loss-spike",), _spike, INFO),
    Fault("many spikes", "of the records", (0.005, 0.01, 0.02, 0.04, 0.08), ("loss-spike", "periodic-spikes"), _many_spikes, INFO),
    Fault("evaluation rises", "of its best", (0.01, 0.02, 0.04, 0.08, 0.16, 0.32), ("overfitting",), _overfit),
    Fault("loss is NaN", "records", (1, 2, 4), ("non-finite-loss",), _not_finite),
    Fault("loss is 0", "records", (1, 2, 3, 5, 10), ("zero-loss", "masked-nan", "missing-loss"), _zeros),
    Fault("loss stays at ln V", "records", (8, 10, 12, 16, 20, 40, 80), ("at-chance", "not-learning", "plateau"), _stuck),
    Fault("loss stays at 7.2", "of the run", (0.2, 0.3, 0.4, 0.5, 0.7, 0.9), ("plateau", "at-chance", "not-learning", "stalled"), _plateau),
    Fault("loss changes its level", "of its level", (0.02, 0.04, 0.08, 0.16, 0.32), ("level-shift", "divergence"), _shift, INFO),
    Fault("learning rate jumps", "times", (1.1, 1.5, 2, 4, 10), ("lr-jump",), _lr_jump, INFO),
    Fault("gradient norm jumps", "times", (3, 5, 10, 20, 40), ("gradient-spike",), _gradient, INFO),
    Fault("memory grows", "of its start", (0.01, 0.03, 0.1, 0.3, 1.0), ("memory-growth",), _memory, INFO),
    Fault("steps take longer", "times", (1.1, 1.25, 1.5, 2, 4), ("slowdown",), _slow, INFO),
    Fault("loss is a multiple of the evaluation", "times", (1.1, 1.25, 1.5, 2, 4), ("wrong-loss-scale", "evaluation-below-training"), _multiple, INFO),
)  # fmt: skip
