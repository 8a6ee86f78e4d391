"""A task for each of many logs, on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lmdiag.errors import LmdiagError
from lmdiag.sources.source import Source

T = TypeVar("T")
PATIENCE = "20s"


def on_cluster(
    task: Callable[[Source], T], sources: Sequence[Source], address: str, lost: Callable[[Source], T]
) -> Iterator[T]:
    """Yield what the task makes of each source, in their order.

    Dask gives the work of a worker that dies to the others; a source on which several died goes to `lost`. The workers read
    the files themselves: a path must be one that they can read, too.
    """
    client = _client(address)
    try:
        futures = [client.submit(task, _seen_from_elsewhere(source), pure=False) for source in sources]
        for number, source in enumerate(sources):
            future, futures[number] = futures[number], None
            yield _result(future, source, lost)
    finally:
        client.close()


def _result(future: Any, source: Source, lost: Callable[[Source], T]) -> T:
    from distributed import KilledWorker

    try:
        result: T = future.result()
    except KilledWorker:
        return lost(source)
    except ImportError as error:
        raise LmdiagError(
            f"a worker of the cluster cannot run this program: {error}",
            "install the same version of it, and the packages it needs, where the workers run",
        ) from error
    return result


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise LmdiagError("--scheduler needs the package distributed", "pip install distributed") from error
    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise LmdiagError(
            f"cannot reach a Dask scheduler at {address}: {' '.join(str(error).split())}",
            "give the address that `dask scheduler` prints, such as tcp://host:8786",
        ) from error


def _seen_from_elsewhere(source: Source) -> Source:
    """Return the source with a path that does not depend on the working directory."""
    beside = tuple(map(_seen_from_elsewhere, source.beside))
    return replace(source, path=source.path and source.path.absolute(), beside=beside)
