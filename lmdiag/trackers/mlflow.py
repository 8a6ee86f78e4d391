"""Runs on an MLflow server, by its REST API: `mlflow://HOST:PORT/EXPERIMENT[/RUN]`, with `mlflow+https://` for TLS.

MLflow's own client would do the same with 130 MB more of memory and three seconds more to import. Where no host is
named, the server is that of MLFLOW_TRACKING_URI, as it is for that client, and so are its variables for credentials and TLS.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.trackers.metrics import logged_run, points_by_time
from lmdiag.readers.trackers.mlflow import FORMAT
from lmdiag.readers.trackers.mlflow_database import unclamped
from lmdiag.run import Skipped
from lmdiag.sources.source import Source
from lmdiag.trackers.address import Address, Filters, parsed
from lmdiag.trackers.service import Refused, Service, pages

API = "api/2.0/mlflow"
RUNS_A_PAGE, VALUES_A_PAGE = 1000, 1000
_STATUS = {"running": ("RUNNING", "SCHEDULED"), "finished": ("FINISHED",), "failed": ("FAILED",), "killed": ("KILLED",)}
_ID_LENGTH = 32


def listed(address: Address) -> Iterator[Source]:
    """Yield the runs of an experiment, or of all of a server, newest first, or the one that is named by id or by name."""
    if len(address.parts) > 2:
        raise UnreadableLog(
            f"{address.shown} names more than an experiment and a run", "write a slash in a name as %2F"
        )
    service = service_at(address)
    experiments = _experiments(service, address)
    run = address.parts[1] if len(address.parts) > 1 else ""
    if run and _is_id(run):
        try:
            about = service.get(f"{API}/runs/get", run_id=run)["run"]
        except Refused as error:
            if error.code != 404:
                raise
        else:
            if about["info"]["experiment_id"] in experiments:
                yield replace(_source(address, experiments, about), met=False)
                return
    named = [f"attributes.run_name = {_quoted(run)}"] if run else []
    body = {
        "experiment_ids": list(experiments),
        "filter": " and ".join([*named, *_conditions(address.filters)]),
        "max_results": min(address.filters.limit or RUNS_A_PAGE, RUNS_A_PAGE),
        "order_by": ["attributes.start_time DESC"],
    }

    def ask(token: str | None) -> dict[str, Any]:
        return service.post(f"{API}/runs/search", {**body, **({"page_token": token} if token else {})})

    for _, found in pages(ask, "runs"):
        yield from (_source(address, experiments, about) for about in found if _fits(about, address.filters))


def begin(source: Source) -> MlflowHistory:
    """Return the history of a run that `listed` found."""
    return MlflowHistory(source)


def publish(address: Address, said: Mapping[str, str]) -> None:
    """Set tags of a run; its notes, which people write, stay."""
    tags = [{"key": name, "value": text} for name, text in said.items()]
    service_at(address).post(f"{API}/runs/log-batch", {"run_id": address.parts[-1], "tags": tags})


class MlflowHistory:
    """The metrics of one run: of each, the values so far, and the token of the page that the last of them came with."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._service = service_at(parsed(source.url))
        self._about = json.loads(source.content or b"{}")
        self._columns: dict[str, _Values] = {}
        self._asked = False

    def update(self) -> bool:
        """Ask for what is new: of a run that was asked for before, first which metrics have new values, and its state."""
        before = self._about["info"].get("status")
        if self._asked:
            run_id = self._about["info"]["run_id"]
            self._about = self._service.get(f"{API}/runs/get", run_id=run_id)["run"]
        changed = not self._asked or self._about["info"].get("status") != before
        self._asked = True
        for latest in self._about.get("data", {}).get("metrics", []):
            if latest["key"].startswith("system/"):  # of the machine, and not read from a store on disk either
                continue
            column = self._columns.setdefault(latest["key"], _Values())
            if column.latest != latest:
                column.add(partial(self._page, latest["key"]))
                column.latest = latest
                changed = True
        return changed

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._asked and self._about["info"].get("status") in ("FINISHED", "FAILED", "KILLED")

    @property
    def latest(self) -> float:
        """When the last value was logged, in seconds since the epoch."""
        times = (metric.get("timestamp", 0) for metric in self._about.get("data", {}).get("metrics", []))
        return max(times, default=0) / 1000

    def _page(self, key: str, token: str | None) -> dict[str, Any]:
        run_id = self._about["info"]["run_id"]
        where = f"{API}/metrics/get-history"
        return self._service.get(where, run_id=run_id, metric_key=key, max_results=VALUES_A_PAGE, page_token=token)

    def log(self) -> RawLog:
        """Return the run as the reader of MLflow's stores on disk would."""
        info, data = self._about["info"], self._about.get("data", {})
        columns = dict(sorted(self._columns.items()))
        bad = sum(column.bad for column in columns.values())
        lengths = [len(column.values) for column in columns.values()]
        return logged_run(
            FORMAT,
            _name(info),
            self._source.name,
            points_by_time(
                list(columns),
                np.repeat(np.arange(len(columns)), lengths),
                _joined([column.times for column in columns.values()], np.int64),
                _joined([column.values for column in columns.values()], np.float64).copy(),  # the run keeps them
                _joined([column.steps for column in columns.values()], np.int64),
            ),
            {param["key"]: param.get("value", "") for param in data.get("params", [])},
            info.get("status"),
            [Skipped(0, "value of a metric without a number", bad)] if bad else [],
        )


class _Values:
    """The values of one metric; what lies before `length` came with pages before the last one, whose token is kept."""

    def __init__(self) -> None:
        self.times, self.values, self.steps = array("q"), array("d"), array("q")
        self.latest: dict[str, Any] = {}
        self.bad = 0
        self._token, self._length, self._bad = "", 0, 0

    def add(self, ask: Any) -> None:
        """Ask for the pages from the last one on, which may have grown."""
        for part in (self.times, self.values, self.steps):
            del part[self._length :]
        self.bad = self._bad
        for token, metrics in pages(ask, "metrics", self._token):
            self._token, self._length, self._bad = token, len(self.values), self.bad
            for metric in metrics:
                self._take(metric)

    def _take(self, metric: dict[str, Any]) -> None:
        try:
            time, value = int(metric.get("timestamp", 0)), unclamped(float(metric["value"]))
            step = int(metric.get("step", 0))
            if abs(step) >= 1 << 63:
                raise OverflowError(step)
            self.times.append(time)
        except (KeyError, TypeError, ValueError, OverflowError):
            self.bad += 1
        else:
            self.values.append(value)
            self.steps.append(step)


def _joined(parts: list[Any], kind: Any) -> np.ndarray:
    filled = [
        np.frombuffer(part, kind) for part in parts if len(part)
    ]  # views, of which nothing outlives the call of `log`
    return filled[0] if len(filled) == 1 else np.concatenate(filled or [np.empty(0, kind)])


def _experiments(service: Service, address: Address) -> dict[str, str]:
    """Return {id: name} of the experiment that is named by name or id, of all where none is named."""
    if not address.parts:

        def ask(token: str | None) -> dict[str, Any]:
            return service.post(
                f"{API}/experiments/search", {"max_results": RUNS_A_PAGE, **({"page_token": token} if token else {})}
            )

        return {e["experiment_id"]: e["name"] for _, found in pages(ask, "experiments") for e in found}
    name = address.parts[0]
    try:
        found = service.get(f"{API}/experiments/get-by-name", experiment_name=name)
    except Refused as error:
        if error.code != 404:
            raise
        if not name.isdigit():
            raise UnreadableLog(
                f"{address.below()} has no experiment {name!r}", "name one that its page lists, by name or id"
            ) from None
        found = service.get(f"{API}/experiments/get", experiment_id=name)
    return {found["experiment"]["experiment_id"]: found["experiment"]["name"]}


def _source(address: Address, experiments: dict[str, str], about: dict[str, Any]) -> Source:
    info = about["info"]
    name = experiments.get(info["experiment_id"], info["experiment_id"])
    where = address.below(name, info["run_id"])
    return Source(where, content=json.dumps(about).encode(), url=where, met=True)


def _name(info: dict[str, Any]) -> str:
    return str(info.get("run_name") or info["run_id"])


def _conditions(filters: Filters) -> list[str]:
    """Return the filters in MLflow's language, but for tags of any value, which it cannot ask for."""
    states = [word for state in filters.states for word in _STATUS[state]]
    found = [f"tags.{_quoted(key, '`')} = {_quoted(value)}" for key, value in filters.tags if value]
    if len(states) == 1:
        found.append(f"attributes.status = '{states[0]}'")
    if filters.since is not None:
        found.append(f"attributes.start_time >= {int(filters.since * 1000)}")
    if filters.until is not None:
        found.append(f"attributes.start_time <= {int(filters.until * 1000)}")
    return found


def _fits(about: dict[str, Any], filters: Filters) -> bool:
    """Tell whether a run is one of those asked for, as far as `_conditions` cannot say."""
    states = [word for state in filters.states for word in _STATUS[state]]
    tags = {tag["key"] for tag in about.get("data", {}).get("tags", [])}
    return (not states or about["info"].get("status") in states) and all(key in tags for key, _ in filters.tags)


def _quoted(text: str, mark: str = "") -> str:
    """Return a text of MLflow's language for filters, which has no escapes.

    >>> _quoted("a'b"), _quoted("team", "`")
    ('"a\\'b"', '`team`')
    """
    mark = mark or ("'" if "'" not in text else '"')
    if mark in text:
        raise UnreadableLog(
            f"MLflow cannot search for {text!r}: it holds both kinds of quotes", "name the id of the run"
        )
    return f"{mark}{text}{mark}"


def _is_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and set(text) <= set("0123456789abcdef")


def service_at(address: Address) -> Service:
    """Return the server of an address, asked as MLflow's own variables say."""
    names = ("USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH", "CLIENT_CERT_PATH", "INSECURE_TLS")
    own = {name: os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in names}
    return known_service(address.scheme, address.host, os.environ.get("MLFLOW_TRACKING_URI", ""), tuple(own.items()))


@cache
def known_service(scheme: str, host: str, configured: str, variables: tuple[tuple[str, str], ...]) -> Service:
    """Return the one service for a server, which remembers whether it answers."""
    own = dict(variables)
    url = f"{'https' if scheme.endswith('+https') else 'http'}://{host}"
    if not host:
        url = configured
        if not url.startswith(("http://", "https://")):
            raise UnreadableLog(
                f"{scheme}:/// names no server, and MLFLOW_TRACKING_URI is none either",
                "write mlflow://HOST:PORT/EXPERIMENT, or set the variable to http(s)://HOST:PORT",
            )
    user, password = (own["USERNAME"], own["PASSWORD"]) if own["USERNAME"] else _credentials_of_file()
    parts = urlsplit(url)
    if "@" in parts.netloc:  # as MLflow's client takes it, too
        login, _, place = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        url = parts._replace(netloc=place).geturl()
    headers = {}
    if user:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    elif own["TOKEN"]:
        headers["Authorization"] = f"Bearer {own['TOKEN']}"
    secrets = (password, own["TOKEN"], headers.get("Authorization", "").rpartition(" ")[2])
    shown = f"{scheme}://{host or urlsplit(url).netloc}"
    return Service(shown, url, headers, secrets, _tls(own) if url.startswith("https") else None)


def _credentials_of_file() -> tuple[str, str]:
    """Return user and password as `mlflow` keeps them, "" where it keeps none."""
    kept = Path.home() / ".mlflow" / "credentials"
    if not kept.is_file():
        return "", ""
    import configparser  # a megabyte that few need

    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(kept, encoding="utf-8")
        own = file["mlflow"]
    except (configparser.Error, KeyError, OSError, UnicodeDecodeError):
        return "", ""
    return own.get("mlflow_tracking_username", ""), own.get("mlflow_tracking_password", "")


def _tls(own: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=own["SERVER_CERT_PATH"] or None)
        if own["CLIENT_CERT_PATH"]:
            context.load_cert_chain(own["CLIENT_CERT_PATH"])
    except OSError as error:
        raise UnreadableLog(
            f"a certificate for MLflow cannot be read: {error.strerror or error}",
            "check MLFLOW_TRACKING_SERVER_CERT_PATH and MLFLOW_TRACKING_CLIENT_CERT_PATH",
        ) from error
    if own["INSECURE_TLS"].lower() in ("true", "1"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
