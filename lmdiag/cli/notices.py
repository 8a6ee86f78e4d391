"""Notices of what `lmdiag watch` sees, through apprise: mail, chat, telephones; nothing is sent unless that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from lmdiag.cli.streams import say
from lmdiag.errors import BadSetting
from lmdiag.reports.phrases import source_of
from lmdiag.run import Run
from lmdiag.watching.changes import Change


class Notices:
    """Sends notices to services, each given as one of apprise's URLs; these hold passwords, and are never shown."""

    def __init__(self, urls: Sequence[str], dry: bool) -> None:
        self._services = [(_kind(url), _service(url)) for url in urls]
        self._dry = dry

    def send(self, change: Change, run: Run) -> None:
        """Tell every service what has changed; one that does not take it is said, and hides it from no other."""
        title, body = words(change, run)
        for kind, service in self._services:
            if self._dry:
                say(f"--dry-run: a notice to {kind} would say: {title}: {' '.join(body.split())}")
            elif not _sent(service, title, body):
                say(f"warning: the notice to {kind} could not be sent")


def words(change: Change, run: Run) -> tuple[str, str]:
    """Return title and text of a notice."""
    what = change.finding.rule if change.finding is not None else change.what
    lines = [f"{source_of(run)}, {run.place(change.step)}", change.message]
    if change.finding is not None:
        lines += [f"What to do: {advice}" for advice in change.finding.advice[:1]]
    return f"lmdiag: {what}", "\n".join(lines)


def _service(url: str) -> Any:
    try:
        import apprise
    except ImportError as error:
        raise BadSetting("--notify needs the package apprise", "pip install apprise") from error
    log = logging.getLogger("apprise")  # what it warns of may hold the URL
    log.addHandler(logging.NullHandler())
    log.propagate = False
    service = apprise.Apprise()
    if not service.add(url):
        raise BadSetting(
            f"--notify: apprise knows no such service as {_kind(url)}, or the URL lacks a part of it",
            "its documentation lists the URLs, such as mailto://user:password@host",
        )
    return service


def _kind(url: str) -> str:
    """Return what may be shown of a URL.

    >>> _kind("slack://secret/token"), _kind("secret")
    ('slack://…', '…')
    """
    scheme, mark, _ = url.partition("://")
    return f"{scheme}{mark}…" if mark else "…"


def _sent(service: Any, title: str, body: str) -> bool:
    try:
        return bool(service.notify(body=body, title=title))
    except Exception:  # each service raises errors of its own, which may hold its URL
        return False
