"""The address of runs on a tracker's server: `mlflow://HOST:PORT/EXPERIMENT[/RUN][?limit=20&state=failed&tag=team=nlp&since=7d]`."""

from __future__ import annotations

import re
import time
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from lmdiag.errors import UnreadableLog
from lmdiag.sources.addresses import without_secrets

STATES = ("running", "finished", "failed", "killed")
LONGEST_LIMIT = 9  # digits
FILTERS = ("limit", "state", "tag", "since", "until")
_AGO = re.compile(r"([0-9]{1,5})([mhdw])")
_UNSAFE = re.compile(r"[\s/?#%'\"\\\x00-\x1f]")  # of a name: what would end it in an address, or in a shell
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Filters:
    """Which runs are wanted: at most `limit` of the newest, in one of the `states`, with each of the `tags` (a value of ""
    is any), begun from `since` to `until`, in seconds since the epoch."""

    limit: int | None = None
    states: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    since: float | None = None
    until: float | None = None

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()

    def in_time(self, begun: float) -> bool:
        """Whether a run that began then, in seconds since the epoch, is wanted.

        >>> Filters(since=10.0).in_time(5.0), Filters(since=10.0, until=30.0).in_time(20.0)
        (False, True)
        """
        return (self.since or 0.0) <= begun <= (self.until or float("inf"))

    def tagged(self, words: Container[str]) -> bool:
        """Whether a run is wanted whose tags are words; one with a value is written `name=value`.

        >>> Filters(tags=(("team", "nlp"), ("good", ""))).tagged({"team=nlp", "good", "big"})
        True
        """
        return all((f"{key}={value}" if value else key) in words for key, value in self.tags)


@dataclass(frozen=True)
class Address:
    """An address taken apart; `parts` are the names behind the host, as they are."""

    scheme: str
    host: str
    parts: tuple[str, ...] = ()
    filters: Filters = field(default=Filters())

    @property
    def shown(self) -> str:
        """The address without its filters."""
        return "/".join((f"{self.scheme}://{self.host}", *(_UNSAFE.sub(_escaped, part) for part in self.parts)))

    def below(self, *parts: str) -> str:
        """Return the address of what has these names below the host."""
        return replace(self, parts=parts).shown


def parsed(text: str) -> Address:
    """Take an address apart; raise UnreadableLog for one with credentials, or with a filter that does not exist.

    >>> where = parsed("mlflow://localhost:5000/my%20runs?limit=3&tag=team=nlp&tag=good&state=failed,killed")
    >>> where.parts, where.filters.limit, where.filters.tags, where.filters.states
    (('my runs',), 3, (('team', 'nlp'), ('good', '')), ('failed', 'killed'))
    """
    try:
        split = urlsplit(text)
    except ValueError as error:  # of a bracket that is not closed
        hint = "write the host as NAME:PORT, an IPv6 address in brackets, such as [::1]:5000"
        raise UnreadableLog(f"{text.partition('://')[0]}: the address names no host: {error}", hint) from None
    shown = without_secrets(text.partition("?")[0])
    if "@" in split.netloc:
        shown = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
        hint = "give them as the tracker's own client takes them: its variables of the environment, or its file"
        raise UnreadableLog(f"the address of {shown} holds credentials, which logs and reports would show", hint)
    parts = tuple(unquote(part) for part in split.path.split("/") if part)
    given = parse_qsl(split.query, keep_blank_values=True)
    unknown = next((name for name, _ in given if name not in FILTERS), None)
    if unknown is not None:
        raise UnreadableLog(
            f"the address of {shown} has a part behind `?` that is no filter", f"known are {', '.join(FILTERS)}"
        )
    try:
        filters = _filters(given)
    except ValueError as error:
        raise UnreadableLog(f"{shown}: {error}", "such as ?limit=20&state=finished&tag=team=nlp&since=7d") from error
    return Address(split.scheme.lower(), split.netloc, parts, filters)


def _escaped(mark: re.Match[str]) -> str:
    return quote(mark[0], safe="")


def _filters(given: list[tuple[str, str]]) -> Filters:
    last = dict(given)
    states = tuple(state for name, value in given if name == "state" for state in value.split(","))
    if wrong := set(states) - set(STATES):
        raise ValueError(f"there is no state {min(wrong)!r}; known are {', '.join(STATES)}")
    tags = tuple(value.partition("=") for name, value in given if name == "tag")
    return Filters(
        _limit(last["limit"]) if "limit" in last else None,
        states,
        tuple((key, value) for key, _, value in tags),
        _time(last["since"]) if "since" in last else None,
        _time(last["until"]) if "until" in last else None,
    )


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > LONGEST_LIMIT or not int(text):
        raise ValueError(f"limit cannot be {text!r}: it is a number of runs")
    return int(text)


def _time(text: str) -> float:
    """Return a time, given as a date or as how long ago.

    >>> _time("2026-01-02T00:00:00+00:00"), round(time.time() - _time("2h"))
    (1767312000.0, 7200)
    """
    if ago := _AGO.fullmatch(text):
        return time.time() - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):  # the last two of years that clocks do not know
        raise ValueError(f"{text!r} is no time: give a date such as 2026-11-30, or 12h, 7d, 4w") from None
