"""Ray Tune's trials: what it adds to each report, and what its event files lack."""

import json
from pathlib import Path

import numpy as np

from lmdiag.judging.reading import read_runs, runs_of
from lmdiag.sources.source import Source

TRIAL = Path(__file__).parent / "stores" / "ray_tune" / "log" / "whole" / "made"


def report(iteration: int, **more: object) -> str:
    times = {"time_this_iter_s": 0.5, "time_total_s": 0.5 * iteration, "time_since_restore": 0.5 * iteration}
    own = {
        "training_iteration": iteration,
        "iterations_since_restore": iteration,
        "pid": 7,
        "config": {"lr": 0.1, "kind": "a"},
    }
    return json.dumps({"loss": 9.0 - iteration, **more, **own, **times}) + "\n"


def test_reports_are_counted_where_a_trial_counts_nothing() -> None:
    (run,) = runs_of(Source("result.json", content="".join(map(report, (1, 2, 3))).encode()))
    assert (run.format, run.step_kind, run["loss"].steps.tolist()) == ("ray-tune", "step", [1, 2, 3])
    assert run["elapsed_s"].values.tolist() == [0.5, 1.0, 1.5]
    assert run.config["config"] == {"lr": 0.1, "kind": "a"}
    assert run.series.keys() == {"loss", "elapsed_s"}


def test_steps_of_the_trial_count_more() -> None:
    rows = "".join(report(k, global_step=100 * k) for k in (1, 2, 3))
    (run,) = runs_of(Source("result.json", content=rows.encode()))
    assert run["loss"].steps.tolist() == [100, 200, 300]


def test_an_event_file_alone_has_the_same_names_and_steps_without_what_is_not_finite() -> None:
    (events,), (result,) = TRIAL.glob("*/events.out.*"), TRIAL.glob("*/result.json")
    ((run,), _), ((whole,), _) = read_runs([events]), read_runs([result])
    assert run["val/loss"].steps.tolist() == whole["val/loss"].steps.tolist()
    lost = np.setdiff1d(whole["loss"].steps, run["loss"].steps)
    assert np.isnan(whole["loss"].values[np.isin(whole["loss"].steps, lost)]).all()
    assert len(lost) == 1
