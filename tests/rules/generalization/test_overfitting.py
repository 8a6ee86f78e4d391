"""An evaluation that rises while training falls is overfitting; noise, luck and divergence are not."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.generalization.overfitting import check
from lmdiag.run import Run
from tests.rules.curves import falling, fires, healthy, overfit, pairs, run, series


@pytest.mark.parametrize("seed", range(5))
def test_fires_at_the_best_evaluation(seed):
    (found,) = fires(check, overfit(seed=seed))
    assert (found.first_step, found.last_step) == (500, 1200)
    assert found.severity is Severity.ERROR
    assert "step 500" in found.advice[0]


def test_two_evaluations_after_the_best_are_enough():
    assert len(fires(check, run(val__loss=series([2.0, 2.3, 2.6])))) == 1


@pytest.mark.parametrize(("noise", "found"), [(0.02, 1), (0.2, 0)])
def test_the_last_of_a_few_evaluations_may_be_enough(noise, found):
    losses = series([2.5, 2.2, 2.1, 3.0], every=100, first=100)
    made = run(loss=falling(400, start=3, floor=2, noise=noise), val__loss=losses)
    assert [f.severity for f in fires(check, made)] == found * [Severity.WARNING]


def test_one_evaluation_that_stands_out_near_the_best_hides_no_rise():
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        losses = np.r_[np.geomspace(2.2, 1.4, 5), np.linspace(1.35, 1.9, 15)] + rng.normal(0, 0.08, 20)
        losses[6] += 0.5
        made = run(loss=np.linspace(2.2, 0.3, 2000), val__loss=series(losses, every=100, first=100))
        found += len(fires(check, made))
    assert found >= 11  # 8 where a single high evaluation counts


@pytest.mark.parametrize("evaluations", [45, 80, 150])
def test_a_rise_that_flattens_is_not_taken_for_wander(evaluations):
    x = np.arange(evaluations) / evaluations
    rise = 0.5 * (1 - np.exp(-np.maximum(x - 0.1, 0) / 0.3))
    losses = 0.8 + 0.7 * np.exp(-x / 0.03) + rise + np.random.default_rng(evaluations).normal(0, 0.003, evaluations)
    (found,) = fires(check, run(val__loss=series(losses, every=100, first=100)))
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize("evaluations", [12, 20, 50])
def test_one_evaluation_that_stands_out_is_no_rise(evaluations):
    alarmed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        losses = np.geomspace(3, 2, evaluations) + rng.normal(0, 0.03, evaluations)
        losses[rng.integers(1, evaluations)] += 0.5
        made = run(loss=np.geomspace(3, 1.5, 100 * evaluations), val__loss=series(losses, every=100, first=100))
        alarmed += len(fires(check, made))
    assert alarmed <= 2


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("evaluations", [6, 12, 25, 100, 500])
@pytest.mark.parametrize("falls", [0.0, 0.3])
def test_the_best_of_many_noisy_evaluations_is_lucky(noise, evaluations, falls):
    level = 3.0 * (1 - falls * np.linspace(0, 1, evaluations))
    alarmed = 0
    for seed in range(100):
        noisy = level * np.exp(np.random.default_rng(seed).normal(0, noise, evaluations))
        alarmed += len(fires(check, run(val__loss=series(noisy, every=10))))
    assert alarmed <= 2  # 0.5% and less: more than two of a hundred would be as rare as one in 70


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_silent_on_noisy_evaluations_at_their_floor(noise):
    for seed in range(10):
        losses = falling(40, start=4, floor=2, noise=noise, seed=seed)
        assert fires(check, run(val__loss=series(losses, every=100))) == []


def test_evaluations_that_wander_are_not_told_for_more_than_they_are():
    """Of one model every few steps neighbours are alike, and a slow wave is no rise."""
    alarmed = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 0.6 * 0.04, 150)
        for i in range(1, 150):
            noise[i] += 0.8 * noise[i - 1]
        flat = np.r_[np.geomspace(3, 2, 75), np.full(75, 2.0)] + noise
        made = run(loss=np.geomspace(3, 1, 3000), val__loss=series(flat, every=20, first=20))
        alarmed += any(found.alarms for found in fires(check, made))
    assert alarmed <= 1


def test_silent_when_training_rises_too():
    losses = series(np.r_[np.linspace(5, 3, 6), np.linspace(3.2, 5, 6)], every=100, first=100)
    training = np.r_[np.linspace(5, 3, 600), np.linspace(3, 5, 600)]
    assert fires(check, run(loss=training, val__loss=losses)) == []


def in_sets(*levels, noise: float = 0.005, seed: int = 0):
    """A run with evaluations of several sets, `set0` to `set9`, beside a loss that hardly falls."""
    rng = np.random.default_rng(seed)
    sets = {
        f"set{k}__loss": series(at * np.exp(rng.normal(0, noise, len(at))), 100, 100) for k, at in enumerate(levels)
    }
    return run(loss=falling(100 * len(levels[0]), start=2.2, floor=1.8), **sets)


LEARNED = np.linspace(2.4, 1.8, 10)


FORGOTTEN = np.r_[np.linspace(2.05, 2.0, 3), np.linspace(2.03, 2.2, 7)]


@pytest.mark.parametrize("seed", range(5))
def test_one_of_several_sets_that_is_forgotten_is_named(seed):
    (found,) = fires(check, in_sets(LEARNED, FORGOTTEN, 1.1 * LEARNED, seed=seed))
    assert (found.metric, found.severity) == ("set1/loss", Severity.WARNING)
    assert found.first_step in (200, 300, 400)
    assert "Meanwhile set0/loss fell to" in found.message or "Meanwhile set2/loss fell to" in found.message


def test_a_set_beside_the_evaluation_is_forgotten():
    made = in_sets(LEARNED, FORGOTTEN)
    made = run(loss=made["loss"], val__loss=made["set0/loss"], wiki__loss=made["set1/loss"])
    (found,) = fires(check, made)
    assert found.metric == "wiki/loss"


def test_a_set_that_was_best_before_training_is_forgotten():
    (found,) = fires(check, in_sets(LEARNED, 2 + 0.3 * (1 - np.exp(-np.arange(10) / 3))))
    assert (found.metric, found.first_step) == ("set1/loss", 100)


def test_the_mean_of_sets_that_all_rise_is_judged():
    (found,) = fires(check, in_sets(FORGOTTEN, 1.2 * FORGOTTEN))
    assert (found.metric, found.first_step) == ("val/loss", 300)


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
def test_silent_on_sets_that_fall_stay_or_come_back(noise):
    hump = 2 + 0.15 * np.exp(-(((np.arange(10) - 3) / 1.5) ** 2))
    for seed in range(20):
        assert fires(check, in_sets(LEARNED, np.full(10, 2.0), hump, noise=noise, seed=seed)) == []


def test_noise_without_end_is_not_told():
    exact = run(loss=falling(1000), val__loss=series(np.r_[4.0, 3.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5]))
    (found,) = fires(check, exact)
    assert ("times_its_noise" in found.evidence) == ("times its noise" in found.message)


def test_silent_on_healthy_runs():
    assert fires(check, healthy(400)) == []


def test_bits_per_byte_stand_in_for_an_evaluation_loss():
    made = overfit()
    bits = run(loss=made["loss"], val__bpb=made["val/loss"])
    (found,) = fires(check, bits)
    assert (found.metric, found.first_step) == ("val/bpb", 500)
    assert bits.evaluation_loss is None


def test_a_best_evaluation_never_reached_again_needs_no_trend():
    losses = [0.22, 0.416, 0.423, 0.41, 0.438, 0.402]
    (found,) = fires(check, run(loss=np.full(60, 0.17), val__loss=series(losses, every=10, first=10)))
    assert found.first_step == 10


def test_a_training_loss_lower_by_chance_does_not_speak_for_a_rise():
    """Five evaluations of 5% noise, beside a training loss whose records scatter by a seventh and do not fall."""
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        losses = 1.5 * np.exp(rng.normal(0, 0.15, 15))
        evaluations = series(1.5 * np.exp(rng.normal(0, 0.05, 5)), every=3, first=3)
        found += len(fires(check, run(loss=losses, val__loss=evaluations)))
    assert found <= 2


@pytest.mark.parametrize(("last_training_loss", "found"), [(0.01, 1), (0.9, 0)])
def test_one_evaluation_after_the_best_is_enough_where_training_is_memorised(last_training_loss, found):
    made = run(loss=np.linspace(3, last_training_loss, 30), val__loss=series([3.1, 1.0, 1.2], every=10, first=10))
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("last_training_loss", "found"), [(0.02, 1), (0.15, 0)])
def test_few_evaluations_are_enough_where_training_is_memorised(last_training_loss, found):
    """The five epochs of a small classifier: the noise of its evaluations alone could explain the rise."""
    made = run(loss=np.geomspace(0.28, last_training_loss, 5), val__loss=series([0.19, 0.195, 0.277, 0.268, 0.285]))
    assert len(fires(check, made)) == found


def test_of_pairs_the_level_must_rise_and_not_a_few_lucky_evaluations():
    rng = np.random.default_rng(0)
    at = {"every": 20, "first": 20}
    falling_pairs = np.linspace(0.32, 0.2, 50) * np.exp(rng.normal(0, 0.3, 50))
    falling_pairs[[31, 32]] = 0.05
    assert fires(check, pairs(1000, val__loss=series(falling_pairs, **at))) == []
    risen = np.r_[np.linspace(0.6, 0.2, 13), np.full(37, 0.36)] * np.exp(rng.normal(0, 0.05, 50))
    settled = series(np.full(50, 0.8), **at)
    (found,) = fires(check, pairs(1000, val__loss=series(risen, **at), val__reward_accuracy=settled))
    assert found.severity is Severity.ERROR
    (found,) = fires(check, pairs(1000, val__loss=series(risen, **at)))  # more and more of them are ranked correctly
    assert found.severity is Severity.WARNING
    assert "if val/reward_accuracy counts" in found.advice[0]


def test_a_loss_that_jumps_and_stays_there_is_no_wander():
    shape = np.r_[np.linspace(0.6, 0.2, 13), np.full(5, 0.22), np.full(20, 0.43), np.full(12, 0.34)]
    noise = [np.exp(np.random.default_rng(seed).normal(0, 0.03, 50)) for seed in range(20)]
    jumped = [fires(check, pairs(1000, val__loss=series(shape * made, every=20, first=20))) for made in noise]
    assert sum(map(bool, jumped)) >= 10
    shape[38:] = 0.21
    back = [fires(check, pairs(1000, val__loss=series(shape * made, every=20, first=20))) for made in noise]
    assert not any(back)


def perplexities(trained: float, evaluated: float, n: int = 1):
    ppl = {"ppl": np.full(n, trained), "val__ppl": series(np.full(n, evaluated))}
    return run(**ppl, loss=np.log(ppl["ppl"]), val__loss=series(np.full(n, np.log(evaluated))))


@pytest.mark.parametrize("n", [1, 4])
def test_a_perplexity_of_thousands_beside_one_of_1(n):
    (found,) = fires(check, perplexities(1.02, 90_000.0, n))
    assert "known by heart" in found.message
    assert found.severity is Severity.WARNING
    assert fires(check, perplexities(1.02, 40.0, n)) == []
    assert fires(check, perplexities(30.0, 90_000.0, n)) == []


@pytest.mark.parametrize(
    ("trained", "evaluated", "n", "found"),
    [(1.0015, 6.6, 1, 1), (1.0015, 6.6, 2, 1), (1.0015, 6.6, 4, 0), (1.0015, 2.0, 1, 0), (1.02, 6.6, 1, 0)],
)
def test_text_known_to_the_last_token_beside_an_evaluation_that_is_not(trained, evaluated, n, found):
    assert len(fires(check, perplexities(trained, evaluated, n))) == found


@pytest.mark.parametrize(("factor", "judged"), [(8.0, False), (7000.0, False), (2.5, True)])
def test_evaluations_that_jump_about_are_not_judged(factor, judged):
    high = np.isin(np.arange(40), [23, 27, 31, 35, 38, 39])
    losses = 0.7 * factor**high * np.exp(np.random.default_rng(0).normal(0, 0.05, 40))
    said = [type(each) for each in check.look(run(val__loss=series(losses)))]
    assert (NotChecked not in said) is judged


def test_a_rise_that_never_comes_back_is_judged_however_steep():
    assert len(fires(check, run(val__loss=series(np.r_[np.linspace(3, 2, 10), 2.0 * 5.0 ** np.arange(10)])))) == 1


@pytest.mark.parametrize(
    ("after", "found"), [([1.16, 1.21, 1.15, 1.24], 1), ([1.16, 0.92, 1.15, 1.24], 0), ([1.16, 1.21, 1.15], 0)]
)
def test_a_jump_of_a_few_evaluations_is_no_noise(after, found):
    losses = series([1.31, 1.26, 1.17, 0.93, 0.94, 0.86, *after], every=50, first=50)
    trained = [1.35, 1.3, 1.26, 1.1, 0.77, 0.78, 0.56, 0.62, 0.55, 0.56][: len(losses)]
    assert len(fires(check, run(loss=series(trained, every=50, first=50), val__loss=losses))) == found


@pytest.mark.parametrize(
    ("since", "found"), [([3.12, 3.3, 3.5, 3.68], 1), ([3.12, 3.3, 3.25, 3.68], 0), ([3.04, 3.07, 3.11, 3.14], 0)]
)
def test_a_few_even_rises_are_no_noise_where_the_training_loss_is_flat(since, found):
    losses = series([5.3, 3.8, 3.2, 3.0, *since], every=1000, first=1000)
    made = run(loss=series(3.1 + 6.8 * np.exp(-np.arange(80) / 14), every=100, first=100), val__loss=losses)
    found_ones = fires(check, made)
    assert [(one.severity, one.first_step) for one in found_ones] == [(Severity.ERROR, 4000)] * found


def test_what_a_few_evaluations_do_not_tell_is_said_in_true_numbers():
    losses = series([5.3, 3.8, 3.2, 3.0, 3.12, 3.5, 3.4, 3.68], every=1000, first=1000)
    (said,) = check.look(run(loss=np.full(60, 3.1), val__loss=losses))
    assert "the last 3 on average 18% above the best" in said.why  # 3.527


def test_no_finite_training_loss_hides_no_rise():
    made = overfit()
    (found,) = fires(check, Run("a", {**made.series, "loss": series([np.nan] * 12, every=100, first=100)}))
    assert found.first_step == 500
    risen = [0.05, 0.3, 0.4, 0.45, 0.5]
    made = run(loss=series([np.nan] * 5, every=100, first=0), val__loss=series(risen, every=100, first=0))
    assert fires(check, made)[0].first_step == 0
