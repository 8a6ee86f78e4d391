"""What the server of a tracker answers over HTTP: retried where it fails for a while, and no credential in any message."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from lmdiag.errors import UnreadableLog, explained
from lmdiag.sources.addresses import without_secrets
from lmdiag.version import __version__

WAITS_S = (0.5, 1.0, 2.0)  # before each further try
LONGEST_WAIT_S = 30.0  # that a server may ask for
FOR_A_WHILE = (408, 429, 500, 502, 503, 504)
LARGEST_ANSWER = 1 << 28
T = TypeVar("T")


class Service:
    """A server that answers over HTTP; `headers` may hold credentials, `secrets` are these as its answers could repeat them.

    A connection is kept open for the next question. Redirects are not followed: they would take the credentials to another
    server. Once a question has failed in every try, the next ones are tried once, until the server answers again: a server
    that is gone keeps nobody waiting for each of its runs.
    """

    timeout_s = 30.0

    def __init__(
        self,
        shown: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.shown = shown
        self._url, self._headers = urlsplit(url.rstrip("/")), {"User-Agent": f"lmdiag/{__version__}", **(headers or {})}
        self._secrets = tuple(secret for secret in secrets if secret)
        self._context = context
        self._proxy = _proxy(self._url)
        self._idle: list[HTTPConnection] = []  # several threads may ask at once
        self._answered = self._down = False

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask for what is at a path; raise UnreadableLog where the server does not answer."""
        return self._ask("GET", _with(path, query), _object)

    def content(self, path: str, **query: Any) -> bytes:
        """Ask for what is at a path and need not be JSON."""
        return self._ask("GET", _with(path, query), bytes)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON to a path, and return the answer."""
        return self._ask("POST", path, _object, json.dumps(body).encode())

    def _ask(self, method: str, path: str, made_of: Callable[[bytes], T], body: bytes | None = None) -> T:
        for wait in (*(() if self._down else WAITS_S), None):
            try:
                response, content = self._exchange(method, path, body)
                answer = made_of(content) if response.status in range(200, 300) else None
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = self._silence(error)
                if not self._answered and isinstance(error, ConnectionRefusedError):
                    raise problem from None  # there is no server, and none that fails for a while
            else:
                if answer is not None:
                    self._answered, self._down = True, False
                    return answer
                problem, wait = self._refusal(response, content), wait and _asked_wait(response, wait)
                if response.status not in FOR_A_WHILE:
                    raise problem
            if wait is None:
                self._down = True
                raise problem
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask once, and once more for each connection that was kept open and that the server has closed since."""
        headers = {**self._headers, **({} if body is None else {"Content-Type": "application/json"})}
        where = f"{self._url.path}/{path}"
        if self._proxy and self._url.scheme == "http":
            where, headers = f"http://{self._url.netloc}{where}", {**headers, **_login(self._proxy)}
        while True:
            kept = self._idle.pop() if self._idle else None
            connection = kept or self._opened()
            try:
                connection.request(method, where, body, headers)
                response = connection.getresponse()
                content = response.read(LARGEST_ANSWER + 1)
            except BaseException as error:
                connection.close()
                if kept and isinstance(error, ConnectionError):
                    continue
                raise
            if len(content) > LARGEST_ANSWER:
                connection.close()
                raise UnreadableLog(f"{self.shown} answered more than {LARGEST_ANSWER >> 20} MiB at once", "")
            if not response.will_close:
                self._idle.append(connection)
            return response, content

    def _opened(self) -> HTTPConnection:
        place = (self._proxy or self._url).netloc.rpartition("@")[2]
        if not place:
            raise OSError("no host given")
        if self._url.scheme == "http":
            return HTTPConnection(place, timeout=self.timeout_s)
        connection = HTTPSConnection(place, timeout=self.timeout_s, context=self._context)
        if self._proxy:
            connection.set_tunnel(self._url.netloc, headers=_login(self._proxy))
        return connection

    def _refusal(self, response: http.client.HTTPResponse, content: bytes) -> UnreadableLog:
        code = response.status
        if code in (401, 403):
            hint = "it wants other credentials, or any; docs/trackers.md says where they are set"
        elif code == 404:
            hint = "check the address"
        elif code in range(300, 400):
            hint = "the server sends elsewhere, which is not followed: name that server (https?)"
        else:
            hint = "try again later; the log of the server may tell more"
        said = self._safe(_message(content) or response.reason)
        return Refused(code, f"{self.shown} answered {code} {said}".rstrip(), hint)

    def _silence(self, error: Exception) -> UnreadableLog:
        said = self._safe(" ".join(str(error).split())) or type(error).__name__
        hint = "check the address, the network, and that the server runs"
        if isinstance(error, UnicodeError):
            return UnreadableLog(f"{self.shown} names no host that can be asked", hint)
        if isinstance(error, ValueError):
            return UnreadableLog(f"{self.shown} answered something else than JSON", "check that it is such a server")
        return UnreadableLog(f"{self.shown} does not answer: {said}", hint)

    def _safe(self, text: Any) -> str:
        return harmless(text, self._secrets)


def harmless(text: Any, secrets: Iterable[str] = ()) -> str:
    """Return what a server said, in one line, without any credential that it repeats or what a terminal would obey.

    >>> harmless("bad token hunter2\\n\\x1b[31m", ["hunter2"])
    'bad token … [31m'
    """
    said = without_secrets(str(text))
    for secret in filter(None, secrets):
        said = said.replace(secret, "…")
    return " ".join("".join(mark if mark.isprintable() else " " for mark in said).split())[:300]


def client_asked(client: str, shown: str, hint: str, *variables: str) -> AbstractContextManager[None]:
    """Turn what a tracker's own client raises into an error a user can act on: it may repeat an answer, but no login.

    `variables` of the environment hold logins.
    """

    def explain(error: Exception) -> UnreadableLog:
        said = harmless(error, [os.environ.get(name, "") for name in variables])
        return UnreadableLog(f"{shown}: {client}'s client says: {said or type(error).__name__}", hint)

    return explained(explain)


class Refused(UnreadableLog):
    """The server answered with an error; `code` is its status."""

    def __init__(self, code: int, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.code = code


def pages(ask: Any, key: str, token: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the pages of what `ask(token)` answers, `key` in it, each with the token that it was asked for with."""
    while True:
        answer = ask(token or None)
        yield token, answer.get(key) or []
        following = answer.get("next_page_token") or ""
        if not following or following == token:
            return
        token = following


def _with(path: str, query: Mapping[str, Any]) -> str:
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}{'?' if asked else ''}{asked}"


def _object(content: bytes) -> dict[str, Any]:
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no JSON object")
    return answer


def _proxy(url: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment or the system names for a server."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # a megabyte that few need

    named = getproxies().get(url.scheme)
    if not named or proxy_bypass(url.hostname or ""):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}


def _message(content: bytes) -> str:
    try:
        answer = json.loads(content[: 1 << 16])
    except ValueError:
        return ""
    said = (answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
    return " ".join(str(said).split())


def _asked_wait(response: http.client.HTTPResponse, wait: float) -> float:
    """Return how long to wait: as long as the server asks for, within bounds."""
    asked = response.headers.get("Retry-After", "")
    return (
        min(max(float(asked), wait), LONGEST_WAIT_S) if asked.isascii() and asked.isdigit() and len(asked) < 9 else wait
    )
