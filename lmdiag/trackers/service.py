"""JSON over HTTP from the server of a tracker: retried where it fails for a while, and no credential in any message."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from lmdiag.errors import UnreadableLog
from lmdiag.sources.addresses import without_secrets
from lmdiag.version import __version__

WAITS_S = (0.5, 1.0, 2.0)  # before each further try
LONGEST_WAIT_S = 30.0  # that a server may ask for
FOR_A_WHILE = (408, 429, 500, 502, 503, 504)
LARGEST_ANSWER = 1 << 28


class _NoRedirects(HTTPRedirectHandler):
    """Follow no redirect: it would take the credentials to another server."""

    def redirect_request(self, req: Request, *_: Any) -> None:
        return None


class Service:
    """A server that answers JSON; `headers` may hold credentials, `secrets` are these as its answers could repeat them.

    Once a question has failed in every try, the next ones are tried once, until the server answers again: a server that is
    gone keeps nobody waiting for each of its runs.
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
        self._url, self._headers = url.rstrip("/"), {"User-Agent": f"lmdiag/{__version__}", **(headers or {})}
        self._secrets = tuple(secret for secret in secrets if secret)
        self._opener = build_opener(_NoRedirects, *([HTTPSHandler(context=context)] if context else []))
        self._answered = self._down = False

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask for what is at a path; raise UnreadableLog where the server does not answer."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return self._ask(Request(f"{self._url}/{path}{'?' if asked else ''}{asked}", headers=self._headers))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON to a path, and return the answer."""
        headers = {**self._headers, "Content-Type": "application/json"}
        return self._ask(Request(f"{self._url}/{path}", json.dumps(body).encode(), headers, method="POST"))

    def _ask(self, request: Request) -> dict[str, Any]:
        for wait in (*(() if self._down else WAITS_S), None):
            try:
                answer = self._answer(request)
            except HTTPError as error:
                problem, wait = self._refusal(error), wait and _asked_wait(error, wait)
                if error.code not in FOR_A_WHILE:
                    raise problem from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = self._silence(error)
                if not self._answered and isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                    raise problem from None  # there is no server, and none that fails for a while
            else:
                self._answered, self._down = True, False
                return answer
            if wait is None:
                self._down = True
                raise problem
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _answer(self, request: Request) -> dict[str, Any]:
        with self._opener.open(request, timeout=self.timeout_s) as response:
            body = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            raise UnreadableLog(f"{self.shown} answered more than {LARGEST_ANSWER >> 20} MiB at once", "")
        answer = json.loads(body)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no JSON object")
        return answer

    def _refusal(self, error: HTTPError) -> UnreadableLog:
        with error:
            said = _message(error)
        if error.code in (401, 403):
            hint = "it wants other credentials, or any; docs/trackers.md says where they are set"
        elif error.code == 404:
            hint = "check the address"
        elif error.code in range(300, 400):
            hint = "the server sends elsewhere, which is not followed: name that server (https?)"
        else:
            hint = "try again later; the log of the server may tell more"
        return Refused(
            error.code, f"{self.shown} answered {error.code} {self._safe(said or error.reason)}".rstrip(), hint
        )

    def _silence(self, error: Exception) -> UnreadableLog:
        reason = getattr(error, "reason", None) if isinstance(error, URLError) else None
        said = self._safe(" ".join(str(reason or error).split())) or type(error).__name__
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


def _message(error: HTTPError) -> str:
    try:
        answer = json.loads(error.read(1 << 16))
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    said = (answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
    return " ".join(str(said).split())


def _asked_wait(error: HTTPError, wait: float) -> float:
    """Return how long to wait: as long as the server asks for, within bounds."""
    asked = error.headers.get("Retry-After", "")
    return (
        min(max(float(asked), wait), LONGEST_WAIT_S) if asked.isascii() and asked.isdigit() and len(asked) < 9 else wait
    )
