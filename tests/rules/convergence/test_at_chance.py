"""A loss that stays where guessing leads is found however it came there; what learns, or is low for itself, is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.convergence.at_chance import check
from tests.rules.curves import cosine_lr, falling, fires, flat, healthy, run, series


def falls_to(level: float, n: int, start: float, first: int = 12, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """A loss that falls to a level within its first records, and stays there."""
    return np.r_[np.linspace(start, level, first), np.full(n - first, level)] + level * noise * np.random.default_rng(
        seed
    ).normal(size=n)


def test_the_uniform_guess_is_named_and_an_error():
    (found,) = fires(check, run(loss=flat(10.82, 200, 0.002)))
    assert found.severity is Severity.ERROR
    assert "uniform guess" in found.message


def test_the_severity_does_not_hang_on_the_words():
    severities = {len(loss): fires(check, run(loss=loss))[0].severity for loss in (flat(10.82, 40), flat(10.82, 60))}
    assert severities == {40: Severity.WARNING, 60: Severity.ERROR}


def test_a_fall_to_the_uniform_guess():
    loss = np.r_[np.linspace(13, 10.9, 8), flat(10.8, 15, 0.005)]
    assert len(fires(check, run(loss=loss, lr=np.linspace(1e-4, 1e-5, 23)))) == 1


def test_silent_in_the_first_steps_of_a_warm_up_that_all_are_lower():
    for n in (14, 25, 40):
        loss = 10.9 - 0.03 * np.arange(n)
        for rate in ({}, {"lr": np.linspace(1e-7, 1e-5, n)}):
            assert fires(check, run(loss=loss, **rate)) == []


@pytest.mark.parametrize(("each", "found"), [(1, False), (20, True)])
def test_silent_on_a_trial_of_a_few_steps_that_all_are_lower(each, found):
    """Twenty steps of a loop that was tried out fall by a hundredth, each below the one before; four hundred are stuck."""
    losses = series(10.4 - 0.03 * (np.arange(20) / 19) ** 0.9, each, each)
    assert bool(fires(check, run(loss=losses))) is found


def test_the_uniform_guess_that_the_header_states_kept_during_warm_up():
    loss = np.r_[6.4, flat(np.log(300), 99, 0.002)]
    config = {"model": {"vocab_size": 300}}
    (found,) = fires(check, run(loss=loss, lr=np.linspace(1e-7, 1e-5, 100), config=config))
    assert "a uniform guess over 300 tokens costs (5.704)" in found.message


@pytest.mark.parametrize("noise", [0.01, 0.08])
def test_ln_2_after_a_few_records(noise):
    found = [fires(check, run(loss=falls_to(np.log(2), 3000, 1.1, noise=noise, seed=seed))) for seed in range(5)]
    assert [len(each) for each in found] == [1] * 5
    assert "tossing a coin costs (0.6931)" in found[0][0].message


@pytest.mark.parametrize("level", [0.66, 0.72])
def test_other_levels_that_stay_are_no_guess(level):
    assert fires(check, run(loss=falls_to(level, 3000, 1.1))) == []


def test_a_loss_of_tokens_is_not_held_against_a_coin():
    made = run(loss=falls_to(np.log(2), 300, 1.1), config={"model": {"vocab_size": 32000}})
    assert fires(check, made) == []


@pytest.mark.parametrize(("level", "found"), [(3.0, 1), (2.8, 0)])
def test_the_unigram_loss_that_the_header_states(level, found):
    config = {"model": {"vocab_size": 65}, "reference_loss": {"uniform": 4.17, "unigram": 3.0}}
    assert len(fires(check, run(loss=falls_to(level, 200, 4.2), config=config))) == found


def test_the_unigram_loss_is_that_of_the_evaluation():
    config = {"reference_loss": {"unigram": 3.0}}
    made = run(loss=falls_to(3.1, 200, 4.2), val__loss=series(flat(3.0, 8, 0.001), every=25), config=config)
    assert len(fires(check, made)) == 1


@pytest.mark.parametrize(("start", "level", "found"), [(4.2, 3.2, 1), (4.2, 2.4, 0), (3.6, 3.2, 0)])
def test_one_drop_from_the_uniform_guess_of_characters(start, level, found):
    made = run(loss=falls_to(level, 200, start), config={"model": {"vocab_size": 65}})
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("classes", "found"), [(20, 1), (10, 0)])
def test_the_classes_that_the_header_states(classes, found):
    config = {"model": {"classes": classes}}
    made = run(loss=falls_to(np.log(20), 100, 3.4), objective="classification", config=config)
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("accuracy", "found"), [(0.5, 1), (0.8, 0)])
def test_a_classifier_at_chance_is_seen_without_the_start(accuracy, found):
    loss = np.linspace(0.698, 0.692, 40)
    made = run(loss=loss, accuracy=np.full(40, accuracy), first=8, objective="classification")
    assert len(fires(check, made)) == found


@pytest.mark.parametrize("answers", [3, 20, 400])
@pytest.mark.parametrize(("better", "found"), [(1.0, 1), (1.5, 0)])
def test_an_accuracy_of_guessing_among_any_number_of_answers(answers, better, found):
    scores = np.linspace(0.8, 1, 100) * better / answers * (1 + 0.05 * np.random.default_rng(0).normal(size=100))
    made = run(loss=falls_to(np.log(answers), 100, 1.1 * np.log(answers)), accuracy=scores, objective="classification")
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("scores", "found"), [(np.zeros(60), 1), (np.linspace(0.02, 0.12, 60), 0)])
def test_an_accuracy_that_never_moves(scores, found):
    assert len(fires(check, run(loss=falls_to(4.1, 60, 6.0), accuracy=scores))) == found


@pytest.mark.parametrize(("name", "found"), [("exact_accuracy", 1), ("head_accuracy", 0)])
def test_no_whole_answer_is_right_but_one(name, found):
    scores = np.zeros(100)
    scores[80] = 1 / 32
    loss = np.r_[71.0, 2.2 + np.random.default_rng(0).normal(0, 0.02, 99)]
    assert len(fires(check, run(loss=loss, **{name: scores}))) == found


def test_an_accuracy_of_zero_beside_a_falling_loss_may_be_one_of_whole_answers():
    assert fires(check, run(loss=falling(100), accuracy=np.zeros(100))) == []


@pytest.mark.parametrize(("area", "found"), [(0.5, 1), (0.7, 0)])
def test_a_roc_curve_of_tossing_a_coin(area, found):
    loss = np.r_[0.79, 0.70, np.linspace(0.703, 0.7, 36)]
    made = run(loss=loss, auc=np.full(38, area), accuracy=np.full(38, 0.005), objective="classification")
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("end", "found"), [(0.6932, 1), (0.66, 0)])
def test_training_and_evaluation_that_stay_at_ln_2(end, found):
    loss = np.r_[0.79, 0.72, np.linspace(0.75, 0.6935, 8), np.linspace(0.6935, end, 20)]
    made = run(loss=loss, val__loss=series(np.r_[0.72, np.full(9, 0.6935), np.linspace(0.6935, end, 20)]))
    assert len(fires(check, made)) == found


def test_more_than_token_frequencies_cost():
    loss = np.linspace(9.4, 8.6, 100)
    (found,) = fires(check, run(loss=loss, every=100))
    assert found.message.startswith(
        "The loss falls only to 8.697 in 100 records, after 9.4 in the first: after 9,900 steps still more"
    )
    assert "guessing by token frequency costs" in found.message
    assert fires(check, run(loss=flat(9.4, 100, 0.002), every=100))[0].message.startswith("The loss stays at 9.4")


def test_silent_on_a_slow_fall_while_the_rates_still_rise():
    loss = np.linspace(9.4, 8.2, 40)
    assert fires(check, run(loss=loss, every=50, lr=np.linspace(7.5e-6, 3e-4, 40))) == []
    assert len(fires(check, run(loss=loss, every=50, lr=np.full(40, 3e-4)))) == 1


@pytest.mark.parametrize("counted", [{"tokens": 8192.0 * np.arange(1, 301)}, {"ppl": np.full(300, 2.0)}])
def test_what_counts_tokens_is_not_held_against_a_coin(counted):
    loss = falls_to(np.log(2), 300, 0.75)
    assert len(fires(check, run(loss=loss))) == 1
    assert fires(check, run(loss=loss, **counted)) == []


@pytest.mark.parametrize(("end", "found"), [(0.6935, 1), (0.6905, 0)])
def test_what_costs_surely_less_than_a_coin_tosses_none(end, found):
    assert len(fires(check, run(loss=falls_to(end, 400, 0.71, noise=0.01)))) == found


@pytest.mark.parametrize("seed", range(5))
def test_silent_on_a_fine_tune_that_falls_over_its_first_fifth_from_near_ln_2(seed):
    loss = np.log(2) + 0.05 * np.exp(-np.arange(150) / 12) + np.random.default_rng(seed).normal(0, 0.004, 150)
    assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize("seed", range(10))
def test_silent_on_a_fine_tune_that_falls_to_ln_2_in_a_fifth_of_its_records(seed):
    loss = np.log(2) + 0.3 * np.exp(-np.arange(120) / 8) + np.random.default_rng(seed).normal(0, 0.006, 120)
    assert fires(check, run(loss=loss)) == []


def test_the_first_steps_of_a_long_run_are_not_judged():
    made = run(loss=flat(10.5, 20), config={"max_steps": 100_000})
    assert [type(said) for said in check.look(made)] == [NotChecked]


@pytest.mark.parametrize("n", [12, 30, 100, 1000])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_silent_on_learning(n, noise):
    for seed in range(5):
        assert fires(check, run(loss=falling(n, noise=noise, seed=seed), lr=cosine_lr(n))) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(100)) == []


def test_a_summed_loss_is_held_against_no_guess():
    made = run(loss=flat(10.82, 100), val__loss=series(flat(2.7, 10), every=10))
    assert fires(check, made) == []


@pytest.mark.parametrize(
    ("first", "level", "known", "found"),
    [(21_500, 7.63, True, 1), (2_000, 7.63, True, 0), (21_500, 6.5, True, 0), (21_500, 7.63, False, 0)],
)
def test_token_frequencies_in_a_log_that_begins_late(first, level, known, found):
    loss = series(flat(level, 12, 0.004), every=500, first=first)
    perplexity = {"ppl": series(np.exp(loss.values), every=500, first=first)} if known else {}
    assert len(fires(check, run(loss=loss, **perplexity))) == found


def test_a_late_part_that_learns_is_left_alone():
    loss = series(np.linspace(7.9, 7.4, 12), every=500, first=21_500)
    assert fires(check, run(loss=loss, ppl=series(np.exp(loss.values), every=500, first=21_500))) == []


@pytest.mark.parametrize(
    ("evaluations", "found"), [((0.696, 0.702, 0.697, 0.694), 1), ((0.68, 0.67, 0.66, 0.66), 0), ((), 0)]
)
def test_a_loss_that_memorises_a_little_beside_an_evaluation_never_below_ln_2(evaluations, found):
    loss = np.linspace(0.6935, 0.6875, 130) + np.random.default_rng(0).normal(0, 0.002, 130)
    evaluated = {"val__loss": series(evaluations, every=30, first=30)} if evaluations else {}
    assert len(fires(check, run(loss=loss, **evaluated))) == found


@pytest.mark.parametrize(("first", "last", "found"), [(0.73, 0.694, 1), (0.73, 0.66, 0), (0.9, 0.694, 0)])
def test_many_records_that_begin_near_ln_2_and_end_there(first, last, found):
    """Batches of a classifier that learns nothing: the fall from 0.73 undoes the initialisation."""
    fall = last + (first - last) * np.exp(-np.arange(4000) / 900)
    loss = fall * np.exp(np.random.default_rng(0).normal(0, 0.05, 4000))
    assert len(fires(check, run(loss=loss))) == found


@pytest.mark.parametrize(
    ("kind", "accuracy", "end", "found"),
    [
        ("epoch", 0.066, 8.6, 1),
        ("step", 0.066, 8.6, 0),
        ("epoch", 0.16, 8.6, 0),
        ("epoch", 0.066, 7.5, 0),
    ],
)
def test_many_epochs_that_leave_no_more_tokens_right(kind, accuracy, end, found):
    """A translator that learns only how often each token occurs: from 11.2 nats to 8.6 in fifty epochs."""
    loss = end + (11.2 - end) * np.exp(-np.arange(52) / 15)
    scores = accuracy * (1 + 0.0005 * np.arange(52))
    made = replace(run(loss=loss, accuracy=scores), step_kind=kind)
    assert len(fires(check, made)) == found


def test_silent_on_epochs_in_which_the_accuracy_grows():
    loss = 8.6 + 2.6 * np.exp(-np.arange(52) / 15)
    made = replace(run(loss=loss, accuracy=np.linspace(0.04, 0.1, 52)), step_kind="epoch")
    assert fires(check, made) == []


SWINGS = 9.2 + 1.4 * np.sin(np.arange(12))


@pytest.mark.parametrize(
    ("first", "losses", "accuracy", "found"),
    [
        (12_000, SWINGS, 0.04, 1),
        (8_000, SWINGS, 0.04, 0),
        (12_000, SWINGS, 0.2, 0),
        (12_000, SWINGS - 1.5, 0.04, 0),
        (12_000, np.linspace(9.5, 7.2, 12), 0.04, 0),
    ],
)
def test_a_loss_that_swings_above_any_that_is_left_after_ten_thousand_steps(first, losses, accuracy, found):
    made = run(loss=losses, accuracy=np.full(12, accuracy), ppl=np.exp(losses), first=first, every=50)
    said = fires(check, made)
    assert len(said) == found
    assert all(each.message.startswith("The loss is never below 7.8") for each in said)


@pytest.mark.parametrize("seed", range(5))
def test_silent_where_batches_differ_as_those_of_no_guess_do(seed):
    loss = 9.4 * np.exp(np.random.default_rng(seed).normal(0, 0.2, 600))
    assert fires(check, run(loss=loss, lr=np.linspace(2e-4, 1e-4, 600), config={"grad_accum": 8})) == []


def test_a_sum_over_accumulation_steps_is_named():
    loss = (12.0 - np.arange(1200) / 1200) * np.exp(np.random.default_rng(0).normal(0, 0.05, 1200))
    (found,) = fires(check, run(loss=loss, lr=np.linspace(2e-4, 1e-4, 1200), config={"grad_accum": 8}))
    assert "unless it is the sum over 8 accumulation steps, of which each would be 1.39" in found.message


def test_a_loss_that_swings_stays_nowhere():
    losses = np.array([21.0, 17.0, 14.0, 22.0, 31.0, 39.0])
    (found,) = fires(check, run(every=100, loss=losses, ppl=np.exp(losses)))
    assert "is never below 14 in 6 records" in found.message


LIKELY = [-0.262, -0.251, -0.253, -0.249, -0.252, -0.25]


@pytest.mark.parametrize(
    ("losses", "accuracies", "found"),
    [
        (LIKELY, [0.251, 0.249, 0.25, 0.252, 0.249, 0.251], 1),
        (LIKELY, [0.24, 0.25, 0.27, 0.31, 0.36, 0.41], 0),
        ([-0.25, -0.26, -0.27, -0.27, -0.272, -0.274], [0.251, 0.249, 0.25, 0.252, 0.249, 0.251], 0),
        (LIKELY, [0.351, 0.349, 0.35, 0.352, 0.349, 0.351], 0),
        ([-1.7, -1.6, -1.7, -1.6, -1.7, -1.6], [0.251, 0.249, 0.25, 0.252, 0.249, 0.251], 0),
    ],
    ids=["guesses", "learns", "likelier", "knows more", "no likelihood"],
)
def test_a_loss_of_likelihoods_without_their_logarithm(losses, accuracies, found):
    made = run(loss=losses, val__accuracy=accuracies, objective="signed")
    assert len(fires(check, made)) == found
