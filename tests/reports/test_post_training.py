"""Reports of policies and preferences: what shows their progress stands where the loss of others does."""

import re

import numpy as np
import pytest

from lmdiag.charts import View, main_charts
from lmdiag.diagnose import diagnose
from lmdiag.fleet.slim import slimmed
from lmdiag.reports import render
from lmdiag.reports.curves import curve_rows
from lmdiag.reports.phrases import origin
from lmdiag.reports.report import Report
from tests.rules.curves import healthy, pairs, policy


@pytest.fixture(params=[False, True], ids=["whole", "slimmed"])
def judged(request):
    """A policy and a run on preferences, each with two numbers of its own at the end, as one report or one of many has them."""
    rewards = np.linspace(0.2, 0.8125, 100)
    made = policy(reward=rewards), pairs(reward_margin=np.linspace(0, 1.875, 100)), healthy()
    return tuple(map(slimmed, map(diagnose, made))) if request.param else tuple(map(diagnose, made))


@pytest.mark.parametrize("shape", ["text", "markdown", "html"])
def test_the_table_of_many_runs_has_rewards_and_margins(judged, shape):
    text = re.sub(r"\s+", " ", str(render(Report(judged), shape)))
    assert "last value" in text
    assert "reward 0.8125" in text
    assert "margin 1.875" in text


def test_of_losses_alone_the_column_keeps_its_name(judged):
    text = render(Report((judged[2], judged[2])))
    assert "last loss" in text
    assert "last value" not in text


def test_what_shows_progress_is_told_and_drawn_first(judged):
    rewarded, preferred, trained = judged
    assert [origin(d.run)[-1] for d in judged] == [
        "100 values of reward",
        "100 values of reward_margin",
        origin(trained.run)[-1],
    ]
    drawn = [row.metric for row in curve_rows(rewarded, 40)]
    assert (drawn[0], drawn[-1]) == ("reward", "loss")
    assert [row.metric for row in curve_rows(preferred, 40)][:2] == ["reward_margin", "loss"]


def test_the_loss_of_a_policy_is_the_last_of_the_charts():
    names = [name for name, drawing in main_charts(policy(), (), View()).items() if drawing is not None]
    assert (names[0], names[-1]) == ("reward", "loss")
    assert next(iter(main_charts(pairs(), (), View()))) == "loss"
