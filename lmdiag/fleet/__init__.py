"""Many logs: a task is done for each, in this process, in several of this machine, or on a Dask cluster.

Whatever a task returns is kept until the report is written, so it must be small: `slimmed` drops the points that reports do not need. A process
that is killed loses no log but, at most, the one that it dies of every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar

from lmdiag.sources.source import Source

T = TypeVar("T")
LOG_S, BYTE_S = 0.01, 3e-8  # about what it takes to judge a log, and to read a byte: of JSON less, of text more
STARTED_S = 1.5  # seconds of work that justify starting a process
MOST_JOBS = 8  # unless asked for more: others may use the machine, too
LARGE = 1 << 26  # bytes of a log; several of these at once need more memory than anybody expects
QUOTA = Path("/sys/fs/cgroup/cpu.max")


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
    return (task(source.fresh()) for source in sources)


def worthwhile_jobs(sources: Sequence[Source]) -> int:
    """Return how many processes are worth starting for these logs: 1 for few small ones, and where one is very large."""
    sizes = [_size(source) for source in sources]
    if max(sizes, default=0) > LARGE:
        return 1
    work = LOG_S * len(sizes) + BYTE_S * sum(sizes)
    return max(1, min(int(work / STARTED_S), processors(), MOST_JOBS, len(sizes)))


def processors(quota: Path = QUOTA) -> int:
    """Return how many processors this process may use, by its affinity and by the quota of its container."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        allowed = os.cpu_count() or 1
    try:
        share, period = map(int, quota.read_text().split())
    except (OSError, ValueError):  # no container, or no limit: `max 100000`
        return allowed
    return max(1, min(allowed, ceil(share / period)))


def _size(source: Source) -> int:
    files = [part.path for part in source.parts if part.path is not None and part.path.is_file()]
    return sum(path.stat().st_size for path in files)
