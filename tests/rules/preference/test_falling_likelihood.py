"""Preferred answers that become unlikely."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.preference.falling_likelihood import check
from tests.rules.curves import fires, pairs


def test_fires_by_how_much_is_lost():
    (found,) = fires(check, pairs(chosen_logp=np.linspace(-300, -520, 100)))
    assert found.severity == Severity.WARNING
    (found,) = fires(
        check, pairs(chosen_logp=np.r_[-16.0, np.linspace(-70, -2269, 99)], entropy=np.r_[3.2, 1.1, np.zeros(98)])
    )
    assert (found.severity, found.first_step) == (Severity.ERROR, 2)
    assert "the entropy is gone" in found.message


def test_means_over_tokens_have_their_own_limit():
    assert fires(check, pairs(chosen_logp=np.linspace(-0.9, -1.3, 100), method="orpo")) == []
    assert len(fires(check, pairs(chosen_logp=np.linspace(-0.9, -2.5, 100), method="orpo"))) == 1


def test_silent_on_the_usual_fall_and_on_noise():
    for seed in range(10):
        assert fires(check, pairs(seed=seed)) == []
    assert fires(check, pairs(chosen_logp=np.linspace(-342, -403, 100))) == []


def test_the_onset_is_where_the_policy_went_for_good():
    at_once = np.r_[-28.0, -62.0, np.linspace(-64, -110, 58)]
    (found,) = fires(check, pairs(n=60, chosen_logp=at_once))
    assert (found.first_step, found.evidence["start"]) == (2, -28)


def test_the_advice_judges_the_peak_of_the_rate():
    decayed = np.geomspace(5e-5, 1e-9, 100)
    (found,) = fires(check, pairs(chosen_logp=np.linspace(-300, -520, 100), lr=decayed))
    assert found.advice[0] == "Lower the peak learning rate from 5e-5 to 1.7e-5."


def test_asks_the_reward_of_these_answers_whether_the_policy_lost_them():
    longer = np.r_[-135.0, np.full(99, -330.0)]  # the first record is of a few short answers
    assert fires(check, pairs(chosen_logp=longer, chosen_reward=np.linspace(0, 0.16, 100))) == []
    lost = 0.1 * (longer - longer[0])
    assert len(fires(check, pairs(chosen_logp=longer, chosen_reward=lost))) == 1
