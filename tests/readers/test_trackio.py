"""trackio's database: JSON metrics, both schemas, alerts; as trackio writes it."""

import json
import sqlite3

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.trackers.sqlite_log import read
from lmdiag.sources.source import Source


def database(path, rows, with_ids=True):
    columns = "id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE metrics ({columns}{', run_id TEXT' if with_ids else ''})")
        for number, (run, step, metrics) in enumerate(rows):
            cells = (
                number,
                "2026-01-02T03:04:05+00:00",
                run,
                step,
                metrics if isinstance(metrics, bytes) else json.dumps(metrics).encode(),
            )
            connection.execute(
                f"INSERT INTO metrics VALUES (?, ?, ?, ?, ?{', ?' if with_ids else ''})",
                (*cells, run) if with_ids else cells,
            )
    connection.close()
    return Source("p.db", path)


@pytest.mark.parametrize("with_ids", [True, False])
def test_runs_of_both_schemas(tmp_path, with_ids):
    rows = [
        ("b", 1, {"train/loss": 3.0, "grad_norm": "NaN"}),
        ("a", 1, {"train/loss": 9}),
        ("b", 2, {"train/loss": "Infinity", "note": "x"}),
    ]
    first, second = runs_of(database(tmp_path / "p.db", rows, with_ids))
    assert (first.name, second.name) == ("p.db#b", "p.db#a")
    assert (first["loss"].steps.tolist(), first["loss"].values.tolist()) == ([1, 2], [3.0, float("inf")])
    assert str(first["grad_norm"].values.tolist()) == "[nan]"
    assert first["time"].values.tolist() == [1767323045.0] * 2


def test_steps_of_the_trainer_of_transformers_which_counts_them_itself(tmp_path):
    logged = [
        {"train/loss": 3.0, "train/global_step": 10},
        {"eval/loss": 2.9, "train/global_step": 10},
        {"train/loss": 2.5, "train/global_step": 20},
        {"train/global_step": 20},
    ]
    (run,) = runs_of(database(tmp_path / "p.db", [("a", call, metrics) for call, metrics in enumerate(logged)]))
    assert (run["loss"].steps.tolist(), run["val/loss"].steps.tolist()) == ([10, 20], [10])


def test_rows_that_are_no_object_are_counted(tmp_path):
    (log,) = read(database(tmp_path / "p.db", [("a", 1, b"{torn"), ("a", 2, b"[1]"), ("a", 3, {"loss": 1.0})]))
    assert (log.n_rows, len(log.skipped)) == (1, 2)


def test_an_upload_of_a_database_with_a_write_ahead_log(tmp_path):
    source = database(tmp_path / "p.db", [("a", 1, {"loss": 3.0}), ("a", 2, {"loss": 2.0})])
    with sqlite3.connect(tmp_path / "p.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    (run,) = runs_of(Source("p.db", content=source.path.read_bytes()))
    assert run["loss"].values.tolist() == [3.0, 2.0]


def test_a_database_that_is_still_written(tmp_path):
    source = database(tmp_path / "p.db", [("a", 1, {"loss": 3.0})])
    writer = sqlite3.connect(tmp_path / "p.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("INSERT INTO metrics VALUES (9, '', 'a', 2, '{\"loss\": 2.0}', 'a')")
    writer.commit()
    assert runs_of(source)[0]["loss"].values.tolist() == [3.0, 2.0]
    writer.close()


def test_equal_to_what_trackio_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    storage = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path)
    metrics = [{"train/loss": loss, "lr": 0.1} for loss in (2.5, float("nan"), float("-inf"))]
    storage.bulk_log("project", "my run", metrics, steps=[10, 20, 30], config={"max_grad_norm": 1.0})
    (run,) = runs_of(Source("project.db", next(tmp_path.glob("*.db"))))
    assert (run.name, run.format, run.config["grad_clip"]) == ("my run", "trackio", 1.0)
    assert (run["loss"].steps.tolist(), str(run["loss"].values.tolist())) == ([10, 20, 30], "[2.5, nan, -inf]")


@pytest.mark.parametrize("table", ["metrics", "Metrics", "CONFIGS", "Alerts"])
def test_views_are_refused_however_they_are_written(tmp_path, table):
    """SQLite compares names without case, and a view may be a query without end: it is never asked for a row."""
    with sqlite3.connect(tmp_path / "p.db") as connection:
        if table.lower() != "metrics":
            connection.execute("CREATE TABLE metrics (id, timestamp, run_name, step, metrics)")
            connection.execute("""INSERT INTO metrics VALUES (1, '2026-01-02T03:04:05', 'a', 1, '{"loss": 2.5}')""")
        connection.execute(f"""CREATE VIEW {table} AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
            SELECT id, '' AS timestamp, 'a' AS run_name, id AS step, '{{}}' AS metrics, '' AS config FROM n""")
    connection.close()
    with pytest.raises(UnreadableLog, match="views"):
        read(Source("p.db", tmp_path / "p.db"))
