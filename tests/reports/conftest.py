"""Diagnoses made in memory, with every part a report can show."""

import numpy as np
import pytest

from lmdiag.diagnose import Best, Diagnosis
from lmdiag.finding import Advice, Finding, NotChecked, Severity
from lmdiag.perplexity import perplexity_of
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.rules import RULES
from lmdiag.run import Event, Run, Segment, Series, Skipped

ASKED = tuple(rule.name for rule in RULES)


def series_of(values, every=1):
    values = np.asarray(values, float)
    return Series(np.arange(1, len(values) + 1) * every, values)


def falling_loss(n=2000, end=3.0):
    noise = np.random.default_rng(0).normal(0, 0.03, n)
    return end + 7.9 * np.exp(-np.arange(n) / (n / 8)) + noise


@pytest.fixture
def healthy():
    loss = falling_loss()
    run = Run(
        "good",
        {"loss": series_of(loss), "val/loss": series_of(loss[99::100] + 0.05, 100)},
        source="runs/good.jsonl",
        format="lmdiag-log/1",
        events=(Event("end", 2000, fields={"status": "completed"}),),
    )
    refusals = (NotChecked("the log has no per-layer statistics", "dead-layer"),)
    best = Best("val/loss", 1900, 3.04)
    return Diagnosis(run, (), refusals, "", best, ASKED, perplexity=perplexity_of(run))


@pytest.fixture
def sick():
    loss = falling_loss()
    loss[1300:1700] += np.linspace(0, 5, 400)
    loss[1700:] += 5
    loss[1900:] = np.nan
    norms = np.full(2000, 0.8)
    norms[1290:1320] = 40.0
    run = Run(
        "bad",
        {"loss": series_of(loss), "val/loss": series_of(loss[99::100] + 0.05, 100), "grad_norm": series_of(norms)},
        source="runs/bad.jsonl",
        format="lmdiag-log/1",
        segments=(Segment(1, 800, 0), Segment(801, 2000, 800)),
        events=(Event("end", 2000, fields={"status": "failed"}),),
        notes=("Steps were counted from the records: the log has no step column.",),
        skipped=(Skipped(812, "not JSON", 1), Skipped(900, "no number in it", 3)),
    )
    found, best = (diverged(), not_finite(), norm_spike()), Best("val/loss", 1300, 3.05)
    return Diagnosis(run, found, refusals(), "", best, ASKED, perplexity=perplexity_of(run))


def diverged():
    return Finding(
        "Loss rose from 3.02 at step 1,300 to 8.04 and stayed there until the end.",
        1301,
        2000,
        evidence={"rebound": 5.02, "level_before": 3.02, "z": float("inf")},
        advice=(
            "Resume from the last checkpoint before step 1,301; save checkpoints more often if there is none.",
            Advice("Lower the learning rate: it was 0.003 at step 1,301; try 0.0015.", lr=np.float64(0.0015)),
            "Clip the gradient norm at 0.9, its 90th percentile before step 1,301.",
            "Look at the batches of steps 1,290 to 1,301.",
        ),
        severity=Severity.ERROR,
        rule="divergence",
        family="divergence",
    )


def not_finite():
    return Finding(
        "100 of 2,000 losses are not finite.",
        1901,
        2000,
        severity=Severity.ERROR,
        rule="non-finite-loss",
        family="numerics",
        consequence_of="divergence",
    )


def norm_spike():
    return Finding(
        "The gradient norm reached 40, 50 times its usual level.",
        1291,
        1320,
        metric="grad_norm",
        evidence={"ratio": np.float64(50.0)},
        advice=("Clip the gradient norm at 0.9.",),
        severity=Severity.WARNING,
        rule="gradient-spike",
        family="gradients",
    )


def refusals():
    return (
        NotChecked("the log has no per-layer statistics", "dead-layer"),
        NotChecked("the log has no lr", "late-warmup"),
        NotChecked("the log has no lr", "flat-schedule"),
    )


@pytest.fixture
def too_short():
    run = Run("short", {"loss": series_of([3.0, 2.0])}, source="runs/short.csv", format="csv")
    why = "only 2 values of the loss, 40 needed"
    return Diagnosis(run, (), (NotChecked(why, "divergence"),), why, None)


@pytest.fixture
def report(healthy, sick, too_short):
    broken = Unreadable("runs/broken.bin", "this is not a text file", "Give the log, not the checkpoint.")
    return Report((healthy, sick, too_short), (broken,))
