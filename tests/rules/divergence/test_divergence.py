"""A loss that rises and stays up is divergence, unless evaluation or schedule explain it."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.divergence.divergence import check
from lmdiag.run import Series
from tests.rules.curves import cosine_lr, falling, fires, healthy, run, series


def diverging(n: int = 500, at: int = 300, rise: float = 3.0, seed: int = 0) -> np.ndarray:
    loss = falling(n, seed=seed)
    loss[at:] += rise * np.minimum(1, np.arange(n - at) / 20)
    return loss


@pytest.mark.parametrize("seed", range(5))
def test_fires_with_onset_and_advice(seed):
    (found,) = fires(check, run(loss=diverging(seed=seed), lr=np.full(500, 6e-4)))
    assert found.severity is Severity.ERROR
    assert 295 <= found.first_step <= 325
    assert found.last_step == 500
    assert found.changes[1] == {"lr": 2e-4}


def test_a_small_rise_is_a_warning():
    (found,) = fires(check, run(loss=diverging(rise=0.4)))
    assert found.severity is Severity.WARNING


def test_evaluations_alone_are_enough():
    evaluations = np.r_[np.linspace(8, 4, 20), np.linspace(4.2, 7, 10)]
    (found,) = fires(check, run(val__loss=series(evaluations, every=100)))
    assert found.metric == "val/loss"


def test_information_when_the_evaluation_stays_at_its_best():
    loss = diverging(rise=0.6)
    evaluations = series(np.linspace(5, 3, 25), every=20, first=20)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations))
    assert found.severity is Severity.INFO
    assert found.advice[0].startswith("Look at the data from step")
    assert not any("Resume" in line or "learning rate" in line for line in found.advice)


@pytest.mark.parametrize(("last", "severity"), [(2.99, Severity.INFO), (3.6, Severity.WARNING)])
def test_one_evaluation_behind_the_rise_tells_other_data_from_a_worse_model(last, severity):
    evaluations = series([4.2, 3.5, 3.2, 3.05, 3.0, last], every=80, first=80)
    (found,) = fires(check, run(loss=diverging(rise=0.6, at=420), val__loss=evaluations))
    assert found.severity is severity


def test_information_when_the_rate_is_almost_zero_and_the_rise_small():
    loss = np.r_[np.linspace(1.0, 0.3, 200), np.full(200, 0.3)] + np.random.default_rng(0).normal(0, 0.01, 400)
    loss[360:] += 0.15
    (found,) = fires(check, run(loss=loss, lr=cosine_lr(400)))
    assert found.severity is Severity.INFO
    evaluations = series(np.r_[np.full(18, 0.31), np.full(2, 0.46)], 20, 20)
    (found,) = fires(check, run(loss=loss, lr=cosine_lr(400), val__loss=evaluations))
    assert found.alarms


def test_a_record_of_the_checkpoint_is_used():
    from dataclasses import replace

    from lmdiag.run import Event

    made = replace(run(loss=diverging()), events=(Event("checkpoint_saved", 250), Event("checkpoint_saved", 400)))
    assert fires(check, made)[0].advice[0] == "Resume from the checkpoint saved at step 250."


@pytest.mark.parametrize("n", [6, 12, 40, 200, 5000])
def test_silent_on_healthy_runs(n):
    for seed in range(5):
        assert fires(check, run(loss=falling(n, seed=seed))) == []
    assert fires(check, healthy(max(n, 20))) == []


def test_a_few_records_that_end_at_many_times_the_minimum():
    (found,) = fires(check, run(loss=[15.5, 13.0, 3.8, 2.4, 1.4, 5.8, 7.1, 10.0], every=55))
    assert (found.first_step, found.severity) == (1 + 5 * 55, Severity.ERROR)


def test_a_rise_to_many_times_the_minimum_begins_where_the_logarithm_says():
    loss = np.r_[np.linspace(9000, 2100, 30), [2200, 2400, 3000, 3600, 5000, 7500], np.full(10, 8500)]
    (found,) = fires(check, run(loss=loss))
    assert 33 <= found.first_step <= 35


def test_evaluations_that_began_after_the_rise_do_not_excuse_it():
    loss = np.r_[np.linspace(9, 3.9, 30), np.full(60, 3.85), np.full(310, 4.4)]
    loss += np.random.default_rng(0).normal(0, 0.03, 400)
    flat = Series(np.array([1, 120, 200, 300, 400]), np.array([9.0, 4.42, 4.44, 4.41, 4.40]))
    (found,) = fires(check, run(loss=loss, val__loss=flat))
    assert found.severity is Severity.WARNING
    falls = Series(flat.steps, np.array([9.0, 4.42, 4.2, 4.0, 3.8]))
    (found,) = fires(check, run(loss=loss, val__loss=falls))
    assert found.severity is Severity.INFO


def broke_and_half_recovered(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Training and evaluation loss that jump up at the fifth of 21 records and fall as the rate decays, never to their best."""
    both = np.r_[9.2, 4.9, 4.3, 4.05, np.linspace(5.0, 4.35, 17)]
    rng = np.random.default_rng(seed)
    return both + rng.normal(0, 0.02, 21), both + rng.normal(0, 0.02, 21)


@pytest.mark.parametrize("seed", range(3))
def test_training_and_evaluation_that_never_were_as_good_again(seed):
    losses, evaluations = broke_and_half_recovered(seed)
    (found,) = fires(check, run(every=25, first=0, loss=losses, val__loss=series(evaluations, every=25, first=0)))
    assert found.first_step == 100
    assert (
        fires(
            check, run(every=25, first=0, loss=np.linspace(9, 4, 21), val__loss=series(evaluations, every=25, first=0))
        )
        == []
    )


def test_the_onset_of_an_enormous_rise_is_not_far_on_its_way():
    loss = np.r_[np.linspace(9, 5, 60), 5 * np.exp(np.linspace(0, 4, 60)), np.full(80, 270.0)]
    (found,) = fires(check, run(loss=loss * (1 + 0.01 * np.random.default_rng(0).normal(size=200))))
    assert 61 <= found.first_step <= 70


def test_the_onset_of_a_slow_quiet_climb_is_near_its_lowest_point():
    loss = np.r_[np.linspace(9, 4, 100), 4 + np.linspace(0, 2, 200)] + np.random.default_rng(0).normal(0, 0.02, 300)
    (found,) = fires(check, run(loss=loss))
    assert 101 <= found.first_step <= 125


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
def test_the_unit_of_the_loss_does_not_matter(scale):
    rise = np.r_[falling(200, start=4, floor=1), 1 + np.linspace(0, 3, 200) ** 2]
    (found,) = fires(check, run(loss=scale * rise))
    assert found.alarms
    assert found.evidence["end"] == pytest.approx(scale * 9.5, rel=0.15)
    assert fires(check, run(loss=scale * falling(400, start=4, floor=1))) == []


def test_the_mean_of_several_evaluation_sets_is_judged_and_stands_under_no_name_of_the_log():
    level = np.r_[np.linspace(4, 2, 20), np.full(20, 3.0)]
    (found,) = fires(check, run(wiki__loss=level, code__loss=level + 0.5))
    assert found.metric == "val/loss"


class TestOfALossOftenBelowZero:
    """Such as the likelihood of densities that a flow learns: only what is beyond all measure counts."""

    @staticmethod
    def made(jump: float, since: float):
        rng = np.random.default_rng(0)
        return run(loss=np.r_[rng.normal(-5.4, 0.2, 30), jump, rng.normal(since, 0.2, 12)], objective="signed")

    def test_a_blow_up_that_stays_up(self):
        (found,) = fires(check, self.made(40490.0, -1.5))
        assert found.first_step == 31
        assert "jumped to 40,490" in found.message

    @pytest.mark.parametrize(("jump", "since"), [(40490.0, -5.4), (-2.0, -1.5), (-5.0, -3.0)])
    def test_nothing_is_said_of_what_comes_back_or_shifts(self, jump, since):
        (said,) = check.look(self.made(jump, since))
        assert isinstance(said, NotChecked)


def epochs(trained, evaluated):
    return run(loss=np.array(trained), val__loss=series(evaluated))


def test_two_epochs_that_end_far_above_their_first_in_training_and_evaluation():
    (found,) = fires(check, epochs([3.1, 5.9], [3.0, 5.7]))
    assert "both are worse than where they began" in found.message
    assert (found.first_step, found.severity) == (2, Severity.WARNING)


@pytest.mark.parametrize(
    ("trained", "evaluated"),
    [
        ([3.1, 5.9], [3.0, 2.8]),  # other data
        ([3.1, 2.0], [3.0, 5.7]),  # overfitting
        ([3.1, 5.9, 3.4], [3.0, 5.7, 3.2]),  # comes back
        ([3.1, 2.4, 5.9], [3.0, 2.5, 5.7]),  # another training
        ([3.1, 3.6], [3.0, 3.5]),
        ([0.1, 0.3], [0.1, 0.3]),
    ],
)
def test_silent_on_a_handful_of_records(trained, evaluated):
    assert fires(check, epochs(trained, evaluated)) == []


def test_silent_on_a_second_start_with_the_same_seed():
    once = np.round(np.linspace(10, 6, 40) + np.random.default_rng(0).normal(0, 0.05, 40), 4)
    assert fires(check, run(loss=np.r_[once, once[:30]])) == []
    assert len(fires(check, run(loss=np.r_[once, once[:30] + 0.01]))) == 1  # what is not the same may have diverged


def test_five_records_that_climb_without_a_break():
    (found,) = fires(check, run(every=100, first=0, loss=[0.63, 0.88, 1.46, 1.84, 2.49]))
    assert (found.first_step, found.severity) == (100, Severity.ERROR)
    assert fires(check, run(every=100, first=0, loss=[0.63, 1.46, 0.88, 1.84, 2.49])) == []


def test_what_a_few_records_rose_from_and_to_is_no_median():
    (found,) = fires(check, run(every=1, first=0, loss=[1.0, 1.1, 1.2, 3.9, 4.5]))
    assert "rose from 1 at step 0 to 3.9 or more in its last 2 records and stayed up, from step 3 on" in found.message


def test_a_run_that_breaks_away_ends_at_the_least_of_its_last_records():
    (found,) = fires(check, run(loss=np.r_[falling(200, noise=0.01), 8.5, 9.9, 11.0]))
    assert "to 8.5 or more in its last 3 records" in found.message


@pytest.mark.parametrize(
    ("end", "severity", "words"),
    [(2.2, Severity.WARNING, "what is logged is no longer what is evaluated"), (2.6, Severity.ERROR, "stayed up")],
)
def test_a_training_loss_beside_an_evaluation_that_falls_on_is_of_something_else(end, severity, words):
    loss = np.r_[np.linspace(9, 3.4, 100), np.full(300, 236.0)] + np.random.default_rng(0).normal(0, 0.05, 400)
    evaluations = np.r_[7.0, 2.5, np.linspace(2.48, end, 8)]
    (found,) = fires(check, run(loss=loss, val__loss=series(evaluations, every=40)))
    assert (found.severity, words in found.message) == (severity, True)


def test_a_slow_rise_is_gone_back_behind_to_where_it_began():
    loss = np.r_[np.linspace(9, 4, 600), np.linspace(4, 8, 400)] + np.random.default_rng(0).normal(0, 0.02, 1000)
    (found,) = fires(check, run(loss=loss, lr=np.full(1000, 1e-3)))
    before = int(found.advice[0].split("before step ")[1].split(";")[0])
    assert 600 <= before == found.first_step <= 610


SHAKEN = [1.6, 0.55, 0.61, 0.83, 0.74, 1.21, 0.77, 0.91, 1.02, 0.95, 1.08]
GROWN = [0.31, 0.22, 1.1, 1.6, 14, 9.3, 18.5, 12.2, 5.1, 19, 8.8]


def test_a_rise_of_a_few_records_beside_a_gradient_that_grew():
    (found,) = fires(check, run(loss=SHAKEN, grad_norm=GROWN))
    assert found.message.startswith(
        "The loss rose from 0.55 at step 2 to a median of 1.02 and stayed up, from step 5 on"
    )


@pytest.mark.parametrize(
    ("loss", "norms"),
    [
        (SHAKEN, None),
        (SHAKEN, [0.31, 14, 1.1, 1.6, 0.22, 9.3, 18.5, 12.2, 5.1, 19, 8.8]),  # a long tail
        (SHAKEN, np.geomspace(0.2, 1, 11)),  # a warm-up
        (sorted(SHAKEN, reverse=True), GROWN),
        ([1.6, 0.77, 0.61, 0.83, 0.74, 1.21, 0.77, 0.72, 0.8, 0.7, 0.68], GROWN),
    ],
)
def test_a_few_records_of_which_one_measure_does_not_rise(loss, norms):
    assert fires(check, run(loss=loss) if norms is None else run(loss=loss, grad_norm=norms)) == []


@pytest.mark.parametrize(
    ("drop", "records", "severity"),
    [(1.0, 1, Severity.INFO), (0.05, 1, Severity.WARNING), (1.0, 150, Severity.WARNING)],
)
def test_a_sudden_rise_is_other_data_where_the_loss_had_dropped_as_suddenly(drop, records, severity):
    """What falls at once was not learned; a small drop before it, or a rise that takes its time, says nothing of the kind."""
    loss = falling(1000)
    loss[500:] -= drop
    loss[800:] += 0.9 * np.minimum(1, np.arange(1, 201) / records)
    (found,) = fires(check, run(loss=loss))
    assert found.severity is severity
    assert ("had dropped as suddenly" in found.message) is (severity is Severity.INFO)


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        ([0.034, 0.283, 0.017, 0.07, 0.098, 0.034, 0.039, 0.033, 0.084, 0.184], False),
        ([0.034, 0.033, 0.017, 0.02, 0.018, 0.019, 0.017, 0.018, 0.084, 0.184], True),
        ([5.0, 3.0, 2.0, 7.0, 8.0, 9.0, 8.0, 7.0, 9.0, 7.5], True),
    ],
)
def test_ten_losses_that_went_up_and_down_before_say_nothing_with_the_last_two(losses, found):
    assert bool(fires(check, run(loss=np.array(losses)))) is found


@pytest.mark.parametrize(
    ("growth", "records", "level", "first"),
    [(0.7, 1, 6.9, "Decode"), (5.0, 1, 6.9, "Resume"), (0.7, 40, 6.9, "Resume"), (0.7, 1, 5.9, "Resume")],
    ids=["labels", "gradients grow", "step by step", "another level"],
)
def test_a_loss_that_goes_to_a_guess_at_once_asks_for_the_labels_first(growth, records, level, first):
    rng = np.random.default_rng(0)
    loss, norms = falling(500, start=8, floor=3, noise=0.01), np.exp(rng.normal(0, 0.1, 500))
    loss[300:] += (level - loss[300:]) * np.minimum(np.arange(1, 201) / records, 1) + rng.normal(0, 0.03, 200)
    norms[300:] *= growth
    header = {"reference_loss": {"unigram": 6.9}, "model": {"vocab_size": 8000}}
    (found,) = fires(check, run(loss=loss, lr=np.full(500, 6e-4), grad_norm=norms, config=header))
    assert found.advice[0].startswith(first)
    assert any("learning rate" in line for line in found.advice)


@pytest.mark.parametrize(
    ("losses", "severity"),
    [([0.7, 0.8, 0.95, 1.1, 1.25], "WARNING"), ([1, 1.2, 1.5, 2.6], "WARNING"), ([1, 1.5, 2.4, 3.4], "ERROR")],
)
def test_a_few_records_are_an_error_where_they_end_at_three_times_the_lowest(losses, severity):
    (found,) = fires(check, run(every=100, first=100, loss=losses))
    assert found.severity is Severity[severity]
