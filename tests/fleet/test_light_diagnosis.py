"""Of many logs little is kept of each, and it says the same as the whole."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.config import Settings
from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.fleet.shelf import Shelf
from lmdiag.fleet.slim import slimmed
from lmdiag.judging.logs import judge
from lmdiag.reports import FORMATS, render
from lmdiag.reports.phrases import checkpoint
from lmdiag.reports.report import Report
from lmdiag.run import Run, Series
from tests.fleet.made import write_logs
from tests.rules.curves import falling


def sick_run(n=5000):
    losses = falling(n)
    losses[int(0.7 * n) :] += 5
    losses[n // 3] = np.nan
    steps, lines = np.arange(1, n + 1), np.arange(2, n + 2)
    every = np.arange(9, n, n // 50)
    series = {
        "loss": Series(steps, losses, lines),
        "grad_norm": Series(steps, np.abs(np.sin(steps)) + 1, lines),
        "val/loss": Series(steps[every], losses[every] + 0.02, lines[every]),
        "lr": Series(np.append(steps, n + 7), np.full(n + 1, 1e-3)),
    }
    return Run("a", series, source="a.jsonl", format="jsonl")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("html", "text")])
def test_a_light_diagnosis_reads_like_the_whole_one(name):
    whole = diagnose(sick_run())
    small = pickle.loads(pickle.dumps(slimmed(whole)))
    assert whole.findings
    assert render(Report((small,)), name) == render(Report((whole,)), name)


def test_a_light_diagnosis_is_small_whatever_the_length_of_the_log():
    sizes = [len(pickle.dumps(slimmed(diagnose(sick_run(n))))) for n in (2000, 40_000)]
    assert max(sizes) < 60_000
    assert sizes[1] < 1.5 * sizes[0]


def test_a_light_run_keeps_the_curves_that_all_points_decided():
    steps = np.arange(4000)
    several = {f"{name}/loss": Series(steps, 3.0 + np.cos(steps + shift)) for name, shift in (("a", 0), ("b", 1))}
    whole = diagnose(Run("a", several))
    small = replace(slimmed(whole).run, name="another name")
    for name in ("curve", "evaluation"):
        metric, series = getattr(small, name)
        assert metric == getattr(whole.run, name)[0] == "val/loss"
        assert len(series) < series.logged == len(steps)


def test_values_of_many_logs_are_not_kept_in_memory(tmp_path, monkeypatch):
    folder = write_logs(tmp_path)
    monkeypatch.setattr("lmdiag.judging.logs.MANY", 1)
    run = judge(folder, Settings(), jobs=2, keep="text").diagnoses[0].run
    assert run["loss"] is not run["loss"]
    assert pickle.loads(pickle.dumps(run))["loss"].values.tolist() == run["loss"].values.tolist()


def test_values_for_which_the_disk_has_no_room_stay_in_memory(monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            return super().write(content[: 100 - self.tell()])

    monkeypatch.setattr("lmdiag.fleet.shelf.TemporaryFile", lambda **options: Full())
    shelf, values = Shelf(), {"loss": 2.5}
    kept = [shelf.put(values) for _ in range(9)]
    assert kept[0] is not values
    assert kept[-1] is values
    assert kept == [values] * 9

    def nowhere(**options):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("lmdiag.fleet.shelf.TemporaryFile", nowhere)
    assert Shelf().put(values) is values


def test_a_light_diagnosis_names_the_same_checkpoint_to_keep():
    steps, every = np.arange(1, 41), np.arange(1, 4001) * 10
    rng = np.random.default_rng(0)
    measures = {"reward_accuracy": 0.6 + 0.1 * rng.random(4000), "loss": 0.6 + 0.1 * rng.random(4000)}
    evaluated = {f"val/{name}": Series(every, values) for name, values in measures.items()}
    run = Run("a", {"loss": Series(steps, falling(40)), **evaluated}, method="dpo", config={"task": "preference"})
    spoilt = Finding("…", 20_000, 40_000, rule="falling-likelihood", severity=Severity.WARNING)
    for findings in ((), (spoilt,)):
        whole = replace(diagnose(run), findings=findings)
        small = pickle.loads(pickle.dumps(slimmed(whole)))
        assert small.keep == whole.keep is not None
        assert checkpoint(small) == checkpoint(whole)
        assert checkpoint(whole).endswith(f"(val/reward_accuracy {whole.keep.value:.4g})")


def test_runs_share_what_they_say_alike(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(f'{{"step": {i}, "loss": {2 + 3 / i}}}\n' for i in range(1, 60))
        )
    one, other = judge(tmp_path, Settings(), jobs=2, keep="text", copies=True).diagnoses
    assert one.not_checked
    assert one.not_checked is other.not_checked
    assert one.asked is other.asked
