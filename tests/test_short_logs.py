"""Excerpts of 2 to 10 records: healthy ones raise no alarm, however much is exactly 0, exactly 1, or the same again."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.diagnose import diagnose
from lmdiag.run import Run, Series
from tests.rules.curves import run

NOISE = np.random.default_rng(3).normal(0, 1, 10)


def rounded(values, decimals: int) -> Series:
    values = np.round(np.asarray(values, float), decimals)
    return Series(np.arange(1, len(values) + 1), values, decimals=decimals)


def of_epochs(**metrics) -> Run:
    return replace(run(**metrics), step_kind="epoch")


HEALTHY = {
    "learned at once": of_epochs(
        loss=[0.31, 0.05, 0.02, 0.01, 0.01],
        val__loss=[0.08, 0.07, 0.072, 0.071, 0.071],
        val__accuracy=[0.981, 0.984, 0.984, 0.984, 0.984],
    ),
    "all answers right": of_epochs(
        loss=[0.3, 0.04, 0.01, 0.004, 0.002, 0.001],
        accuracy=[0.9, 0.99, 1, 1, 1, 1],
        val__accuracy=np.ones(6),
        val__loss=[0.02, 0.01, 0.005, 0.003, 0.002, 0.001],
    ),
    "a loss rounded to 0 beside right answers": of_epochs(
        loss=rounded(np.zeros(4), 2), accuracy=rounded(np.ones(4), 2)
    ),
    "warm-up from a rate of 0": run(
        loss=10.9 - 0.02 * np.arange(6), lr=1e-6 * np.arange(6), grad_norm=5 - 0.1 * np.arange(6)
    ),
    "steps that a loss scaler skips": run(
        loss=10.9 + 0.01 * NOISE[:8], lr=np.r_[0, 0, 0, 1, 2, 3, 4, 5] * 1e-6, grad_norm=np.r_[0, 0, 0, 9, 8, 8, 7, 7]
    ),
    "a norm that is not computed": run(loss=[2.1, 1.9, 1.8, 1.75, 1.7], lr=np.full(5, 2e-5), grad_norm=np.zeros(5)),
    "a rate that is printed with four decimals": run(
        loss=[2.1, 1.9, 1.8, 1.75, 1.7], lr=rounded(np.zeros(5), 4), grad_norm=1 + 0.1 * NOISE[:5]
    ),
    "a constant rate and an accuracy of few answers": of_epochs(
        loss=[0.69, 0.6, 0.5, 0.42, 0.4], lr=np.full(5, 1e-3), val__accuracy=np.full(5, 0.625)
    ),
    "an evaluation of four decimals that has settled": of_epochs(
        loss=[0.93, 0.93, 0.92, 0.93, 0.92], val__loss=rounded(np.full(5, 0.9173), 4)
    ),
    "an evaluation that is carried on": of_epochs(loss=[2.4, 2.1, 1.9, 1.75, 1.6], val__loss=np.full(5, 2.31457219)),
    "an excerpt whose loss was learned by heart": run(every=10, first=9000, loss=np.zeros(4), lr=np.full(4, 1e-5)),
    "gradients of a fine-tune": run(
        loss=[0.7, 0.68, 0.66, 0.57, 0.39, 0.4, 0.28, 0.33],
        grad_norm=[5.3, 4.9, 4.6, 12.1, 1.8, 53.7, 36, 0.2],
        lr=np.linspace(5e-5, 0, 8),
    ),
    "an adapter that begins at 0": run(
        loss=[1.9, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.2],
        grad_norm=[0.1, 0.2, 0.5, 1.2, 1.9, 2.2, 2.4, 2.5],
        lr=1e-5 * np.arange(1, 9),
    ),
    "a likelihood of densities": run(
        loss=-np.linspace(1, 3, 10), val__loss=-np.linspace(1, 2.8, 10), objective="signed"
    ),
    "a perplexity that is not computed": of_epochs(loss=[3.1, 2.9, 2.8, 2.7], ppl=np.zeros(4)),
    "noisy evaluations": of_epochs(
        loss=[0.9, 0.8, 0.72, 0.66, 0.6, 0.55, 0.52, 0.5], val__loss=0.8 * (1 + 0.08 * NOISE[:8])
    ),
}


@pytest.mark.parametrize("made", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_excerpt_raises_no_alarm(made):
    assert [finding.message for finding in diagnose(made).findings if finding.alarms] == []


SICK = {
    "zero-lr": run(loss=12 + 0.03 * NOISE[:4], lr=np.zeros(4), grad_norm=np.zeros(4)),
    "zero-loss": run(every=50, first=50, loss=np.zeros(2), lr=np.full(2, 0.1)),
    "repeated-losses": of_epochs(loss=0.95 + 0.001 * NOISE[:6], val__loss=np.full(6, 0.9172846502)),
    "perplexity-mismatch": run(loss=[-900.0, -1800, -2500], ppl=np.zeros(3), objective="signed"),
}


@pytest.mark.parametrize(("rule", "made"), SICK.items(), ids=SICK)
def test_a_sick_excerpt_is_told_by_its_own_rule(rule, made):
    assert rule in [finding.rule for finding in diagnose(made).findings if finding.alarms]
