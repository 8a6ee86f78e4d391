"""No sick log is healthy without having been looked at: every sick log there is, with the rules that should find it."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.accuracy import FAMILIES
from lmdiag.diagnose import diagnose
from lmdiag.errors import UnreadableLog
from lmdiag.finding import SHAPELESS
from lmdiag.gather import runs_in
from lmdiag.judging.reading import read, read_all
from lmdiag.readers import read_source
from lmdiag.rules import RULES
from lmdiag.run import Run
from lmdiag.sources.source import Source
from tests.fuzz.mutations import mutated

ROOT = Path(__file__).parents[1]
EXPECTED = tomllib.loads((ROOT / "sample_logs" / "expected.toml").read_text(encoding="utf-8"))
HEALTHY = [name for name in EXPECTED if name.startswith("healthy-")]
MUTATIONS = 300
NOT_FINITE = {"non-finite-loss", "masked-nan"}

LOOKED = "a rule that should find it looked"

# Sick logs that are called healthy: what their report says of the rules that should find them, and why that is right.
ALLOWED = {
    "step-rewind.jsonl": (LOOKED, "a resume that repeats its losses is as it should be"),
    "truncated-run.jsonl": (LOOKED, "what was logged is sound, and the verdict shown is healthy so far"),
    "slowdown.jsonl": (LOOKED, "the time that was lost is too short to alarm"),
    "gradient-spike.jsonl": (LOOKED, "one batch whose gradient was clipped, and no trace of it in the loss"),
    "loss-spike.jsonl": (LOOKED, "one batch, behind which the loss is back at once"),
    "few-evaluations.jsonl": (LOOKED, "what was not evaluated may be sound"),
    "no-decay.jsonl": (
        "the loss does not start where that of an untrained model over thousands of tokens does",
        "it begins at 4.8 nats, and the rule takes runs below 6 for fine-tuning, where a constant rate is usual",
    ),
}


class Sick(NamedTuple):
    """A sick run, and the rules of which one at least should find it."""

    name: str
    run: Run
    due: set[str]


def called_healthy(sick: Iterable[Sick]) -> dict[str, str]:
    """{log that is called healthy: that a rule that should find it looked, or why none could}."""
    found = {}
    for name, run, due in sick:
        diagnosis = diagnose(run)
        if diagnosis.verdict == "healthy":
            refusals = {refusal.why for refusal in diagnosis.not_checked if refusal.rule in due}
            found[name] = LOOKED if due & set(diagnosis.looked) else "; ".join(sorted(refusals))
    return found


def samples() -> Iterator[Sick]:
    for name, made in EXPECTED.items():
        if name not in HEALTHY:
            yield Sick(name, read(ROOT / "sample_logs" / name), {*made["rules"], name.removesuffix(".jsonl")})


def rise(values: np.ndarray, row: int) -> None:
    values[row:] = values[row:] + np.linspace(0, 3 * np.ptp(values), len(values) - row)


def nan(values: np.ndarray, row: int) -> None:
    values[row:] = np.nan


def zeros(values: np.ndarray, row: int) -> None:
    values[row:] = 0.0


def stands(values: np.ndarray, row: int) -> None:
    values[:] = values[0]


INJURIES = {
    rise: {"divergence", "lr-too-high", "slow-drift"},
    nan: NOT_FINITE,
    zeros: {"masked-nan", "zero-loss"},
    stands: {"not-learning", "frozen-metric"},
}


def injured() -> Iterator[Sick]:
    for name in HEALTHY:
        run = read(ROOT / "sample_logs" / name)
        if run.objective in SHAPELESS:
            continue  # its rules do not look at the loss
        metric, series = run.curve
        for injury, due in INJURIES.items():
            values = series.values.copy()
            injury(values, len(values) // 2)
            changed = {**run.series, metric: replace(series, values=values)}
            yield Sick(f"{name}, {injury.__name__}", replace(run, series=changed), due)


def not_finite(name: str, content: bytes) -> Iterator[Sick]:
    try:
        runs = runs_in(read_source(Source(name, content=content)), name)
    except UnreadableLog:
        return
    for run in runs:
        if "loss" in run and not np.isfinite(run["loss"].values).all():
            yield Sick(name, run, NOT_FINITE)


def printed() -> Iterator[Sick]:
    for path in sorted((ROOT / "tests/readers/samples/text").iterdir()):
        yield from not_finite(path.name, path.read_bytes())


def mutations() -> Iterator[Sick]:
    for seed in range(MUTATIONS):
        for sick in not_finite(*mutated(seed)):
            yield sick._replace(name=f"{seed}: {sick.name}")


@pytest.mark.parametrize(
    ("kind", "least", "allowed"),
    [(samples, 25, ALLOWED), (injured, 30, {}), (printed, 5, {}), (mutations, 20, {})],
)
def test_no_sick_log_is_healthy_without_having_been_looked_at(kind, least, allowed):
    sick = list(kind())
    assert len(sick) >= least
    assert called_healthy(sick) == {name: said for name, (said, _) in allowed.items()}


def test_no_real_log_in_which_people_saw_a_defect_is_healthy(real_logs):
    def labelled():
        for label in map(json.loads, (real_logs / "labels.jsonl").read_text(encoding="utf-8").splitlines()):
            if label["judgeable"] and label["verdict"] == "unhealthy":
                families = set().union(*(FAMILIES.get(seen["label"], set()) for seen in label["labels"]))
                due = {rule.name for rule in RULES if rule.family in families}
                yield from (Sick(label["id"], run, due) for run in read_all(real_logs / "logs" / label["id"]))

    sick = list(labelled())
    assert len(sick) > 10
    assert called_healthy(sick) == {}
