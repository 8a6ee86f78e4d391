"""The app shows runs on the servers of trackers."""

import pytest

from tests.app.conftest import app, specs_on, words_on
from tests.trackers.conftest import falling

__all__ = ["app"]
pytestmark = pytest.mark.slow


def test_the_app_shows_the_runs_of_an_experiment(tracking, app):
    for seed, name in enumerate(("first of the app", "second of the app")):
        tracking.run("shown", name, falling(seed=seed))
    page = app(f"mlflow://{tracking.host}/shown")
    assert not page.exception
    assert "2 runs" in words_on(page)
    assert {"first of the app", "second of the app"} <= set(page.dataframe[0].value.to_numpy().ravel())


def test_the_app_shows_one_run_and_what_cannot_be_read(tracking, app):
    tracking.run("shown alone", "alone", falling())
    page = app(f"mlflow://{tracking.host}/shown alone", f"mlflow://me:hunter2@{tracking.host}/x")
    assert not page.exception
    assert specs_on(page)
    assert "holds credentials" in words_on(page)
    assert "hunter2" not in words_on(page)
