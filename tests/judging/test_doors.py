"""Every way to lmdiag gives the same runs, findings and verdicts for the same input."""

import json
from pathlib import Path

import numpy as np
import pytest

import lmdiag
from lmdiag.app.logs import each_run_once
from lmdiag.cli import main
from lmdiag.config import Settings
from lmdiag.errors import UnreadableLog
from lmdiag.judging import reading
from lmdiag.pytest_plugin import assert_healthy
from lmdiag.reports.locations import relative_path
from tests.app.conftest import app
from tests.cli.conftest import curve, falling, run, write_log
from tests.readers.wandb_writer import history, wandb_file

__all__ = ["app", "run"]

PLANNED = [{"rule": "non-finite-loss", "reason": "planned"}, {"rule": "divergence", "reason": "planned"}]


def sick():
    losses = falling()
    losses[300:] = np.nan
    return losses


def one_run_twice(folder):
    """A folder with one run as JSON Lines and as CSV."""
    losses = sick()
    write_log(folder / "runs/a.jsonl", losses)
    rows = "".join(f"{step},{loss}\n" for step, loss in enumerate(losses, 1))
    (folder / "runs/metrics.csv").write_text("step,loss\n" + rows)
    return "runs"


def suppressed_in_the_header(folder):
    write_log(folder / "runs/a.jsonl", sick(), suppress=PLANNED)
    return "runs/a.jsonl"


def tool_lmdiag(folder):
    """Settings in pyproject.toml: rules left out, another severity, others for one path."""
    write_log(folder / "runs/a.jsonl", sick())
    losses = falling()
    losses[200] = 9.0
    write_log(folder / "runs/b.jsonl", losses)
    (folder / "pyproject.toml").write_text(
        "[tool.lmdiag]\nignore = ['integrity']\n[tool.lmdiag.rules.loss-spike]\nseverity = 'error'\n"
        "[[tool.lmdiag.per-path]]\nmatch = 'runs/a*'\nignore = ['numerics']\n"
    )
    return "runs"


def lmdiag_toml(folder):
    write_log(folder / "runs/a.jsonl", sick())
    (folder / "lmdiag.toml").write_text("[[suppress]]\nrule = 'numerics'\nreason = 'planned'\n")
    return "runs/a.jsonl"


def known_by_a_baseline(folder):
    write_log(folder / "runs/a.jsonl", sick())
    assert main(["baseline", "runs", "--isolated", "-o", "known.json"]) == 0
    write_log(folder / "runs/b.jsonl", sick() + 1)
    (folder / "lmdiag.toml").write_text("baseline = 'known.json'\n")
    return "runs"


def run_of_wandb(folder):
    rows = [history(step, loss=float(curve(step))) for step in range(1, 60)]
    path = folder / "wandb/run-20260101_000000-abc/run-abc.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(wandb_file(*rows))
    return "wandb"


def unreadable_beside_sick(folder):
    write_log(folder / "runs/a.jsonl", sick())
    (folder / "runs/trainer_state.json").write_text('{"log_history": []}')
    return "runs"


def wandb_beside_its_console(folder):
    """The run folder of W&B, in which the console log holds the evaluations."""
    losses = sick()
    rows = [history(step, loss=float(loss) if np.isfinite(loss) else "NaN") for step, loss in enumerate(losses, 1)]
    path = folder / "wandb/run-20260101_000000-abc/run-abc.wandb"
    (path.parent / "files").mkdir(parents=True)
    path.write_bytes(wandb_file(*rows))
    lines = [f"step {step} | train loss {loss:.4f}" for step, loss in enumerate(losses, 1)]
    lines += [f"step {step} | val loss {curve(step):.4f}" for step in range(20, 401, 20)]
    (path.parent / "files/output.log").write_text("\n".join(lines) + "\n")
    return "wandb"


def training_and_evaluations_apart(folder):
    (folder / "runs/metrics").mkdir(parents=True)
    train = [{"Step": n, "Loss": float(loss), "Gradient Norm": 1.0} for n, loss in enumerate(sick(), 1)]
    valid = [{"Step": n, "Loss": float(curve(n)) + 0.1} for n in range(20, 401, 20)]
    for name, rows in (("train", train), ("valid", valid)):
        (folder / f"runs/metrics/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "runs"


def one_file_for_each_metric(folder):
    steps = np.arange(1, 401)
    metrics = {"train/loss": sick(), "lr": 1e-3 / steps, "grad_norm": 1 + 1 / steps}
    for name, values in (metrics | {"eval/loss": curve(steps) + 0.1}).items():
        path = folder / f"runs/plots/metrics/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{step}\t{value}\n" for step, value in zip(steps, values, strict=True)]
        path.write_text(f"step\t{path.stem}\n" + "".join(rows[:: 20 if "eval" in name else 1]))
    return "runs"


def two_ranks(folder):
    for rank in (0, 1):
        losses = sick() + np.random.default_rng(rank).normal(0, 0.01, 400)
        path = write_log(folder / f"runs/rank_{rank}.jsonl", losses)
        assert path.exists()
    return "runs"


def a_sweep(folder):
    """Runs of three seeds whose names say so, and two whose names do not."""
    for seed in range(3):
        write_log(folder / f"runs/seed{seed}.jsonl", falling() + np.random.default_rng(seed).normal(0, 0.02, 400))
    write_log(folder / "runs/other/train.jsonl", falling())
    rows = "".join(f"{step},{loss + 0.05}\n" for step, loss in enumerate(falling(), 1))
    (folder / "runs/other/metrics.csv").write_text("step,loss\n" + rows)
    return "runs"


ONE_RUN = [wandb_beside_its_console, training_and_evaluations_apart, one_file_for_each_metric, two_ranks]
INPUTS = [
    *ONE_RUN,
    a_sweep,
    one_run_twice,
    suppressed_in_the_header,
    tool_lmdiag,
    lmdiag_toml,
    known_by_a_baseline,
    run_of_wandb,
    unreadable_beside_sick,
]


def facts(diagnoses):
    """What is compared: for each run its name, source, verdict, and findings."""
    return sorted(
        (
            d.run.name,
            relative_path(d.run.source),
            d.verdict,
            tuple(sorted((f.rule, f.severity, f.first_step, f.last_step, f.consequence_of or "") for f in d.findings)),
        )
        for d in diagnoses
    )


def facts_of_json(document):
    return sorted(
        (
            entry["name"],
            entry["source"],
            entry["verdict"],
            tuple(
                sorted(
                    (
                        f["rule"],
                        lmdiag.Severity[f["severity"].upper()],
                        f["first_step"],
                        f["last_step"],
                        f["consequence_of"] or "",
                    )
                    for f in entry["findings"]
                )
            ),
        )
        for entry in document["runs"]
    )


@pytest.fixture(params=INPUTS, ids=lambda make: make.__name__)
def given(request, tmp_path, monkeypatch, capsys):
    """The path of an input in a working directory of its own, and the report that `lmdiag.judge` gives on it."""
    monkeypatch.chdir(tmp_path)
    path = request.param(tmp_path)
    capsys.readouterr()
    report = lmdiag.judge(path)
    assert report.diagnoses
    return path, report


def test_check_and_report(given, run, tmp_path):
    path, report = given
    document = json.loads(run("check", path, "-f", "json").out)
    run("report", path, "-o", "report.json")
    assert facts_of_json(document) == facts(report.diagnoses)
    assert len(document["unreadable"]) == len(report.unreadable)
    assert document["verdict"] == report.verdict
    assert json.loads(Path("report.json").read_text())["runs"] == document["runs"]


def test_several_processes(given, run):
    path, report = given
    assert facts_of_json(json.loads(run("check", path, "-f", "json", "--jobs", "2").out)) == facts(report.diagnoses)


def test_the_app(given, app):
    path, report = given
    page = app(path)
    assert not page.exception
    opened = each_run_once(page.session_state["logs"].values())
    assert facts(d for _, judged in opened for d in judged.diagnoses) == facts(report.diagnoses)
    assert sum(len(judged.unreadable) for _, judged in opened) == len(report.unreadable)
    assert sum(len(judged.suppressed) for _, judged in opened) == len(report.suppressed)


def test_the_pytest_plugin(given, run):
    path, report = given
    code = run("check", path).code
    if code:
        with pytest.raises(AssertionError):
            assert_healthy(path)
    else:
        assert facts(assert_healthy(path).diagnoses) == facts(report.diagnoses)


def test_reading_alone(given):
    path, report = given
    runs = lmdiag.read_all(path)
    assert sorted(found.name for found in runs) == sorted(d.run.name for d in report.diagnoses)
    for found in runs:
        (same,) = [d.run for d in report.diagnoses if d.run.name == found.name]
        assert found.notes == same.notes
        assert {name: len(series) for name, series in found.series.items()} == {
            name: len(s) for name, s in same.series.items()
        }
    if len(runs) == 1:
        assert lmdiag.read(path).name == runs[0].name
    else:
        with pytest.raises(UnreadableLog, match=f"holds {len(runs)} runs"):
            lmdiag.read(path)


def test_convert(given, run):
    path, report = given
    done = run("convert", path, "-o", "converted.jsonl")
    assert len(lmdiag.read_all("converted.jsonl")) == len(report.diagnoses)
    assert done.err.count("not read:") == len(report.unreadable)


def test_baseline(given, run):
    """Whatever a baseline holds already, the new one holds every finding that is not suppressed, of each copy of a run."""
    path, _ = given
    run("baseline", path, "-o", "new.json")
    sources = [source for group in reading.groups_at([path])[0] for source in group.sources]
    each = [path] if any(source.beside for source in sources) else [source.name for source in sources]
    document = json.loads(run("check", *each, "-f", "json", "--config", "baseline=").out)
    found = json.loads(Path("new.json").read_text())["findings"]
    assert sorted(f["rule"] for f in found) == sorted(
        f["rule"] for entry in document["runs"] for f in entry["findings"]
    )


def test_compare(given, run, tmp_path):
    path, report = given
    write_log(tmp_path / "candidate.jsonl", falling())
    done = run("compare", path, "candidate.jsonl", "-f", "json")
    if report.unreadable:
        assert (done.code, done.out) == (2, "")
    else:
        assert len(json.loads(done.out)["baselines"]) == len(report.diagnoses)


@pytest.mark.parametrize("make", ONE_RUN, ids=lambda make: make.__name__)
def test_the_stores_of_one_training_are_one_run(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (diagnosis,) = lmdiag.judge(make(tmp_path)).diagnoses
    assert diagnosis.verdict == "unhealthy"
    assert diagnosis.findings[0].rule == "non-finite-loss"
    assert diagnosis.findings[0].first_step == 301
    assert len(diagnosis.run["loss"]) == 400
    assert len(diagnosis.run["val/loss"]) == 20


def test_a_sweep_is_as_many_runs_as_it_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(lmdiag.judge(a_sweep(tmp_path)).diagnoses) == 5


@pytest.mark.parametrize("make", [suppressed_in_the_header, lmdiag_toml, tool_lmdiag], ids=lambda make: make.__name__)
def test_watch(make, tmp_path, run):
    make(tmp_path)
    path = tmp_path / "runs/a.jsonl"
    path.write_text(path.read_text() + '{"type":"end","status":"completed","step":400}\n')
    report = lmdiag.judge("runs/a.jsonl")
    done = run("watch", "runs/a.jsonl", "-f", "jsonl", "-v", "--every", "0.01s")
    told = [json.loads(line) for line in done.out.splitlines()]
    causes = {f.rule for f in report.diagnoses[0].findings if not f.consequence_of}
    assert {record["rule"] for record in told if record["type"] == "new"} == causes
    assert told[-1]["verdict"] == report.verdict
    assert done.code == run("check", "runs/a.jsonl").code


def test_diagnose_knows_no_settings_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = lmdiag_toml(tmp_path)
    assert lmdiag.judge(path).verdict == "healthy"
    assert "non-finite-loss" in {f.rule for f in lmdiag.diagnose(lmdiag.read(path)).findings}


def test_a_path_that_gives_nothing_is_a_problem_at_every_door(run, monkeypatch, tmp_path):
    write_log(tmp_path / "good.jsonl", falling())
    found = reading.find_sources
    monkeypatch.setattr(
        reading, "find_sources", lambda paths, *rest: ([], []) if paths == ["silent"] else found(paths, *rest)
    )
    for args in (["check", "silent"], ["compare", "silent", "good.jsonl"], ["compare", "good.jsonl", "silent"]):
        done = run(*args)
        assert done.code == 2
        assert "silent: no log was found" in done.out + done.err
    for read in (lmdiag.read, lmdiag.read_all):
        with pytest.raises(UnreadableLog, match="silent: no log was found"):
            read("silent")


def test_a_copy_whose_findings_differ_is_not_folded(run, tmp_path):
    """By the settings for its path, by its header, or by its events; each says that the other holds the same run."""
    write_log(tmp_path / "runs/a.jsonl", sick())
    (tmp_path / "runs/b.jsonl").write_bytes((tmp_path / "runs/a.jsonl").read_bytes())
    assert len(lmdiag.judge("runs").diagnoses) == 1
    (tmp_path / "lmdiag.toml").write_text("[[per-path]]\nmatch = 'runs/a*'\nignore = ['all']\n")
    for args in ((), ("--jobs", "2")):
        runs = json.loads(run("check", "runs", "-f", "json", *args).out)["runs"]
        assert {entry["source"]: entry["verdict"] for entry in runs}["runs/b.jsonl"] == "unhealthy"
        assert all("holds the same run, with other findings" in entry["notes"][-1] for entry in runs)
        assert len(runs) == 2
    (tmp_path / "lmdiag.toml").unlink()
    write_log(tmp_path / "runs/a.jsonl", sick(), suppress=PLANNED)
    assert len(lmdiag.judge("runs").diagnoses) == 2


def test_a_baseline_of_a_folder_holds_for_each_copy(run, tmp_path):
    write_log(tmp_path / "runs/a.jsonl", sick())
    (tmp_path / "runs/copy.jsonl").write_bytes((tmp_path / "runs/a.jsonl").read_bytes())
    assert run("baseline", "runs", "-o", "known.json").code == 0
    for path in ("runs", "runs/a.jsonl", "runs/copy.jsonl"):
        assert run("check", path, "--baseline", "known.json").code == 0, path
    assert len(lmdiag.judge("runs", Settings(baseline="known.json")).diagnoses) == 1
