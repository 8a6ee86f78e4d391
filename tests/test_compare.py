"""A worse run is caught, another seed is not, and what cannot be compared is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.compare import compare, direction_of, loss_unit, verdict_of
from lmdiag.errors import LmdiagError
from lmdiag.reports.comparison import as_text as text
from lmdiag.run import Run, Series
from tests.rules.curves import pairs, policy


def make(seed=0, worse=0.0, n=1000, noise=0.03, every=50, tokens=1024, **config):
    """A run of a power law; its seed shifts the whole curve a little, as a seed does."""
    random = np.random.default_rng(seed)
    steps = np.arange(1, n + 1)
    smooth = (2.5 + 7.5 * (1 + steps / 10) ** -0.9) * (1 + worse) * (1 + random.normal(0, 0.002))
    train = smooth * np.exp(random.normal(0, noise, n))
    val = (smooth * 1.01 * np.exp(random.normal(0, noise / 10, n)))[every - 1 :: every]
    series = {"loss": Series(steps, train), "val/loss": Series(steps[every - 1 :: every], val)}
    return Run(f"seed {seed}", series, config={"batch_tokens": tokens, **config})


BASE = [make(seed) for seed in range(3)]


@pytest.mark.parametrize("baselines", [1, 2, 3])
def test_another_seed_is_no_regression(baselines):
    verdicts = [verdict_of(compare(BASE[:baselines], make(seed))) for seed in range(10, 40)]
    assert verdicts == ["no-regression"] * 30


@pytest.mark.parametrize("baselines", [1, 3])
def test_a_run_two_percent_worse_is_caught(baselines):
    caught = [verdict_of(compare(BASE[:baselines], make(seed, worse=0.02))) == "regression" for seed in range(10, 30)]
    assert sum(caught) >= (14 if baselines == 1 else 18)


def test_five_evaluations_are_enough_and_four_are_not():
    base, others = [make(seed, every=200) for seed in range(3)], [make(seed, every=200) for seed in range(10, 25)]
    evaluations = [compare(base, run, metrics=["val/loss"])[0].verdict for run in others]
    assert evaluations == ["no-regression"] * 15
    worse = [
        compare(base, make(seed, every=200, worse=0.02), metrics=["val/loss"])[0].verdict for seed in range(10, 25)
    ]
    assert worse.count("regression") >= 13
    sparse = compare([make(1, every=250)], make(2, every=250), metrics=["val/loss"])[0]
    assert (sparse.verdict, sparse.why) == ("cannot-tell", "a curve has fewer than 5 points")


@pytest.mark.parametrize("worse", [0.04, 0.2, 2.0])
def test_a_much_worse_run_is_always_caught(worse):
    for seed in range(10, 20):
        found = compare(BASE[:1], make(seed, worse=worse))
        assert verdict_of(found) == "regression"
        assert found[0].tail.difference == pytest.approx(worse, rel=0.05, abs=0.02)


def test_the_tolerance_is_respected():
    worse = make(10, worse=0.03)
    assert verdict_of(compare(BASE, worse, tolerance=0.05)) == "no-regression"
    assert verdict_of(compare(BASE, worse, tolerance=0.01)) == "regression"


@pytest.mark.parametrize(("worse", "direction"), [(-0.1, "better"), (-0.02, "better"), (0.0, "alike"), (0.03, "worse")])
def test_it_is_told_which_is_the_better_one(worse, direction):
    found = compare(BASE, make(10, worse=worse))
    assert direction_of(found) == direction
    low, high = found[-1].tail.interval
    assert low < worse < high


def test_another_seed_is_seldom_called_better():
    called = [direction_of(compare(BASE, make(seed))) for seed in range(10, 60)]
    assert called.count("better") <= 5  # of 50, at one-sided 5%
    assert "worse" not in called


def test_a_run_that_is_worse_only_midway_is_caught():
    run = make(10)
    loss = run["loss"]
    bump = np.where((loss.steps > 350) & (loss.steps < 600), 1.2, 1.0)
    bumped = Run("bumped", {"loss": Series(loss.steps, loss.values * bump)}, config=run.config)
    [found] = compare(BASE, bumped)
    assert found.verdict == "regression"
    assert [w.worse for w in found.windows] == [False, False, False, True, False, False]


def test_runs_of_other_batch_sizes_are_aligned_by_tokens():
    run = make(10)
    halved = {m: Series(s.steps * 2, s.values) for m, s in run.series.items()}
    twice_the_steps = Run("small batches", halved, config={"batch_tokens": 512})
    found = compare(BASE, twice_the_steps)
    assert {c.axis for c in found} == {"tokens"}
    assert verdict_of(found) == "no-regression"


def test_without_tokens_steps_are_compared():
    runs = [Run(r.name, r.series) for r in (*BASE, make(10))]
    found = compare(runs[:-1], runs[-1])
    assert {c.axis for c in found} == {"step"}
    assert verdict_of(found) == "no-regression"


def test_a_shorter_candidate_is_compared_as_far_as_it_goes():
    found = compare(BASE, make(10, n=500))
    assert verdict_of(found) == "no-regression"
    assert found[0].coverage == pytest.approx(0.5)


def test_a_candidate_that_ends_early_never_passes():
    found = compare(BASE, make(10, n=400))
    assert verdict_of(found) == "cannot-tell"
    assert found[0].why == "the candidate ends after 40% of the baselines"
    assert verdict_of(compare(BASE, make(10, n=400, worse=0.1))) == "regression"


def test_too_little_or_too_noisy_is_not_told():
    assert verdict_of(compare([make(0, n=7)], make(1, n=7))) == "cannot-tell"
    found = compare([make(0, n=40, noise=0.8)], make(1, n=40, noise=0.8), metrics=["loss"])
    assert verdict_of(found) == "cannot-tell"
    assert found[0].why.startswith("too noisy to tell: ")


def test_a_candidate_that_is_far_better_passes_however_noisy_the_runs_are():
    found = compare([make(0, n=40, noise=0.8)], make(1, n=40, noise=0.8, worse=-0.9), metrics=["loss"])
    assert found[0].tail.margin > 0.02
    assert verdict_of(found) == "no-regression"


def test_a_candidate_that_is_not_finite_is_worse():
    run = make(10)
    values = run["loss"].values.copy()
    values[800:] = np.nan
    [found] = compare(BASE, Run("nan", {"loss": Series(run["loss"].steps, values)}, config=run.config))
    assert (found.verdict, found.why) == ("regression", "the candidate is not finite from 820,224 tokens on")


def test_other_tokenizers_are_compared_in_bits_per_byte_or_not_at_all():
    a, b = make(0, model={"vocab_size": 100}), make(1, model={"vocab_size": 500})
    with pytest.raises(LmdiagError, match=r"different tokenizers \(vocabularies of 100, 500 tokens\)"):
        compare([a], b)
    a, b = (make(s, model={"vocab_size": v}, bytes_per_token=t) for s, v, t in ((0, 100, 1.0), (1, 500, 3.0)))
    unit, scales = loss_unit([a, b])
    assert unit == "bits per byte"
    assert scales[0] / scales[1] == pytest.approx(3.0)
    assert verdict_of(compare([a], b)) == "no-regression"
    assert verdict_of(compare([b], a)) == "regression"


@pytest.mark.parametrize(
    "header",
    [{"model": "gpt2"}, {"model": {"vocab_size": [1]}}, {"bytes_per_token": "many"}, {"bytes_per_token": -1.0}],
)
def test_a_header_that_says_nothing_of_the_tokenizer_is_no_hindrance(header):
    assert loss_unit([BASE[0], make(1, **header)])[0] == "nats per token"


@pytest.mark.parametrize(("base", "other", "told"), [(1e-320, 2.0, "worse"), (2.0, 1e-320, "better")])
def test_losses_as_good_as_zero_are_compared(base, other, told):
    runs = [Run("a", {"loss": Series(np.arange(1, 101), np.full(100, level))}) for level in (base, other)]
    found = compare(runs[:1], runs[1])
    assert direction_of(found) == told
    assert np.isfinite(found[0].tail.interval).all()


def test_only_the_loss_of_tokens_is_in_nats_per_token():
    runs = [pairs(200, seed, reward_margin=None, val__reward_accuracy=None) for seed in range(3)]
    units = {found.metric: found.unit for found in compare(runs[:2], runs[2])}
    assert units.pop("loss") == ""
    assert "nats per token" not in units.values()
    assert "  loss: " in text(compare(runs[:2], runs[2]), runs[:2], runs[2])
    assert compare(BASE[:1], BASE[1])[0].unit == "nats per token"


def test_runs_without_a_common_loss_are_refused():
    with pytest.raises(LmdiagError, match="no loss in common"):
        compare([Run("a", {"lr": Series(np.arange(9), np.ones(9))})], BASE[0])
    with pytest.raises(LmdiagError, match="has no accuracy"):
        compare(BASE[:1], BASE[1], metrics=["accuracy"])


class TestRewards:
    def compared(self, reward, **metrics):
        baselines = [policy(200, seed) for seed in range(3)]
        return compare(baselines, policy(200, 9, reward=reward, **metrics))

    def test_a_policy_is_compared_by_its_reward_and_not_by_its_loss(self):
        same = policy(200, 7)["reward"].values
        (found,) = self.compared(same, loss=np.linspace(0, 9, 200))
        assert (found.metric, found.unit) == ("reward", "range of the baselines, + is worse")
        assert found.verdict != "regression"

    def test_a_tolerance_that_is_said_to_pass_does(self):
        baselines = [policy(200, seed) for seed in range(3)]
        (found,) = compare(baselines, policy(200, 9))
        assert found.verdict == "cannot-tell"
        share = int(re.search(r"a tolerance of (\d+)% would pass", found.why)[1]) / 100
        assert compare(baselines, policy(200, 9), tolerance=share)[0].verdict == "no-regression"
        assert compare(baselines, policy(200, 9), tolerance=share - 0.01)[0].verdict == "cannot-tell"

    @pytest.mark.parametrize("shift", [0.0, -3.0])
    def test_a_lower_reward_is_a_regression_whatever_its_sign(self, shift):
        low = np.r_[np.linspace(0.2, 0.3, 200)] + np.random.default_rng(1).normal(0, 0.05, 200)
        baselines = [policy(200, seed, reward=policy(200, seed)["reward"].values + shift) for seed in range(3)]
        (found,) = compare(baselines, policy(200, 9, reward=low + shift))
        assert found.verdict == "regression"
        ends = [run["reward"].values[-20:].mean() for run in baselines]
        span = np.ptp(np.concatenate([run["reward"].values for run in baselines]))
        lower = (np.mean(ends) - (low + shift)[-20:].mean()) / span
        assert found.tail.difference == pytest.approx(lower, abs=0.01)
        assert found.tail.interval == pytest.approx((lower - found.tail.margin, lower + found.tail.margin), abs=0.01)

    @pytest.mark.parametrize(("change", "verdict"), [(-0.1, "regression"), (0.1, "no-regression")])
    def test_a_higher_accuracy_is_better(self, change, verdict):
        scores = [0.3 + 0.4 * np.linspace(0, 1, 200) + np.random.default_rng(s).normal(0, 0.01, 200) for s in range(4)]
        *baselines, candidate = [policy(200, s, accuracy=values) for s, values in enumerate(scores)]
        candidate = policy(200, 3, accuracy=scores[3] + change * np.linspace(0, 1, 200))
        (found,) = compare(baselines, candidate, metrics=["accuracy"])
        assert found.verdict == verdict

    def test_preferences_are_compared_by_margin_and_evaluation_accuracy(self):
        found = compare([pairs(200, seed) for seed in range(3)], pairs(200, 9))
        assert [one.metric for one in found] == ["reward_margin", "val/reward_accuracy"]
        assert verdict_of(found) != "regression"

    def test_a_loss_that_a_few_pairs_raise_is_no_regression_of_preferences(self):
        """The loss of a wrong pair grows with how sure the policy is: the accuracy and the margin tell whether it is worse."""
        baselines = [pairs(200, seed) for seed in range(3)]
        raised = pairs(200, 9)["loss"].values * 1.3
        same = {
            "reward_margin": baselines[0]["reward_margin"].values,
            "val__reward_accuracy": baselines[0]["val/reward_accuracy"],
        }
        assert verdict_of(compare(baselines, pairs(200, 9, loss=raised, **same), tolerance=0.2)) == "no-regression"

    def test_a_lower_evaluation_accuracy_is_a_regression_however_the_margin_grows(self):
        baselines = [pairs(200, seed) for seed in range(3)]
        at = baselines[0]["val/reward_accuracy"].steps
        overfit = {
            "reward_margin": baselines[0]["reward_margin"].values * 2,
            "val__reward_accuracy": Series(at, np.linspace(0.6, 0.5, 10)),
        }
        found = compare(baselines, pairs(200, 9, **overfit))
        assert {one.metric: one.verdict for one in found}["val/reward_accuracy"] == "regression"
        assert verdict_of(found) == "regression"

    def test_preferences_without_accuracy_are_compared_by_the_margins_of_evaluations(self):
        at, grown = pairs(200, 0)["val/loss"].steps, np.linspace(0, 1.5, 10)
        runs = [pairs(200, seed, val__reward_accuracy=None, val__reward_margin=Series(at, grown)) for seed in range(3)]
        assert [one.metric for one in compare(runs[:2], runs[2])] == ["reward_margin", "val/reward_margin"]


@pytest.mark.parametrize(
    "candidate", [pairs(1000, reward_margin=None), replace(make(3), objective="masked-lm")], ids=["pairs", "masked"]
)
@pytest.mark.parametrize("metrics", [(), ("loss",)])
def test_losses_of_other_objectives_are_not_compared(candidate, metrics):
    found = compare(BASE[:1], candidate, metrics=metrics)
    assert verdict_of(found) == verdict_of(compare([candidate], BASE[0], metrics=metrics)) == "cannot-tell"
    assert "different objectives" in found[0].why


@pytest.mark.parametrize(
    "same", [pairs(200, 1), policy(100, 2), make(noise=0.5, n=20, every=5)], ids=["pairs", "policy", "short"]
)
def test_a_run_is_no_worse_than_an_equal_one(same):
    found = compare([same], same)
    assert (verdict_of(found), direction_of(found)) == ("no-regression", "alike")
    assert all(each.why == "every value is the same" for each in found)


def test_losses_of_bytes_are_in_nats_per_byte_and_not_compared_with_those_of_tokens():
    def of_bytes(run: Run) -> Run:
        return replace(run, series={name: replace(s, source_unit="bits per byte") for name, s in run.series.items()})

    found = compare([of_bytes(BASE[0])], of_bytes(BASE[1]))
    assert [each.unit for each in found] == ["nats per byte"] * 2
    with pytest.raises(LmdiagError, match="loss is in nats per byte and in nats per token"):
        compare([of_bytes(BASE[0])], BASE[1])
