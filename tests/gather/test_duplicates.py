"""Copies of one run are reported once; runs that only begin alike are not copies."""

from dataclasses import replace

import numpy as np

from lmdiag.gather import duplicates
from lmdiag.gather.duplicates import without_duplicates
from lmdiag.run import Run, Series
from tests.rules.curves import falling


def made(source: str, values, kind: str = "jsonl", **more) -> Run:
    values = np.asarray(values, float)
    series = {"loss": Series(np.arange(1, len(values) + 1), values), **more}
    return Run(source, series, source=source, format=kind)


def sources(*runs: Run) -> list[str]:
    return [run.source for run in without_duplicates(list(runs))]


def test_the_same_file_twice():
    a = made("a", falling(100))
    (kept,) = without_duplicates([a, replace(a, source="b", name="b")])
    assert kept.source == "a"
    assert "b holds the same values and is not listed separately." in kept.notes


def test_a_console_log_rounds_what_the_trainer_state_holds():
    exact = falling(100)
    assert sources(
        made("state", exact, "huggingface-trainer-state"), made("console", exact.round(3), "huggingface-console")
    ) == ["state"]


def test_a_run_that_stopped_earlier_is_another_run():
    assert sources(made("whole", falling(200)), made("part", falling(200)[:120])) == ["whole", "part"]


def test_a_run_that_turned_nan_or_zero_is_another_run():
    nan, zero = falling(200), falling(200)
    nan[120:], zero[120:] = np.nan, 0.0
    assert sources(made("whole", falling(200)), made("nan", nan), made("zero", zero)) == ["whole", "nan", "zero"]
    assert sources(made("whole", falling(200)), made("nan", nan, "csv")) == ["whole", "nan"]


def test_of_many_runs_with_the_same_epochs_each_is_not_compared_with_each(monkeypatch):
    compared = []
    monkeypatch.setattr(duplicates, "_is_copy", lambda run, other: compared.append(run))
    epochs = Series(np.arange(1, 101), np.arange(1, 101) / 100)
    losses = [np.r_[10.0, falling(99) + 0.01 * k] for k in range(20)]
    assert len(sources(*(made(str(k), values, epoch=epochs) for k, values in enumerate(losses)))) == 20
    assert not compared


def test_equal_losses_with_other_gradients_are_two_runs():
    norms = Series(np.arange(1, 101), np.ones(100))
    other = Series(np.arange(1, 101), np.full(100, 2.0))
    assert sources(made("a", falling(100), grad_norm=norms), made("b", falling(100), grad_norm=other)) == ["a", "b"]


def policy(source: str, rewards, kind: str, losses) -> Run:
    """A run of verl: without a loss of its own."""
    steps = np.arange(1, len(rewards) + 1)
    series = {"reward": Series(steps, np.asarray(rewards)), "policy_loss": Series(steps, np.asarray(losses))}
    return Run(source, series, source=source, format=kind)


def test_a_policy_in_a_file_and_in_event_files_is_one_run():
    rewards, losses = np.linspace(0.2, 0.8, 60), np.sin(np.arange(60)) / 10
    in_event_files = policy("events", rewards.astype(np.float32), "tensorboard", losses.astype(np.float32))
    assert len(sources(policy("file", rewards, "jsonl", losses), in_event_files)) == 1


def test_two_policies_that_both_earn_nothing_are_two_runs():
    losses = np.sin(np.arange(60)) / 10
    other = policy("events", np.zeros(60), "tensorboard", np.cos(np.arange(60)) / 10)
    assert len(sources(policy("file", np.zeros(60), "jsonl", losses), other)) == 2
