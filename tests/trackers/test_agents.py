"""Agents ask about runs on a server below the address that was named, and about no others."""

import pytest

from lmdiag.agents import answers
from lmdiag.errors import LmdiagError
from tests.trackers.conftest import falling

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tracking):
    for name, experiment in (("one", "asked"), ("two", "asked"), ("three", "secret")):
        tracking.run(experiment, name, falling())
    return answers.Places((f"mlflow://{tracking.host}/asked",))


def test_runs_below_the_address(places):
    (place,) = places.named
    logs = answers.logs(places)["logs"]
    assert len(logs) == 2
    assert all(log.startswith(f"{place}/") for log in logs)
    assert [run["name"] for run in answers.check(places, [place])["runs"]] == ["two", "one"]
    assert answers.curve(places, logs[0], "loss", 10, None, None)["values"] == 200
    assert answers.compare(places, [logs[0]], logs[1], 0.5)["verdict"] == "no-regression"


def test_no_others(places, tracking):
    (place,) = places.named
    secret = (
        tracking.client().search_runs([tracking.client().get_experiment_by_name("secret").experiment_id])[0].info.run_id
    )
    for address in (
        f"mlflow://{tracking.host}/secret",
        f"mlflow://{tracking.host}",
        f"{place}/../secret",
        f"{place}?limit=1",
    ):
        with pytest.raises(LmdiagError, match="there is no"):
            answers.check(places, [address])
    assert "has no runs" in answers.check(places, [f"{place}/{secret}"])["unreadable"][0]["error"]
