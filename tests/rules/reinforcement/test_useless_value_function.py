"""A critic that explains nothing."""

import numpy as np

from lmdiag.rules.reinforcement.useless_value_function import check
from tests.rules.curves import fires, levels, policy


def test_fires_where_the_returns_are_not_explained():
    (found,) = fires(check, policy(explained_variance=levels((-0.4, 100), noise=0.1)))
    assert found.metric == "explained_variance"


def test_silent_where_it_learns():
    assert fires(check, policy(explained_variance=np.linspace(-1, 0.6, 100))) == []
    assert fires(check, policy(explained_variance=np.linspace(-2, -0.1, 100))) == []
