"""SQLite databases of trackers, told apart by their tables: MLflow's `mlflow.db`, trackio's `<project>.db`, Neptune Scale's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers import mlflow_database, neptune_scale, trackio

MAGIC = b"SQLite format 3\0"
VIEWS = (  # as SQLite compares names
    "SELECT 1 FROM sqlite_master WHERE type = 'view' AND lower(name) IN"
    " ('metrics', 'runs', 'params', 'configs', 'alerts', 'run_operations', 'metadata')"
)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a SQLite database; which one shows only when it is opened."""
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read every run in the database; it is opened for reading only."""
    try:
        with opened(source) as database:
            if database.execute(VIEWS).fetchone():  # a view may be a query without end
                raise UnreadableLog(
                    f"{source.name}: its tables are views, which no tracker writes", "copy them to tables"
                )
            if _columns(database, "run_operations") >= neptune_scale.COLUMNS:
                return [_operations(source)]
            columns = _columns(database, "metrics")
            for reader in (mlflow_database, trackio):
                if columns >= reader.COLUMNS:
                    return reader.runs(database, source.name)
    except (sqlite3.Error, OverflowError, MemoryError, UnicodeError) as error:  # names in the schema may be no text
        raise UnreadableLog(
            f"{source.name}: the SQLite database cannot be read: {error}",
            "check that it was copied completely, with its -wal file if there is one",
        ) from error
    raise NoValues(f"{source.name} is a SQLite database of no tracker that lmdiag reads", _hint(source.name))


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _operations(source: Source) -> RawLog:
    operations = neptune_scale.Operations()
    for part in (source, *(Source(path.as_posix(), path) for path in source.later)):
        with opened(part) as database:
            operations.take(database)
    return operations.log(source.name)


def _hint(name: str) -> str:
    if ".aim/" in name:
        return "Aim keeps its values beside it: name the folder .aim"
    return "export the metrics to CSV or JSON lines"


def _without_journal(data: bytes) -> bytes:
    """Return a database that says it has no write-ahead log: in memory there is none, and SQLite would refuse it.

    Bytes 18 and 19 of the header are the versions needed to write and to read: 2 with such a log, 1 without.
    """
    return data[:18] + b"\1\1" + data[20:] if data[18:20] == b"\2\2" else data


@contextmanager
def opened(source: Source) -> Iterator[sqlite3.Connection]:
    """Open the file so that nothing is written beside it; an upload is opened in memory."""
    if source.path is None or source.packed:
        database = sqlite3.connect(":memory:")
        database.deserialize(_without_journal(source.data))
    else:
        # A log that is still written keeps its newest rows in the -wal file, which `immutable` would overlook.
        live = source.path.with_name(source.path.name + "-wal").exists()
        mode = "mode=ro" if live else "mode=ro&immutable=1"
        database = sqlite3.connect(f"{source.path.resolve().as_uri()}?{mode}", uri=True)

    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        yield database
    finally:
        database.close()
