"""Advice fits the run: no limit is to be lowered to itself, and no checkpoint is kept that the log does not name."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag import advice
from lmdiag.run import Event, Run, Series
from tests.rules.curves import run


@pytest.mark.parametrize("limit", [0.25, 1, 2.0])
def test_a_limit_at_or_below_the_usual_norm_is_left(limit):
    said = advice.clip(run(grad_norm=np.full(100, 2.0), config={"grad_clip": limit}), 50)
    assert said == (
        f"Leave the clipping limit at {limit:g}: it is already at or below the 90th percentile of the norms before "
        "step 50 (2)."
    )


@pytest.mark.parametrize(("limit", "present"), [(0, ""), (None, ""), (5.0, " (the limit was 5)")])
def test_a_limit_above_the_usual_norm_is_to_be_lowered(limit, present):
    said = advice.clip(run(grad_norm=np.full(100, 2.0), config={"grad_clip": limit}), 50)
    assert said == f"Clip the gradient norm at 2, its 90th percentile before step 50{present}."
    assert said.change == {"grad_clip": 2.0}


@pytest.mark.parametrize(("limit", "change"), [(None, {"grad_clip": 1.0}), (5.0, {"grad_clip": 1.0}), (0.5, {})])
def test_norms_of_a_run_that_never_was_sound_set_no_limit(limit, change):
    made = run(loss=np.ones(100), grad_norm=np.full(100, 17.0), config={"grad_clip": limit})
    assert advice.clip(made, 15).change == change


RATES = np.full(100, 1e-2)


@pytest.mark.parametrize(
    ("step", "more", "lr"),
    [
        (5, {}, 1e-3),  # began with the run: a tenth
        (60, {}, 3.3e-3),  # held for long: a third
        (60, {"update_ratio": np.full(100, 0.1)}, 1e-3),  # ten times the usual
        (60, {"update_ratio": np.full(100, 0.004)}, 3.3e-3),  # updates were not too large: they say nothing
        (
            5,
            {"update_ratio": np.full(100, 0.04), "param_norm": np.linspace(2, 200, 100)},
            8.3e-4,
        ),  # and weights grew threefold
    ],
)
def test_the_rate_comes_from_the_updates_or_from_when_it_began(step, more, lr):
    assert advice.lower_lr(run(loss=np.ones(100), lr=RATES, **more), step).change == {"lr": lr}


def test_where_nothing_is_clipped_it_is_to_be():
    made = run(loss=np.ones(100), lr=RATES, config={"grad_clip": 0})
    assert advice.lower_lr(made, 5).change == {"lr": 1e-3, "grad_clip": 1.0}


def test_a_rate_that_never_fell_is_to_fall():
    ended = (Event("end", 100, fields={"status": "completed"}),)
    made = replace(run(loss=np.ones(100), lr=RATES, config={"grad_clip": 0}), events=ended)
    said = advice.lower_lr(made, 5)
    assert said.change == {"lr": 1e-3, "schedule": "cosine", "grad_clip": 1.0}
    assert said.startswith(
        "Lower the learning rate to 0.001, let it fall along a cosine and clip the gradient norm at 1.0"
    )


def test_updates_after_the_fault_say_nothing_of_plain_gradient_descent():
    ratios = Series(np.array([10, 20, 30]), np.array([0.5, 0.001, 0.001]))
    made = run(loss=np.ones(100), lr=RATES, update_ratio=ratios, config={"optimizer": "SGD"})
    assert advice.lower_lr(made, 5).change == {"lr": 1e-3}
    assert advice.lower_lr(
        run(loss=np.ones(100), lr=RATES, update_ratio=Series(ratios.steps, np.full(3, 0.5))), 5
    ).change == {"lr": 2e-4}


@pytest.mark.parametrize(("first", "lr"), [(1, 2e-3), (10, 1e-3)])
def test_weights_that_updates_had_made_when_they_were_measured_say_less(first, lr):
    ratios = Series(np.array([first, 20, 30]), np.full(3, 0.05))
    assert advice.lower_lr(run(loss=np.ones(100), lr=RATES, update_ratio=ratios), 5).change == {"lr": lr}


@pytest.mark.parametrize(
    ("lr", "objective", "words"),
    [
        (np.full(100, 8.5e-9), "causal-lm", "Leave the learning rate"),
        (np.geomspace(1e-2, 1e-4, 100), "causal-lm", "Leave the learning rate"),
        (RATES, "reinforcement", "Look at rewards and KL"),
        (np.r_[np.full(40, 1e-3), np.geomspace(1e-3, 1e-1, 60)], "causal-lm", "Correct the schedule"),
    ],
)
def test_no_other_rate_against_the_evidence(lr, objective, words):
    said = advice.lower_lr(run(loss=np.ones(100), lr=lr, objective=objective), 80)
    assert said.startswith(words)
    assert not said.change


def test_a_rate_that_jumps_right_after_the_onset_is_the_schedule():
    lr = np.r_[np.linspace(1e-4, 1e-3, 10), np.linspace(1e-3, 5e-4, 70), np.full(20, 5e-3)]
    said = advice.lower_lr(run(loss=np.ones(100), lr=lr), 79)
    assert said == "Correct the schedule: the learning rate had risen from 0.0005 to 0.005 by step 81."
    assert advice.rewind(run(loss=np.ones(100), lr=lr), 79) in advice.back_and_calmer(run(loss=np.ones(100), lr=lr), 79)


def test_a_warm_up_that_is_upside_down_is_turned():
    lr = np.r_[np.linspace(1.0, 0.01, 10), np.full(90, 0.01)]
    said = advice.lower_lr(run(loss=np.ones(100), lr=lr), 3)
    assert said.change == {"warmup_steps": 10, "lr": 0.01}


def test_a_rate_that_moves_nothing_is_raised_by_what_is_missing():
    made = run(loss=np.ones(100), lr=np.full(100, 1e-6), update_ratio=np.full(100, 4e-6))
    assert advice.raise_lr(made, 1e-6).change == {"lr": 0.011}
    assert [line.change for line in advice.set_in_motion(made)] == [{"lr": 0.011}]
    assert advice.set_in_motion(run(loss=np.ones(100), lr=RATES, update_ratio=np.full(100, 4e-3))) == ()
    assert advice.raise_lr(run(loss=np.ones(100), lr=np.full(100, 1e-6)), 1e-6).change == {"lr": 1e-5}


@pytest.mark.parametrize(
    ("precision", "change"), [("fp16", {"precision": "bf16"}), ("", {"precision": "bf16"}), ("bf16", {}), ("fp32", {})]
)
def test_nobody_is_told_to_use_what_he_uses(precision, change):
    assert advice.bf16(run(loss=np.ones(9), config={"precision": precision})).change == change


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ((), "Keep the checkpoint of step 25, where val/loss was lowest (3.279)."),
        ((25, 50), "Keep the checkpoint of step 25, where val/loss was lowest (3.279)."),
        ((30, 60), "If a checkpoint of step 25 exists, keep it: val/loss was lowest there (3.279)."),
    ],
)
def test_a_checkpoint_that_the_log_does_not_name_may_not_exist(saved, words):
    made = Run("a", {}, events=tuple(Event("checkpoint_saved", step) for step in saved))
    assert advice.keep_best(made, "val/loss", 25, 3.279) == words


@pytest.mark.parametrize(
    ("settings", "step", "said", "change"),
    [
        ({"learning_rate": 2e-4}, 60, "6.7e-5: the settings give 0.0002.", {"lr": 6.7e-5}),
        ({"optimizer": {"lr": "0.01"}}, 5, "0.001: the settings give 0.01.", {"lr": 1e-3}),
        (
            {"model": {"lr": float("nan")}, "training": {"max_lr": 3e-3}},
            60,
            "0.001: the settings give 0.003.",
            {"lr": 1e-3},
        ),
    ],
)
def test_a_rate_that_no_record_tells_is_that_of_the_settings(settings, step, said, change):
    made = advice.lower_lr(run(loss=np.ones(100), config={"config": settings}), step)
    assert (made, made.change) == (f"Lower the learning rate to {said}", change)


@pytest.mark.parametrize(
    "settings", [{}, {"lr": "auto"}, {"lr": None}, {"lr_decay": 0.5}, {"warmup": {"lr_steps": 100}}]
)
def test_a_rate_that_nothing_tells_is_unknown(settings):
    said = advice.lower_lr(run(loss=np.ones(100), config={"config": settings}), 60)
    assert said == "Divide the peak learning rate by 3 (the log does not say what it was)."


def test_a_stated_rate_too_small_to_do_this_is_left():
    said = advice.lower_lr(run(loss=np.ones(100), config={"config": {"lr": 5e-9}}), 60)
    assert said == "Leave the learning rate: 5e-9 is too little to do this."


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (10, "Start again once that is cured: it began with the first record."),
        (9000, "Resume from the last checkpoint before step 9,000; "),
    ],
)
def test_nothing_is_resumed_from_before_the_first_record_of_a_run(first, said):
    assert advice.rewind(run(loss=Series(np.arange(first, first + 500, 10), np.ones(50))), first).startswith(said)


@pytest.mark.parametrize(("after", "limits"), [(1.0, 0), (3.0, 1)])
def test_no_limit_is_named_where_gradients_stayed_as_they_were(after, limits):
    norms = np.r_[np.ones(60), np.full(40, after)]
    made = run(loss=np.full(100, 3.0), lr=np.full(100, 1e-3), grad_norm=norms)
    assert sum("lip the gradient norm" in line for line in advice.back_and_calmer(made, 61)) == limits


def test_a_run_that_had_learned_by_then_is_gone_on_with():
    losses = np.r_[np.linspace(8, 3.5, 20), np.full(80, 4.2)]
    late = run(loss=losses, val__loss=Series(np.array([1, 20, 60, 100]), np.array([8.0, 3.9, 4.1, 4.2])))
    assert advice.back_and_calmer(late, 20)[0].startswith("Resume from the last checkpoint before step 20;")
    early = run(loss=losses, val__loss=Series(np.array([1, 20, 60, 100]), np.array([3.8, 3.9, 4.1, 4.2])))
    assert "Start again" in advice.back_and_calmer(early, 20)[1]


def test_weights_whose_norm_never_moves_are_not_held_by_the_optimizer():
    made = run(loss=np.full(50, 4.6), lr=np.full(50, 1e-3), param_norm=np.full(50, 42.5))
    assert "which parameters does the optimizer hold" in advice.set_in_motion(made)[0]
