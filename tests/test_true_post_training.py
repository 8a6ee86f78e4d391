"""Every number that a rule of post-training says of a made run is true, and an altered one is not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.account import EMPTY, Account, Column
from lmdiag.rules import RULES
from tests.rules.curves import fires, levels, pairs, policy, run, series
from tests.test_true_sentences import altered, problems
from tests.truth.case import BY_NAME, Case
from tests.truth.numbers import numbers_in
from tests.truth.sentences import untrue

LN2 = float(np.log(2))
FLAT = levels((0.3, 100), seed=3)
STANDS = {
    "reward": FLAT,
    "grad_norm": None,
    "entropy": levels((0.9, 100), seed=5),
    "response_length": levels((200.0, 100), seed=6),
}
RISING = np.linspace(0.2, 0.9, 100)
LOSSES_ALONE = {"reward_margin": None, "reward_accuracy": None, "chosen_logp": None, "rejected_logp": None}

TUNED = run(loss=np.linspace(11.2, 6.4, 100), grad_norm=np.ones(100))
EMPTY_BATCHES = run(
    loss=np.where(np.arange(100) % 8 == 5, 0.0, 2.0), grad_norm=np.where(np.arange(100) % 8 == 5, 0.0, 0.7)
)

OF_SFT = {"untrained-start", "masked-nan"}
MADE = [
    ("untrained-start", replace(TUNED, method="sft")),
    ("masked-nan", EMPTY_BATCHES),
    ("entropy-collapse", policy(entropy=levels((1.5, 20), (0.01, 80), noise=0.002), reward=FLAT)),
    ("entropy-collapse", policy(entropy=np.geomspace(3.0, 0.15, 100), reward=np.linspace(0.7, 4.7, 100))),
    ("entropy-explosion", policy(entropy=levels((0.5, 60), (6.0, 40)))),
    ("flat-reward", policy(reward=FLAT)),
    ("flat-reward", policy(40, reward=np.zeros(40), zero_std_share=np.ones(40))),
    ("frozen-policy", policy(grad_norm=np.zeros(100))),
    ("frozen-policy", policy(grad_norm=np.r_[np.zeros(96), np.ones(4)])),
    ("frozen-policy", policy(kl=np.r_[0.1, 0.2, np.zeros(98)], **STANDS)),
    ("frozen-policy", policy(kl=None, sequence_kl=np.r_[np.zeros(95), np.ones(5)], **STANDS)),
    ("kl-explosion", policy(kl=levels((0.1, 50), (6.0, 50)), reward=FLAT, kl_coef=np.full(100, 0.001))),
    ("kl-explosion", policy(kl=np.where(np.isin(np.arange(100), (30, 50, 70)), 412.0, 0.05))),
    ("kl-explosion", policy(kl=None, sequence_kl=levels((10, 50), (120, 50), noise=1))),
    ("kl-explosion", policy(kl=None, sequence_kl=levels((2, 50), (-9, 50), noise=0.5))),
    ("kl-explosion", replace(policy(kl=levels((0.1, 50), (6.0, 50))), config={"config": {"beta": 0.0}})),
    ("kl-explosion", replace(policy(kl=levels((0.1, 50), (6.0, 50))), config={"beta": 0.05})),
    ("length-explosion", policy(response_length=np.linspace(200, 1800, 100), truncated_share=np.linspace(0, 0.9, 100))),
    ("length-collapse", policy(response_length=np.linspace(200, 5, 100), reward=np.linspace(0.5, 0.2, 100))),
    ("loss-explosion", policy(value_loss=np.r_[np.full(50, 0.5), np.geomspace(0.5, 5e6, 50)])),
    ("loss-explosion", policy(loss=np.linspace(1e5, 2e5, 100))),
    ("missing-reward", policy(40, reward=series(np.linspace(0.1, 0.3, 15)))),
    ("missing-reward", policy(40, rewards__format=np.ones(20))),
    ("missing-reward", policy(40, reward=None, account=Account(columns=(Column("reward", EMPTY),)))),
    ("no-group-signal", policy(zero_std_share=levels((0.9, 100)), reward=FLAT)),
    ("no-group-signal", policy(zero_std_share=None, reward_std=np.r_[np.full(20, 0.4), np.zeros(80)], reward=FLAT)),
    ("no-group-signal", policy(zero_std_share=None, reward_std=np.where(np.arange(100) % 4, 0, 0.4), reward=FLAT)),
    ("reward-collapse", policy(reward=levels((0.2, 20), (0.7, 40), (0.05, 40)), kl_coef=np.full(100, 0.02))),
    ("reward-collapse", policy(reward=levels((0.2, 20), (0.7, 70), (0.05, 10)))),
    ("reward-hacking", policy(reward=RISING, val__reward=series(np.full(10, 0.21), every=10))),
    (
        "reward-hacking",
        policy(reward=RISING, val__reward=series(np.r_[np.linspace(0.2, 0.6, 10), np.full(8, 0.1)], every=5)),
    ),
    (
        "reward-hacking",
        policy(
            reward=RISING,
            rewards__correctness__mean=levels((0.6, 40), (0.2, 60)),
            response_length=np.linspace(100, 300, 100),
        ),
    ),
    ("sampler-mismatch", policy(logp_mismatch=np.linspace(0.01, 0.3, 100))),
    ("sampler-mismatch", policy(prob_mismatch=levels((0.004, 50), (0.1, 50), noise=0.001))),
    ("sampler-mismatch", policy(mismatch_kl=np.where(np.arange(100) % 3, 0.2, 0.01))),
    ("too-large-updates", policy(clip_ratio=levels((0.1, 40), (0.5, 60)))),
    ("too-large-updates", policy(clip_ratio=None, update_kl=levels((4.0, 100)))),
    (
        "truncated-responses",
        policy(truncated_share=levels((0.1, 50), (0.8, 50)), response_length_max=np.full(100, 256.0)),
    ),
    ("truncated-responses", policy(truncated_share=np.where(np.arange(100) % 3, 0.8, 0.1))),
    (
        "truncated-responses",
        policy(truncated_share=None, response_length=np.r_[np.linspace(150, 199, 40), np.full(60, 200.0)]),
    ),
    (
        "truncated-responses",
        policy(truncated_share=None, response_length=np.where(np.arange(100) % 3, 200.0, 150.0 + np.arange(100) % 7)),
    ),
    ("useless-value-function", policy(explained_variance=levels((-0.4, 100), noise=0.1))),
    ("accuracy-at-half", pairs(reward_accuracy=levels((0.5, 100)), val__reward_accuracy=None)),
    ("accuracy-at-half", pairs(reward_accuracy=levels((0.3, 100)), val__reward_accuracy=None)),
    ("accuracy-at-half", pairs(val__reward_accuracy=series(levels((0.51, 10)), every=10))),
    ("falling-likelihood", pairs(chosen_logp=np.linspace(-300, -520, 100))),
    ("falling-chosen-reward", pairs(chosen_reward=np.linspace(0, -9, 100))),
    ("falling-chosen-reward", pairs(chosen_reward=np.linspace(0, -9, 100), reward_margin=None)),
    ("falling-chosen-reward", replace(pairs(chosen_reward=np.linspace(0, -20, 100)), config={"config": {"beta": 0.2}})),
    (
        "falling-likelihood",
        pairs(
            chosen_logp=np.r_[-16.0, np.linspace(-70, -2269, 99)],
            rejected_logp=None,
            entropy=np.r_[3.2, 1.1, np.zeros(98)],
        ),
    ),
    (
        "flat-margin",
        pairs(
            reward_margin=levels((0.1, 100), seed=3),
            loss=levels((0.66, 100), seed=4),
            reward_accuracy=levels((0.6, 100), seed=6),
        ),
    ),
    ("flat-margin", pairs(reward_margin=np.linspace(0, 0.01, 100), loss=np.linspace(LN2, LN2 - 0.004, 100))),
    ("flat-margin", pairs(reward_margin=np.zeros(100), loss=np.full(100, LN2))),
    ("flat-margin", pairs(loss=np.linspace(LN2, LN2 - 0.003, 40), n=40, **LOSSES_ALONE)),
    ("flat-margin", pairs(loss=levels((0.75, 40), seed=4), n=40, **LOSSES_ALONE)),
    ("flat-margin", pairs(loss=np.ones(40), n=40, **LOSSES_ALONE)),
    ("missing-answers", pairs(chosen_logp=None, reward_margin=None, reward_accuracy=None)),
    (
        "swapped-pairs",
        pairs(
            val__reward_accuracy=series([0.3, 0.1, 0.05, 0.02], every=25),
            val__loss=series([0.9, 1.1, 1.4, 1.8], every=25),
        ),
    ),
]


def cases(name: str, made) -> list[Case]:
    return [Case(made, replace(found, rule=name)) for found in fires(BY_NAME[name], made)]


@pytest.mark.parametrize(("name", "made"), MADE)
def test_every_number_said_of_a_made_run_is_true(name, made):
    (case,) = cases(name, made)
    assert problems(case) == []


@pytest.mark.parametrize(("name", "made"), MADE)
def test_an_altered_number_is_refused(name, made):
    (case,) = cases(name, made)
    told = case.finding.message
    for number in numbers_in(case.names.sub(lambda found: "#" * len(found[0]), told)):
        for other in altered(number):
            false = told[: number.start] + other + told[number.end :]
            assert other == number.written or list(untrue(case, false)) != [], false


def test_every_rule_of_post_training_speaks():
    families = ("reinforcement", "preference")
    assert {name for name, _ in MADE} - OF_SFT == {rule.name for rule in RULES if rule.family in families}
