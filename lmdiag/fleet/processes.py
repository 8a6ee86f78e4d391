"""A task for each of many logs, in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from lmdiag.sources.source import Source

T = TypeVar("T")
AHEAD = 4  # logs handed out for each process, so that none waits and few results do


def in_processes(
    task: Callable[[Source], T], sources: Sequence[Source], jobs: int, lost: Callable[[Source], T]
) -> Iterator[T]:
    """Yield what the task makes of each source, in their order; one that kills its process twice goes to `lost`."""
    coming = iter(sources)
    at_work: deque[tuple[Source, Future[T]]] = deque()
    pool = _pool(jobs)
    try:
        while True:
            for source in islice(coming, AHEAD * jobs - len(at_work)):
                at_work.append((source, pool.submit(task, source.fresh())))
            if not at_work:
                return
            source, future = at_work.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = _pool(jobs)
                again = pool
                at_work = deque((s, f if _is_good(f) else again.submit(task, s.fresh())) for s, f in at_work)
                result = _alone(task, source, lost)
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _is_good(future: Future[T]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _alone(task: Callable[[Source], T], source: Source, lost: Callable[[Source], T]) -> T:
    """Do the task in a process that does nothing else, so that a second death has this source for its cause."""
    with _pool(1) as pool:
        try:
            return pool.submit(task, source.fresh()).result()
        except BrokenProcessPool:
            return lost(source)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # A process that is forked from one with threads, as polars has, can hang; these begin from nothing.
    start = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(jobs, multiprocessing.get_context(start), _begin, (dict(os.environ),))


def _begin(environment: dict[str, str]) -> None:
    """Prepare a process: the one that started it hears Ctrl-C, and there are as many of them as processors already.

    A fork server keeps the environment of its own start, before somebody has set or removed the password of a store, say:
    `environment` is that of now.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for variable in ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def _end_with_parent() -> None:
    """End this process when the one that started it was killed: nobody would ever hand out work again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
