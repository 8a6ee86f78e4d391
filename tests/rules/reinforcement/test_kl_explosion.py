"""A divergence from the reference that runs away, or is negative."""

from dataclasses import replace

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.kl_explosion import check
from tests.rules.curves import fires, levels, policy


def test_a_lasting_divergence_is_an_error_where_the_reward_gains_nothing():
    kl = levels((0.1, 50), (6.0, 50))
    (found,) = fires(check, policy(kl=kl, reward=levels((0.3, 100))))
    assert (found.severity, found.metric) == (Severity.ERROR, "kl")
    assert abs(found.first_step - 51) <= 5
    (found,) = fires(check, policy(kl=kl))
    assert found.severity == Severity.WARNING


def test_bursts_are_a_warning_and_one_is_not():
    kl = np.full(100, 0.05)
    kl[[30, 50, 70]] = 400.0
    (found,) = fires(check, policy(kl=kl))
    assert "bursts 3 times, up to 400 nats" in found.message
    kl[[50, 70]] = 0.05
    assert fires(check, policy(kl=kl)) == []


def test_a_divergence_of_whole_responses_has_its_own_limit():
    assert fires(check, policy(kl=None, sequence_kl=levels((10, 50), (30, 50), noise=1))) == []
    (found,) = fires(check, policy(kl=None, sequence_kl=levels((10, 50), (120, 50), noise=1)))
    assert "nats a response" in found.message


def test_a_negative_divergence_is_a_warning():
    (found,) = fires(check, policy(kl=None, sequence_kl=levels((2, 50), (-9, 50), noise=0.5)))
    assert "negative" in found.message


def test_silent_on_healthy_runs_and_without_a_divergence():
    for seed in range(10):
        assert fires(check, policy(seed=seed)) == []
    assert [type(said) for said in check.look(policy(kl=None))] == [NotChecked]


def test_the_advice_names_the_coefficient():
    (found,) = fires(check, policy(kl=levels((0.1, 50), (6.0, 50)), kl_coef=np.full(100, 0.001)))
    assert found.advice[0] == "Raise the KL coefficient: it is 0.001, try 0.003."


def test_the_advice_knows_the_settings():
    made = policy(kl=levels((0.1, 50), (6.0, 50)), lr=np.full(100, 3e-6))
    (found,) = fires(check, replace(made, config={"config": {"beta": 0.0}}))
    assert found.advice[0] == "Set a KL coefficient of 0.01 to 0.05: it is 0."
    assert found.advice[1] == "Lower the peak learning rate from 3e-6 to 1e-6."
    (found,) = fires(check, replace(made, config={"beta": 0.05}))
    assert found.advice[0] == "Raise the KL coefficient: it is 0.05, try 0.15."


def test_a_coefficient_that_is_not_finite_is_not_proposed():
    for value in (np.nan, np.inf):
        made = policy(kl=levels((0.1, 50), (6.0, 50)), kl_coef=np.full(100, value), lr=np.full(100, value))
        (found,) = fires(check, made)
        assert not any("nan" in said or "inf" in said for said in found.advice)
