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


def test_a_run_is_followed_until_it_is_over(tracking, app, monkeypatch):
    monkeypatch.setattr("lmdiag.app.following.ASK_S", 0)
    run_id = tracking.run("shown live", "grows", falling(40), status="")
    page = app(f"mlflow://{tracking.host}/shown live")
    assert "0 – 39<" in words_on(page)
    tracking.client().log_metric(run_id, "train/loss", 2.5, step=60)
    page.toggle(key="follow").set_value(True).run()
    page.run()
    assert not page.exception
    assert "0 – 60<" in words_on(page)
    tracking.client().set_terminated(run_id)
    page.run()
    asked = []
    monkeypatch.setattr("lmdiag.trackers.mlflow.Service.get", lambda *question, **_: asked.append(question))
    page.run()
    assert (asked, list(page.exception)) == ([], [])
    assert "0 – 60<" in words_on(page)


def test_the_app_shows_one_run_and_what_cannot_be_read(tracking, app):
    tracking.run("shown alone", "alone", falling())
    page = app(f"mlflow://{tracking.host}/shown alone", f"mlflow://me:hunter2@{tracking.host}/x")
    assert not page.exception
    assert specs_on(page)
    assert "holds credentials" in words_on(page)
    assert "hunter2" not in words_on(page)
