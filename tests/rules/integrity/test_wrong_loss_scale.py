"""A loss that starts and stays far above ln V is a multiple of nats per token; a bad initialisation is not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.integrity.wrong_loss_scale import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run, series

GPT2 = {"model": {"vocab_size": 50257}}


@pytest.mark.parametrize("factor", [4, 8, 1024])
@pytest.mark.parametrize("n", [30, 400])
def test_a_sum_is_a_warning(factor, n):
    (found,) = fires(check, run(loss=factor * falling(n), config=GPT2))
    assert found.severity is Severity.WARNING
    assert found.evidence["ratio"] == pytest.approx(factor, rel=0.1)


def test_the_accumulation_steps_are_named():
    (found,) = fires(check, run(loss=4 * falling(200), config={**GPT2, "grad_accum": 4}))
    assert "the 4 accumulation steps" in found.message
    assert "the 4 accumulation steps" in found.advice[0]


def test_a_start_that_is_not_the_first_loss_is_named_as_the_median_it_is():
    loss = np.r_[15.0, 4 * falling(200)[1:]]
    assert "has a median of" in fires(check, run(loss=loss, config=GPT2))[0].message


@pytest.mark.parametrize(
    ("start", "config"),
    [(5.806, {"model": {"vocab_size": 300}}), (2.5, {"model": {"vocab_size": 300}}), (5.806, {})],
)
def test_a_first_loss_as_it_should_be_is_no_wrong_scale_whatever_follows(start, config):
    assert fires(check, run(loss=np.r_[start, np.full(99, 17.98)], config=config)) == []


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("config", [GPT2, {}])
def test_no_accumulation_steps_are_named_that_the_header_contradicts(steps, config):
    loss = falling(200, start=4 * np.log(50257), floor=30, noise=0.001)
    (found,) = fires(check, run(loss=loss, config={**config, "grad_accum": steps}))
    assert "accumulation steps" not in found.message
    (found,) = fires(check, run(loss=loss, config={**config, "grad_accum": 4}))
    assert "over the 4 accumulation steps" in found.message


def test_an_unknown_vocabulary_is_information():
    (found,) = fires(check, run(loss=8 * falling(200)))
    assert found.severity is Severity.INFO


def test_a_loss_that_does_not_learn_is_information():
    (found,) = fires(check, run(loss=np.full(100, 40.0), config=GPT2))
    assert found.severity is Severity.INFO


@pytest.mark.parametrize("size", [1.2, 0, -3, float("inf"), float("nan"), "many"])
def test_a_vocabulary_that_cannot_be_is_unknown(size):
    (found,) = fires(check, run(loss=8 * falling(200), config={"model": {"vocab_size": size}}))
    assert found.severity is Severity.INFO


def test_a_vocabulary_of_any_size_is_a_number():
    assert fires(check, run(loss=falling(200), config={"model": {"vocab_size": 10**300}})) == []


@pytest.mark.parametrize("start", [16, 40])
def test_a_large_initialisation_is_information(start):
    (found,) = fires(check, run(loss=falling(200, start=start), config=GPT2))
    assert found.severity is Severity.INFO
    assert "a large initialisation" in found.message


def test_a_start_that_takes_a_quarter_of_the_run_to_overcome_is_a_warning():
    slow = 3 + 400 * np.exp(-np.arange(200) / 20)
    (found,) = fires(check, run(loss=slow, config=GPT2))
    assert found.severity is Severity.WARNING
    assert "the loss came below that guess only at step" in found.message
    assert found.advice[0].startswith("The initialisation is too large")


@pytest.mark.parametrize("start", [9.0, 10.8, 12.5])
def test_silent_near_the_uniform_guess(start):
    assert fires(check, run(loss=falling(200, start=start), config=GPT2)) == []


def test_silent_on_later_parts_other_tasks_and_healthy_runs():
    assert fires(check, run(loss=4 * falling(200), first=5000, config=GPT2)) == []
    assert fires(check, run(loss=4 * falling(200), config=GPT2, objective="classification")) == []
    assert fires(check, healthy(200)) == []


def test_a_multiple_of_a_usual_vocabulary_is_named():
    (found,) = fires(check, run(loss=falling(200, start=4 * np.log(50257), floor=30, noise=0.001)))
    assert "4 times that over 50,257 tokens" in found.message
    assert "accumulation steps" not in found.message  # one start in ten is such a multiple by chance


def test_a_level_no_model_has_is_told_without_the_start():
    (found,) = fires(check, run(loss=np.full(13, 38.0), every=9, first=477))
    assert "where this log begins" in found.message
    assert fires(check, run(loss=np.full(13, 12.0), every=9, first=477)) == []


class TestAgainstTheEvaluation:
    """A training loss that is a fixed multiple of the evaluation was summed, or divided once too little."""

    @staticmethod
    def made(times: float, n: int = 400, evaluations: int = 8, floor: float = 1.2, noise: float = 0.02):
        loss = falling(n, start=2.5, floor=floor, noise=noise)
        at = np.linspace(n // evaluations, n, evaluations).astype(int)
        return run(loss=times * loss, val__loss=Series(at, falling(n, start=2.5, floor=floor, noise=0)[at - 1] * 1.01))

    @pytest.mark.parametrize("times", [2, 4, 8, 16])
    def test_accumulation_steps_are_named(self, times):
        (found,) = fires(check, self.made(times))
        assert found.severity is Severity.WARNING
        assert f"as if summed over {times} accumulation steps" in found.message
        assert found.evidence["times_the_evaluation"] == pytest.approx(times, rel=0.03)

    def test_silent_where_the_two_are_alike_or_the_ratio_moves(self):
        for times in (0.7, 1.0, 1.3, 1.6):
            assert fires(check, self.made(times)) == []
        made = self.made(1.0)
        easier = Series(made["val/loss"].steps, made["val/loss"].values - 1.0)  # another set, a nat below
        assert fires(check, run(loss=made["loss"].values, val__loss=easier)) == []

    def test_the_last_half_tells_where_averages_lag_behind_the_fall(self):
        """Six records of a sum over 16: each averages the fall since the one before, which the evaluation has behind it."""
        steps = 100 * np.arange(1, 7)
        training, evaluation = [285.0, 161.0, 9.9, 5.39, 5.18, 5.02], [15.4, 2.38, 0.347, 0.319, 0.308, 0.304]
        made = run(loss=Series(steps, np.array(training)), val__loss=Series(steps, np.array(evaluation)))
        (found,) = fires(check, made)
        assert found.severity is Severity.WARNING
        assert "at each of the last 3 evaluations" in found.message
        assert "summed over" not in found.message  # 16.8 is not sure to be 17
        alike = run(loss=Series(steps, np.array(training) / 16), val__loss=Series(steps, np.array(evaluation)))
        assert fires(check, alike) == []


def beside(part: np.ndarray | float, floor: float = 3.0, **header: float):
    trained = falling(400, floor=floor)
    at = np.arange(19, 400, 20)
    evaluations = Series(at + 1, np.array([np.median(trained[i - 10 : i + 10]) for i in at]))
    return run(loss=part * trained, val__loss=evaluations, config=header)


def test_a_loss_that_was_divided_once_too_often_is_a_warning():
    (found,) = fires(check, beside(1 / 8))
    assert found.severity is Severity.WARNING
    assert found.evidence["times_the_evaluation"] == pytest.approx(1 / 8, rel=0.03)
    assert "evaluations, as if divided by about 8:" in found.message


def test_the_divisor_that_the_header_names_is_the_divisor():
    (found,) = fires(check, beside(1 / 8, grad_accum=8))
    assert "evaluations, as if divided by 8:" in found.message


def test_text_that_is_learned_by_heart_is_no_loss_that_was_divided():
    assert fires(check, beside(np.linspace(1, 0.2, 400))) == []


def test_an_evaluation_of_harder_text_that_hardly_falls_is_no_loss_that_was_divided():
    assert fires(check, beside(0.45, floor=9.0)) == []


def test_no_accumulation_is_named_where_the_evaluation_is_as_far_off():
    loss = falling(200, start=4 * np.log(50257), floor=30, noise=0.001)
    high = series([25.0, 20.0], every=100, first=100)
    (found,) = fires(check, run(loss=loss, val__loss=high, config=GPT2))
    assert "accumulation steps" not in found.message
