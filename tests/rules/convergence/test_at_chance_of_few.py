"""A few records, or epochs, say that nothing is known where all their measures agree; else they are left alone."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.convergence.at_chance import check
from tests.rules.curves import fires, flat, run, series


@pytest.mark.parametrize("answers", [2, 4, 100])
@pytest.mark.parametrize(("better", "found"), [(0.0, 1), (0.3, 0)])
def test_few_epochs_of_losses_and_accuracies_that_agree(answers, better, found):
    cost, share = np.log(answers), 1 / answers
    made = run(
        loss=np.r_[0.98 * cost, np.full(4, cost) * [1.0003, 1.0, 0.9998, 1 - better]],
        accuracy=np.r_[1.25 * share, np.full(4, share) * [0.99, 1.0, 1.01, 1 + better]],
        val__loss=np.full(4, cost),
        val__accuracy=np.full(4, 0.99 * share),
    )
    assert len(fires(check, made)) == found


def test_few_epochs_without_an_accuracy_say_nothing():
    assert fires(check, run(loss=np.full(5, np.log(4)), val__loss=np.full(4, np.log(4)))) == []


def handful(level: float, first: int, accuracy: float = 0.0, n: int = 8, slope: float = 0.0):
    loss = flat(level, n, 0.0005) - slope * np.arange(n)
    return run(loss=series(loss, every=20, first=first), MLM_acc=series(np.full(n, accuracy), every=20, first=first))


def test_a_handful_of_records_in_which_no_token_is_right():
    (found,) = fires(check, handful(11.1, first=1000))
    assert "in 8 records" in found.message
    assert "not one token is right" in found.message


@pytest.mark.parametrize(
    "made",
    [
        handful(11.1, first=20),
        handful(11.1, first=1000, accuracy=0.004),
        handful(11.1, first=1000, slope=0.03),
        handful(5.2, first=1000),
    ],
)
def test_silent_on_a_handful_that_begins_or_learns(made):
    assert fires(check, made) == []


def test_a_handful_of_records_worse_than_any_guess():
    (found,) = fires(check, handful(18.4, first=20, accuracy=0.1))
    assert "more than a uniform guess over any vocabulary in use costs" in found.message
    assert fires(check, handful(18.4, first=20, slope=0.1)) == []
    assert fires(check, handful(18.4, first=20, n=5)) == []


@pytest.mark.parametrize(
    ("losses", "scores", "decimals", "found"),
    [
        ([0.7533, 0.7534, 0.7534, 0.7533], [0.4992] * 4, 4, 1),
        ([0.7533, 0.7534, 0.7534, 0.7533], [0.4992, 0.4992, 0.4993, 0.4992], 4, 0),
        ([0.7533, 0.7534, 0.7534, 0.7533], [0.50] * 4, 2, 0),
        ([0.7533, 0.7434, 0.7334, 0.7233], [0.4992] * 4, 4, 0),
        ([0.1533, 0.1534, 0.1534, 0.1533], [0.9692] * 4, 4, 0),
        ([3.4021, 3.4020, 3.4022, 3.4021], [0.3712] * 4, 4, 0),
    ],
)
def test_one_accuracy_in_a_handful_of_records(losses, scores, decimals, found):
    accuracy = replace(series(scores), decimals=decimals)
    assert len(fires(check, run(loss=np.array(losses), accuracy=accuracy))) == found


@pytest.mark.parametrize(
    ("losses", "times", "found"),
    [
        ([512.3, 527.2, 573.0], 1.0, 1),
        ([512.3, 527.2, 501.0], 1.0, 0),
        ([512.3, 527.2, 573.0], 1.2, 0),
        ([12.0, 12.1, 12.2], 1.0, 0),
    ],
)
def test_three_records_that_are_surely_in_nats(losses, times, found):
    losses = np.array(losses)
    made = run(every=100, loss=losses, ppl=np.exp(losses * times), config={"max_steps": 20000})
    said = fires(check, made)
    assert len(said) == found
    assert all("says that it is in nats" in finding.message for finding in said)


@pytest.mark.parametrize(
    ("losses", "every", "first", "found"),
    [
        ([10.94, 10.91, 10.95], 400, 400, 1),
        ([10.94, 10.71, 10.55], 400, 400, 0),
        ([10.94, 10.91, 10.87], 400, 400, 0),
        ([10.94, 10.91, 10.95], 20, 20, 0),
        ([10.94, 10.91, 10.95], 400, 9000, 0),
        ([7.94, 7.91, 7.95], 400, 400, 0),
    ],
    ids=["stays", "falls", "falls slowly", "a few steps", "begins later", "token frequencies"],
)
def test_three_records_from_the_start_at_a_uniform_guess(losses, every, first, found):
    made = run(loss=series(losses, every, first))
    assert len(fires(check, made)) == found
    assert fires(check, run(loss=series(losses, every, first), lr=series([1e-6, 2e-6, 3e-6], every, first))) == []


@pytest.mark.parametrize(("last", "found"), [(6480.0, 1), (5200.0, 0)])
def test_the_cap_of_a_perplexity_says_that_a_loss_is_in_nats(last, found):
    losses = [6776.0, 6500.0, 6600.0, last]
    said = fires(check, run(loss=losses, ppl=[np.exp(100)] * 4))
    assert len(said) == found
    assert all("says that it is in nats" in finding.message for finding in said)


def test_a_uniform_guess_of_many_records_is_as_sure_from_the_start():
    (found,) = fires(check, run(loss=series(flat(10.82, 120, 0.0005), 10, 0)))
    assert found.severity is Severity.ERROR
