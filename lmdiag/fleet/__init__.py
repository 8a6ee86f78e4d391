"""Many logs: a task is done for each, in this process, in several of this machine, or on a Dask cluster.

Whatever a task returns is kept until the report is written, so it must be small: `light` makes a diagnosis so. A process
that is killed loses no log but, at most, the one that it dies of every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lmdiag.fleet.light import light
from lmdiag.readers.source import Source

__all__ = ["each", "light"]

T = TypeVar("T")
MUCH = 1 << 25  # bytes of logs from which on polars is worth its import for all of them


def each(
    task: Callable[[Source], T],
    sources: Sequence[Source],
    lost: Callable[[Source], T],
    jobs: int = 1,
    scheduler: str = "",
) -> Iterator[T]:
    """Yield what the task makes of each source, in their order; `lost` makes it of one whose process died.

    With `jobs` over 1, or the address of a Dask `scheduler`, the task is done elsewhere and must be picklable.
    """
    if scheduler:
        from lmdiag.fleet.cluster import on_cluster

        return on_cluster(task, sources, scheduler, lost)
    if jobs > 1 and len(sources) > 1:
        from lmdiag.fleet.processes import in_processes

        return in_processes(task, sources, jobs, lost)
    if sum(map(_size, sources)) >= MUCH:
        import polars  # noqa: F401  (readers of single small logs go without it)
    return (task(source.fresh()) for source in sources)


def _size(source: Source) -> int:
    return 0 if source.path is None or not source.path.is_file() else source.path.stat().st_size
