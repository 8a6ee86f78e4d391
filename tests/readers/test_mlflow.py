"""MLflow's file store and database: names with slashes, old and new lines, NaN and infinities; as MLflow writes them."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import find, runs_of
from lmdiag.readers.trackers.mlflow import can_read, read
from lmdiag.run import Run
from lmdiag.sources.source import Source

RUN_ID = "0123456789abcdef0123456789abcdef"


def store(folder: Path, metrics: dict[str, str], run_id: str = RUN_ID, **meta: object) -> Path:
    run = folder / "mlruns" / "0" / run_id
    for key, lines in metrics.items():
        path = run / "metrics" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines)
    facts = {"run_id": run_id, "run_name": "my run", "status": 3} | meta
    (run / "meta.yaml").write_text("".join(f"{k}: {v}\n" for k, v in facts.items()))
    (folder / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    return folder / "mlruns"


def run_of(folder: Path) -> Run:
    (run,) = runs_of(Source(f"{folder}/", folder))
    return run


def test_lines_of_every_age(tmp_path):
    lines = "1000 3.5 10\n2000 nan 20\n3000 -inf 30 train-set abc\n"
    run = run_of(store(tmp_path, {"train/loss": lines, "eval_loss": "3000 2.5 30\n"}))
    assert (run.name, run.complete) == ("my run", True)
    assert (run["loss"].steps.tolist(), str(run["loss"].values.tolist())) == ([10, 20, 30], "[3.5, nan, -inf]")
    assert run["val/loss"].steps.tolist() == [30]
    assert run["time"].values.tolist() == [1.0, 2.0, 3.0]


def test_values_without_steps_are_counted(tmp_path):
    run = run_of(store(tmp_path, {"loss": "1000 3.5\n2000 2.5\n3000 1.5\n"}))
    assert (run["loss"].steps.tolist(), run["loss"].values.tolist()) == ([1, 2, 3], [3.5, 2.5, 1.5])
    assert any("without a step" in note for note in run.notes)


def test_bad_lines_are_counted_and_torn_ones_too(tmp_path):
    (log,) = read(Source("m/", store(tmp_path, {"loss": "1000 3.5 1\nwords\n\n2000 2.5 2\n300"})))
    assert log.columns["loss"].values.tolist() == [3.5, 2.5]
    assert [s.line for s in log.skipped] == [2, 5]


def test_a_restart_and_settings(tmp_path):
    lines = "".join(
        f"{t} {v} {s}\n"
        for t, v, s in [(t, 9 - t / 9, t) for t in range(50)] + [(90 + t, 5, 40 + t) for t in range(30)]
    )
    folder = store(tmp_path, {"loss": lines}, status=4)
    (folder / "0" / RUN_ID / "params").mkdir()
    (folder / "0" / RUN_ID / "params" / "max_steps").write_text("500")
    run = run_of(folder)
    assert [(s.first_step, s.last_step) for s in run.segments] == [(0, 49), (40, 69)]
    assert (run.config["max_steps"], run.complete) == (500, False)


def test_several_runs_are_named_and_deleted_ones_left_out(tmp_path):
    folder = store(tmp_path, {"loss": "1 2 1\n2 2 2\n"})
    store(tmp_path, {"loss": "1 3 1\n2 3 2\n"}, run_id="f" * 32, run_name="other")
    (folder / ".trash").mkdir()
    sources, _ = find([tmp_path])
    assert [s.name for s in sources] == [f"{folder}/"]
    assert [run.name for run in runs_of(sources[0])] == [f"{folder}#my run", f"{folder}#other"]


def test_recognised_by_what_lies_in_the_folder():
    assert can_read("mlruns/", f"\n0/meta.yaml\n0/{RUN_ID}/meta.yaml\n".encode())
    assert can_read("run/", b"\nmeta.yaml\nmetrics/loss\n")
    assert not can_read("work/", f"\nmlruns/0/{RUN_ID}/meta.yaml\n".encode())
    assert not can_read("x", b"\nmeta.yaml\nmetrics/loss\n")


def log_with_mlflow(mlflow, uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("lm")
    with mlflow.start_run(run_name="real run"):
        mlflow.log_param("max_grad_norm", 1.0)
        for step, loss in enumerate([3.0, float("nan"), float("inf"), float("-inf"), 1e-300]):
            mlflow.log_metric("train/loss", loss, step=10 * step)
        mlflow.log_metric("eval_loss", 2.5, step=40)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["files", "database"])
def test_equal_to_what_mlflow_was_given(tmp_path, monkeypatch, kind):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    path = tmp_path / ("mlruns" if kind == "files" else "mlflow.db")
    if kind == "database":
        pytest.importorskip("sqlalchemy")
    log_with_mlflow(mlflow, path.as_uri() if kind == "files" else f"sqlite:///{path}")
    (source,) = find([path])[0]
    (run,) = runs_of(source)
    assert str(run["loss"].values.tolist()) == "[3.0, nan, inf, -inf, 1e-300]"
    assert (run["loss"].steps.tolist(), run["val/loss"].steps.tolist()) == ([0, 10, 20, 30, 40], [40])
    assert (run.name, run.complete, run.config["grad_clip"]) == ("real run", True, 1.0)


def database(path: Path, rows: list[tuple]) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE metrics (key, value DOUBLE, timestamp BIGINT, step BIGINT, is_nan BOOL, run_uuid)"
        )
        connection.execute("CREATE TABLE params (key, value, run_uuid)")
        connection.execute("CREATE TABLE runs (run_uuid, name, status TEXT, start_time BIGINT, lifecycle_stage)")
        connection.execute(
            "INSERT INTO runs VALUES ('a', 'first', 'FINISHED', 1, 'active'), ('b', 'x', 'FINISHED', 2, 'deleted')"
        )
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, 'a')", rows)
    connection.close()
    return path


def test_the_database_says_nan_and_infinity_in_its_own_way(tmp_path):
    largest = 1.7976931348623157e308
    rows = [
        ("loss", 0, 1, 1, 1),
        ("loss", largest, 2, 2, 0),
        ("loss", -largest, 3, 3, 0),
        ("loss", 2.5, 4, 4, 0),
        ("loss", "x", 5, 5, 0),
    ]
    (run,) = runs_of(Source("mlflow.db", database(tmp_path / "mlflow.db", rows)))
    assert str(run["loss"].values.tolist()) == "[nan, inf, -inf, 2.5]"
    assert [s.count for s in run.skipped] == [1]


def test_an_uploaded_database(tmp_path):
    content = database(tmp_path / "mlflow.db", [("loss", 3, 1, 1, 0), ("loss", 2, 2, 2, 0)]).read_bytes()
    (run,) = runs_of(Source("upload.db", content=content))
    assert run["loss"].values.tolist() == [3, 2]


@pytest.mark.parametrize("name", ["other.db", ".aim/run_metadata.sqlite"])
def test_other_databases_are_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE things (a)")
    connection.close()
    with pytest.raises(UnreadableLog, match="of no tracker that lmdiag reads") as error:
        runs_of(Source(str(path), path))
    assert ("Aim" in error.value.hint) == (".aim" in name)


def test_a_name_in_the_schema_that_is_no_text_is_refused(tmp_path):
    content = database(tmp_path / "mlflow.db", [("loss", 3, 1, 1, 0)]).read_bytes()
    damaged = content.replace(b"CREATE TABLE metrics", b"CREATE TABLE \xda\xdatrics")
    with pytest.raises(UnreadableLog, match="cannot be read"):
        runs_of(Source("u.db", content=damaged))


@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b[:3000] + b"\xff" * 1000 + b[4000:], lambda b: b[:16]]
)
def test_damaged_databases_are_refused_or_read(tmp_path, damage):
    content = database(tmp_path / "mlflow.db", [("loss", 3, i, i, 0) for i in range(50)]).read_bytes()
    (tmp_path / "damaged.db").write_bytes(damage(content))
    for source in (Source("u.db", content=damage(content)), Source("d.db", tmp_path / "damaged.db")):
        with suppress(UnreadableLog):
            assert len(runs_of(source)[0]["loss"]) == 50
