"""Runs on an Aim server, by the HTTP API of `aim up`: `aim://HOST:PORT[/EXPERIMENT[/RUN]]`, with `aim+https://` for TLS.

Aim's own client asks `aim server`, which knows the settings of a run only once `aim up` has made an index of them, and
refuses a client that is older. What the API sends is coded as in a repository on a disk.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from lmdiag.errors import UnreadableLog
from lmdiag.naming import spelling
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.aim import FORMAT, OF_THE_CLIENT, decoded, given_name, setting
from lmdiag.readers.trackers.metrics import logged_run, points_by_time
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters, parsed
from lmdiag.trackers.service import Service

EVERY_VALUE = -1  # where the API takes how many to give
Tree = dict[str | int, Any]


def listed(address: Address) -> Iterator[Source]:
    """Yield the runs of an experiment, or of all of a server, newest first, or the one that is named by hash or by name."""
    if len(address.parts) > 2:
        hint = "write a slash in a name as %2F; a repository on disk is read by the path of its folder"
        raise UnreadableLog(f"{address.shown} names more than an experiment and a run", hint)
    if {"failed", "killed"} & set(address.filters.states):
        raise UnreadableLog(f"{address.shown}: Aim knows only running and finished runs", "filter by these")
    service, (experiment, run, *_) = _service(address), (*address.parts, "", "")
    known = {one["name"] for one in json.loads(service.content("api/experiments/"))}
    if experiment and experiment not in known:
        raise UnreadableLog(f"{address.below()} has no experiment {experiment!r}", "name one that its page lists")
    found = _asked(
        service, "run", f"run.experiment == {_quoted(experiment)}" if experiment else "", exclude_params=True
    )
    for key, about in sorted(found.items(), key=lambda entry: -float(entry[1]["props"]["creation_time"])):
        props = about["props"]
        if _fits(props, address.filters) and (not run or run in (key, props["name"])):
            where = address.below((props.get("experiment") or {}).get("name") or "default", str(key))
            yield Source(where, content=b"", url=where, met=run != key)


def begin(source: Source) -> AimHistory:
    """Return the history of a run that `listed` found."""
    return AimHistory(source)


class AimHistory:
    """All that the server tells of one run: it gives metrics as a whole, and what their last values are."""

    def __init__(self, source: Source) -> None:
        self._source = source
        where = parsed(source.url)
        self._service, self._hash = _service(where), where.parts[-1]
        self._last: Any = None
        self._run: Tree = {}

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return bool(self._run) and not self._run["props"]["active"]

    @property
    def latest(self) -> float:
        """When the last value was logged, in seconds since the epoch."""
        return max((float(np.nanmax(_numbers(trace, "timestamps"), initial=0)) for trace in self._traces()), default=0)

    def update(self) -> bool:
        """Ask what the last values are, and where there are other ones than before, for all of them."""
        query = f"run.hash == {_quoted(self._hash)}"
        last = _asked(self._service, "run", query, exclude_params=True)
        if last == self._last:
            return False
        found = _asked(self._service, "metric", query, p=EVERY_VALUE) or _asked(self._service, "run", query)
        if self._hash not in found:
            raise UnreadableLog(f"{self._source.name} is not there any more", "it may have been deleted or archived")
        self._last, self._run = last, found[self._hash]
        return True

    def _traces(self) -> list[Tree]:
        """Return the metrics, each with its name, its context and its numbers; not those of the machine."""
        traces = self._run.get("traces")
        found = [traces[place] for place in sorted(traces)] if isinstance(traces, dict) else []
        return [t for t in found if isinstance(t, dict) and "values" in t and not t["name"].startswith(OF_THE_CLIENT)]

    def log(self) -> RawLog:
        """Return the run as the reader of Aim's repositories would."""
        traces = self._traces()
        names = ["/".join((*map(str, (trace.get("context") or {}).values()), trace["name"])) for trace in traces]
        steps, values, times, epochs = (
            [_numbers(trace, part) for trace in traces] for part in ("iters", "values", "timestamps", "epochs")
        )
        if not any(spelling(name).name == "epoch" for name in names):
            counted = _epochs(steps, times, epochs)
            if len(counted):
                names.append("epoch")
                for part, column in ((steps, 0), (times, 1), (values, 2)):
                    part.append(counted[:, column])
        ids = np.repeat(np.arange(len(names)), [len(part) for part in values])
        joined = (np.concatenate(part) if part else np.empty(0) for part in (times, values, steps))
        all_times, all_values, all_steps = joined
        settings: dict[str, Any] = {}
        for path, value in _leaves(self._run.get("params")):
            settings |= setting(path[0], path[1:], value)
        return logged_run(
            FORMAT,
            given_name(self._run["props"]["name"]) or self._hash,
            self._source.name,
            points_by_time(names, ids, all_times * 1000, all_values, all_steps.astype(np.int64)),
            settings,
            None,
        )


def _epochs(steps: list[np.ndarray], times: list[np.ndarray], epochs: list[np.ndarray]) -> np.ndarray:
    """Return (step, time, epoch) of each step that has an epoch, as it was told last."""
    told = {
        step: (step, time, epoch)
        for parts in zip(steps, times, epochs)
        for step, time, epoch in zip(*(part.tolist() for part in parts))
        if epoch == epoch
    }
    return np.array(list(told.values()), np.float64).reshape(-1, 3)


def _numbers(trace: Tree, part: str) -> np.ndarray:
    stored = trace.get(part)
    length = len(trace["values"]["blob"]) // 8
    return np.frombuffer(stored["blob"], "<f8") if stored else np.full(length, np.nan)


def _leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(tree, dict):
        for key, below in tree.items():
            yield from _leaves(below, (*path, key))
    elif tree is not None and path:
        yield path, tree


def _asked(service: Service, what: str, query: str, **more: Any) -> Tree:
    """Return what the server answers, {hash of a run: what it tells of it}."""
    asked = {name: str(value).lower() for name, value in more.items()}
    content = service.content(f"api/runs/search/{what}/", q=query, report_progress="false", **asked)
    tree: Tree = {}
    for path, value in decoded(_entries(content)):
        below = tree
        for key in path[:-1]:
            if not isinstance(below.get(key), dict):  # the flag of what has parts comes before these
                below[key] = {}
            below = below[key]
        below[path[-1]] = value
    return {key: about for key, about in tree.items() if isinstance(about, dict) and "props" in about}


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of an answer, each with its length before it."""
    at, parts = 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        part = content[at + 4 : at + 4 + length]
        if len(part) < length:
            raise ValueError("the answer is cut")
        parts.append(part)
        at += 4 + length
        if len(parts) == 2:
            yield parts[0], parts[1]
            parts = []


def _fits(props: Tree, filters: Filters) -> bool:
    tags = {str(tag["name"]) for tag in (props.get("tags") or {}).values()} if filters.tags else set()
    begun = float(props["creation_time"])
    return (
        (not filters.states or ("running" if props["active"] else "finished") in filters.states)
        and filters.tagged(tags)
        and filters.in_time(begun)
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a text of Python, in which Aim's questions are written


def _service(address: Address) -> Service:
    https = address.scheme.endswith("+https")
    return known_service(f"{address.scheme}://{address.host}", f"{'https' if https else 'http'}://{address.host}")


@cache
def known_service(shown: str, url: str) -> Service:
    """Return the one service for a server, which remembers whether it answers."""
    return Service(shown, url)
