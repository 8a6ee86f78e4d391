"""What healthy logs look like: runs with nothing wrong, of every length, noise and kind, drawn at random.

A run follows the law of the loss (a power law of the learning rate summed, less what annealing buys: Tissue, Wang & Wang 2024, arXiv:2408.11029).
Around it, each at random: the schedule, epochs, a curriculum, batches grouped by length, the kind of noise, averages, rounding, uneven steps,
evaluations, gradient norms, times, memory. `noise` is the relative standard deviation of one record before it is averaged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.signal import lfilter

from lmdiag.run import Run, Segment, Series

MOST_EVALUATION_NOISE = 0.10
VOCABULARIES = (64, 256, 8_000, 32_000, 50_257, 128_256)
LEAST_FALL = 4.0  # times the noise: what a fine-tune gains at least, so that its log can show it
MOST_KEPT, BEFORE = (
    0.8,
    50,
)  # of its noise that a measurement takes over from the one before it; values drawn before the first
MOST_WANDER = 0.02  # of its level: by which the model itself, and not the choice of the texts, moves an evaluation
LONGEST_CORRELATION = 0.01  # of the records: how long the order of the data may hold the loss up or down


@dataclass
class Plan:
    """What was drawn for one run: `steps` are those of its records, `share` where they stand in it, and `rates` the share of the
    peak learning rate there."""

    rng: np.random.Generator
    noise: float
    steps: np.ndarray
    total: int
    traits: list[str] = field(default_factory=list)
    rates: np.ndarray = field(default_factory=lambda: np.empty(0))
    clean: np.ndarray = field(default_factory=lambda: np.empty(0))  # the loss without noise

    def is_one(self, probability: float, trait: str = "") -> bool:
        """Tell by the throw of a die whether the run has a trait, which is noted."""
        drawn = bool(self.rng.random() < probability)
        if drawn and trait:
            self.traits.append(trait)
        return drawn

    def one_of(self, *names: str) -> str:
        self.traits.append(str(self.rng.choice(names)))
        return self.traits[-1]

    def between(self, low: float, high: float) -> float:
        """Return a number between two others, spread evenly over its logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    @property
    def share(self) -> np.ndarray:
        return self.steps / self.total


def healthy(rng: np.random.Generator, records: int, noise: float) -> Run:
    """Return a run with nothing wrong, of so many records of a training loss; its name lists what was drawn."""
    plan = Plan(rng, noise, *_steps(rng, records))
    plan.rates = _schedule(plan)
    series: dict[str, Series] = {}
    plan.clean, seen = _law(plan)
    evaluations = (
        _evaluations(plan, "curriculum" in plan.traits) if plan.is_one(0.6) or "curriculum" in plan.traits else None
    )
    loss = _averaged(plan, plan.clean * seen * np.exp(_noise(plan) - 0.5 * noise**2))
    series["loss"] = _series(plan, loss)
    if evaluations is not None:
        series |= evaluations
        if (
            len(evaluations["val/loss"]) >= 6
            and not {"curriculum", "learns-at-once"} & set(plan.traits)
            and plan.is_one(0.08, "evaluations-only")
        ):
            del series["loss"]
    series |= _beside(plan)
    return _cut(plan, series)


def _steps(rng: np.random.Generator, records: int) -> tuple[np.ndarray, int]:
    """Return the steps of the records, ascending and above 0, and the last step of the run."""
    every = int(rng.choice([1, 5, 10, 50, 100, 500]))
    kind = rng.choice(["even", "dense-start", "logarithmic", "random", "two-rates"], p=[0.7, 0.1, 0.04, 0.1, 0.06])
    gaps = np.full(records, every)
    if kind == "dense-start":
        gaps[: min(10, records // 3)] = 1
    elif kind == "logarithmic":
        gaps = np.maximum(1, np.diff(np.geomspace(1, 1 + every * records, records + 1)).astype(int))
    elif kind == "random":
        gaps = 1 + rng.poisson(every, records)
    elif kind == "two-rates":
        gaps[: records // 2] = max(1, every // 20)
    steps = np.cumsum(gaps).astype(np.int64)
    return steps, int(steps[-1])


def _schedule(plan: Plan) -> np.ndarray:
    """Return the share of the peak learning rate at the records."""
    kind = plan.one_of("cosine", "constant", "wsd", "linear", "restarts")
    share = plan.share
    warm = max(plan.rng.choice([0.0, 0.005, 0.02, 0.05, 0.1]), 1e-9)
    least = float(plan.rng.choice([0.0, 0.1]))
    rest = np.clip((share - warm) / (1 - warm), 0, 1)
    if kind == "cosine":
        fall = 0.5 * (1 + np.cos(np.pi * rest))
    elif kind == "linear":
        fall = 1 - rest
    elif kind == "wsd":
        fall = np.minimum(1, (1 - rest) / plan.rng.uniform(0.1, 0.3))
    elif kind == "restarts":
        fall = 0.5 * (1 + np.cos(np.pi * ((rest * plan.rng.integers(2, 5)) % 1)))
    else:
        fall = np.ones(len(share))
    return np.minimum(share / warm, 1) * np.maximum(fall, least)


def _law(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss that the run would have without noise, and by what the training text of each record is harder."""
    rng = plan.rng
    learned = np.cumsum(plan.rates * np.diff(plan.share, prepend=0.0))
    if plan.one_of("scratch", "scratch", "fine-tune") == "scratch":
        start = float(np.log(rng.choice(VOCABULARIES))) + rng.uniform(0.0, 0.3)
        clean = _power_law(
            learned, start, start * rng.uniform(0.1, 0.3), plan.between(0.0003, 0.02), rng.uniform(0.2, 0.7)
        )
    else:
        start = rng.uniform(1.2, 4.0)
        seen = max(0.15, LEAST_FALL * plan.noise)  # a fall that one record can show
        clean = _power_law(learned, start, 0.0, plan.between(0.02, 0.3), 1.0)
        kept = start * rng.uniform(0.3, 1 - seen)
        clean = kept + (start - kept) * (clean - clean[-1]) / max(clean[0] - clean[-1], 1e-9)
        if plan.is_one(0.3, "learns-at-once"):
            clean[1:] = kept * (1 + 0.05 * (clean[1:] - kept) / start)
    annealed = lfilter([0.05], [1, -0.95], 1 - plan.rates / np.maximum.accumulate(plan.rates).clip(1e-9))
    return clean * (1 - rng.uniform(0.01, 0.05) * annealed.clip(0, 1)), _harder(plan)


def _power_law(learned: np.ndarray, start: float, floor: float, speed: float, exponent: float) -> np.ndarray:
    return floor + (start - floor) * (1 + learned / speed) ** -exponent


def _harder(plan: Plan) -> np.ndarray:
    """Return by what factor the training text of each record is harder than the usual one."""
    rng, share, n = plan.rng, plan.share, len(plan.steps)
    harder = np.ones(n)
    if (
        plan.traits[-1] == "fine-tune" and n >= 12 and plan.is_one(0.35, "epochs")
    ):  # learnt at once, the others would gain nothing
        epochs = int(rng.integers(2, 6))
        harder = (1 - rng.uniform(0.03, 0.15)) ** np.floor(share * epochs - 1e-9)
    elif plan.is_one(0.08, "curriculum"):
        way = rng.choice([-1, 1])  # one alone: text that is easier for a stretch is what `repeated-stretch` reports
        changes = rng.uniform(0.1, 0.95, rng.integers(1, 4))
        for at in changes:
            harder[share > at] *= 1 + way * rng.uniform(0.02, 0.10) / len(changes)
    if plan.is_one(0.08, "grouped-by-length"):
        period = rng.uniform(3, np.clip(n / 8, 4, 50))  # records per group of batches that were sorted together
        tooth = (np.arange(n) / period) % 1 - 0.5
        harder = harder * (1 + min(0.1, 1.5 * plan.noise) * tooth)
    return harder


def _noise(plan: Plan) -> np.ndarray:
    """Return the noise of the records, in log units."""
    rng, n = plan.rng, len(plan.steps)
    kind = plan.one_of("normal", "heavy-tailed", "autocorrelated", "shrinking", "growing")
    if kind == "heavy-tailed":
        freedom = rng.uniform(3, 7)
        drawn = rng.standard_t(freedom, n) * np.sqrt((freedom - 2) / freedom)
    elif kind == "autocorrelated":
        length = float(np.clip(plan.between(0.002, LONGEST_CORRELATION) * n, 0.3, 50))
        kept = np.exp(-1 / length)
        slow = lfilter([np.sqrt(1 - kept**2)], [1, -kept], rng.normal(0, 1, n + 300))[300:]
        drawn = np.sqrt(0.5) * (slow + rng.normal(0, 1, n))
    else:
        ends = {"shrinking": (1.0, 0.4), "growing": (0.4, 1.0)}.get(kind, (1.0, 1.0))
        drawn = rng.normal(0, 1, n) * np.interp(plan.share, [0, 1], ends)
    return plan.noise * drawn


def _averaged(plan: Plan, loss: np.ndarray) -> np.ndarray:
    """Return the loss as it is logged where the program logs an exponential mean."""
    every = float(np.median(np.diff(plan.steps)))
    weight = float(plan.rng.choice([0.9, 0.98, 0.99])) ** every
    if weight < 0.05 or len(loss) < 10 / (1 - weight) or not plan.is_one(0.3, "ema"):
        return loss
    return lfilter([1 - weight], [1, -weight], loss) / (1 - weight ** np.arange(1, len(loss) + 1))


def _series(plan: Plan, values: np.ndarray, steps: np.ndarray | None = None) -> Series:
    """Return the values as a series, rounded where the program rounds."""
    decimals = [None, 4, 3, 2][int(plan.rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))]
    values = values if decimals is None else np.round(values, decimals)
    return Series(plan.steps if steps is None else steps, values, decimals=decimals)


def _evaluations(plan: Plan, many: bool) -> dict[str, Series]:
    """Return evaluations of the model at some steps: their set is another than the training text, sometimes an easier one."""
    rng, n = plan.rng, len(plan.steps)
    count = min(round(plan.between(6 if many else 3, 500)), max(n, 3))
    rows = np.unique(np.linspace(n / count, n, count).astype(int) - 1)
    factor = rng.uniform(0.75, 0.98) if plan.is_one(0.25, "easier-evaluations") else rng.uniform(1.0, 1.1)
    noise = min(plan.noise * plan.between(0.05, 1), MOST_EVALUATION_NOISE)
    plan.traits.append(f"{len(rows)}-evaluations-of-{noise:.1%}")
    kept = rng.uniform(0.3, MOST_KEPT) if plan.is_one(0.25, "wandering-evaluations") else 0.0
    wander = min(noise, MOST_WANDER) if kept else 0.0
    clean = plan.clean[rows] * factor
    drawn = wander * _kept(rng, len(rows), kept) + np.sqrt(noise**2 - wander**2) * rng.normal(0, 1, len(rows))
    found = {"val/loss": _series(plan, clean * np.exp(drawn), plan.steps[rows])}
    if plan.is_one(0.25, "scores"):
        right = np.exp(-rng.uniform(0.1, 0.8) * clean)
        answers = plan.between(200, 20_000)
        right = right + np.sqrt(right * (1 - right) / answers) * _kept(rng, len(rows), kept)
        name, unit = [("val/accuracy", 1.0), ("val/bleu", 100.0)][int(rng.integers(2))]
        found[name] = _series(plan, unit * np.clip(right, 0, 1), plan.steps[rows])
    return found


def _kept(rng: np.random.Generator, n: int, kept: float, drawn: np.ndarray | None = None) -> np.ndarray:
    """Return normal noise of which each value keeps a share of the one before it."""
    drawn = rng.normal(0, 1, n + BEFORE) if drawn is None else drawn
    return lfilter([np.sqrt(1 - kept**2)], [1, -kept], drawn)[-n:]


def _beside(plan: Plan) -> dict[str, Series]:
    """Return what else the program logs."""
    rng, share, n = plan.rng, plan.share, len(plan.steps)
    found = {}
    if plan.is_one(0.6, "lr"):
        found["lr"] = Series(plan.steps, plan.rates * plan.between(1e-5, 1e-3))
    if plan.is_one(0.5, "norms"):
        found["grad_norm"] = Series(plan.steps, _norms(plan))
    if plan.is_one(0.4, "times"):
        times = plan.between(0.05, 20) * np.exp(rng.normal(0, plan.between(0.01, 0.3), n))
        times[rng.random(n) < 0.01] *= rng.uniform(1, 20)
        times[0] *= rng.uniform(1, 30)
        name, values = ("step_time_s", times) if rng.random() < 0.5 else ("tokens_per_sec", 1e5 / times)
        found[name] = Series(plan.steps, values)
    if plan.is_one(0.3, "memory"):
        found["mem_bytes"] = Series(
            plan.steps, 2e10 * (1 - 0.2 * np.exp(-share / 0.03)) * (1 + rng.normal(0, 0.003, n))
        )
    if plan.is_one(0.15, "auxiliary"):
        found["aux_loss"] = Series(plan.steps, 0.01 * (1 + np.exp(-share / 0.05)) * np.exp(rng.normal(0, 0.1, n)))
        found["z_loss"] = Series(plan.steps, 0.001 * np.exp(rng.normal(0, 0.5, n)))
    if plan.is_one(0.15, "param_norm"):
        found["param_norm"] = Series(plan.steps, 100 * (1 + rng.uniform(0, 1) * np.sqrt(share)))
    if "epochs" in plan.traits and plan.is_one(0.6, "epoch"):
        found["epoch"] = Series(plan.steps, share * rng.integers(2, 6))
    return found


def _norms(plan: Plan) -> np.ndarray:
    """Return gradient norms: large at first, growing as the rate falls, with a long tail, which some runs keep from record to record."""
    rng, n = plan.rng, len(plan.steps)
    wild = plan.is_one(0.25, "wild-norms")
    freedom, width = (
        (rng.uniform(2.5, 6), plan.between(0.1, 0.5)) if wild else (rng.uniform(10, 40), plan.between(0.08, 0.4))
    )
    drawn = rng.standard_t(freedom, n + BEFORE) * np.sqrt((freedom - 2) / freedom)
    tail = width * _kept(rng, n, rng.uniform(0, MOST_KEPT) if wild else 0.0, drawn)
    start = 1 + rng.uniform(1, 10) * np.exp(-plan.share / plan.between(0.005, 0.05))
    return plan.between(0.1, 5) * start * (1 + rng.uniform(0, 1.5) * plan.share) * np.exp(tail)


def _cut(plan: Plan, series: dict[str, Series]) -> Run:
    """Return the run, or where it was drawn, its beginning or its end."""
    config: dict[str, object] = {"max_steps": plan.total} if plan.is_one(0.5) else {}
    if plan.is_one(0.3):
        config["grad_clip"] = 1.0
    first, last = 0, plan.total
    longest = max(len(s) for s in series.values())
    if longest >= 300 and plan.is_one(0.06, "begins-later"):
        first = int(plan.rng.uniform(0.2, 0.6) * plan.total)
    elif longest >= 60 and plan.is_one(0.06, "still-running"):
        last = int(plan.rng.uniform(0.4, 0.9) * plan.total)
    series = {name: s.between(first, last) for name, s in series.items()}
    series = {name: s for name, s in series.items() if len(s)}
    return Run(" ".join(plan.traits), series, segments=(Segment(max(first, 1), last, 0),), config=config)
