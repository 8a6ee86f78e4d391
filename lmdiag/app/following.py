"""Open files that grow: only what was added to them is read, and new files of opened folders are found."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from lmdiag.app import logs, reading, server
from lmdiag.app.markup import plain, short
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.finding import Finding, Key, keys
from lmdiag.judging.baseline import accepted_by
from lmdiag.judging.judged import Judged, internal_error, judged_runs, unreadable
from lmdiag.judging.reading import options_for
from lmdiag.reports.phrases import visible
from lmdiag.sources.source import Source
from lmdiag.watching.changes import changes
from lmdiag.watching.follower import Follower
from lmdiag.watching.tracked import TrackedFollower

EVERY_S = 2.75  # a page that is drawn within a quarter of a second more is never older than three
LEAST_S = 1.0  # between a page that took long and the next look, in which a reader can do something
GROWING_S = 60.0  # a file that was written to since then is said to grow
ASK_S = 10.0  # the server of a tracker is asked for each run at most so often
RESCAN_S = 10.0  # folders are looked through for new files at most so often


def is_on() -> bool:
    """Whether the reader asked to follow the files of the server."""
    return bool(st.session_state.get("follow")) and logs.any_grows()


def refresh() -> None:
    """Take in what was added to the open files, and tell which alarms are new."""
    logs.open_new_files(RESCAN_S)
    for key, log in list(logs.all_open().items()):
        if not log.grows or not _grew(log):
            continue
        now = _judged_again(log)
        logs.all_open()[key] = now
        _let_go(log)
        for place, diagnosis in enumerate(now.judged.diagnoses):
            _tell(log.judged.diagnoses, diagnosis, f"{key}/{place}")


def wait_for_news(since: float) -> None:
    """Look for news again and again, the first time so much sooner as drawing the page took, `since` a time of `time.monotonic`."""
    taken = time.monotonic() - since
    st.fragment(run_every=max(EVERY_S - taken, LEAST_S))(_look)()


def _look() -> None:
    """Draw the page anew when a file has grown; within a run of the whole page there is nothing to wait for."""
    if st.session_state.pop("just_drawn", False):
        _say_ages()
    elif logs.new_files(RESCAN_S) or _any_grew():
        st.rerun()
    else:
        _say_ages()


def age_of(log: reading.Log) -> float | None:
    """Return how many seconds ago a log of the server was last written to; None for uploads and for files that are gone."""
    follower = _followers().get(log.key)
    if isinstance(follower, TrackedFollower):
        return max(time.time() - follower.changed, 0.0)
    try:
        return max(time.time() - max(path.stat().st_mtime for path in log.files), 0.0) if log.files else None
    except OSError:
        return None


def told(age: float | None) -> str:
    """Return an age in words.

    >>> told(12.3), told(300.0), told(10_000.0), told(None)
    ('12 s', '5 min', '2.8 h', '')
    """
    if age is None:
        return ""
    if age < 120:
        return f"{age:.0f} s"
    return (
        f"{age / 60:.0f} min" if age < 7200 else f"{age / 3600:.1f} h" if age < 172_800 else f"{age / 86_400:.0f} days"
    )


def _say_ages() -> None:
    ages = [age for log in logs.all_open().values() if (age := age_of(log)) is not None]
    growing = sum(age < GROWING_S for age in ages)
    if ages:
        grows = (
            f"{growing} of {len(ages)} grew within a minute"
            if len(ages) > 1
            else "growing"
            if growing
            else "not growing"
        )
        st.caption(f"Last record {told(min(ages))} ago; {grows}.")


def _followers() -> dict[str, Follower | TrackedFollower]:
    found: dict[str, Follower | TrackedFollower] = st.session_state.setdefault("followers", {})
    return found


def _polled(log: reading.Log) -> bool:
    """Tell whether a log has grown since it was last judged."""
    news: dict[str, bool] = st.session_state.setdefault("news", {})
    if log.beside:
        news[log.key] = reading.states_of(log) != log.states
    elif log.source is not None and log.source.tracked:
        news[log.key] = _polled_server(log.key, log.source) or news.get(log.key, False)
    elif log.path is not None:
        follower = _followers().get(log.key)
        if follower is None:  # what was there when the log was opened has been read already
            options = options_for(Source(log.name), reading.project_settings(), reading.read_as(log.key))
            changed, follower = reading.states_of(log) != log.states, Follower(str(log.path), options, log.name)
            grown = server.aside(follower.poll) and changed
            _followers()[log.key] = follower
        else:
            grown = follower.poll()
        news[log.key] = news.get(log.key, False) or grown
    return news.get(log.key, False)


def _polled_server(key: str, source: Source) -> bool:
    """Tell whether a server has news of a run; one that is over has none."""
    follower = _followers().get(key)
    if follower is None:
        options = options_for(source, reading.project_settings(), reading.read_as(key))
        follower = _followers()[key] = TrackedFollower(source, options, ASK_S)
    return not (isinstance(follower, TrackedFollower) and follower.ended) and server.aside(follower.poll)


def _any_grew() -> bool:
    grew = [_polled(log) for log in logs.all_open().values() if log.grows]  # each must take in its news
    return any(grew)


def _grew(log: reading.Log) -> bool:
    grew = _polled(log)
    st.session_state["news"][log.key] = False
    return grew


def _judged_again(log: reading.Log) -> reading.Log:
    """Return the log with its runs as they are now; one that cannot be read just now stays as it was."""
    states = reading.states_of(log)
    if log.beside:
        return replace(reading.read_file(log.path, log.name, log.beside), group=log.group) if log.path else log
    settings, follower = reading.project_settings(), _followers()[log.key]
    try:
        judged = server.aside(lambda: judged_runs(follower.runs(), settings, accepted_by(settings)))
    except LmdiagError as error:
        judged = log.judged if log.judged.diagnoses else Judged(unreadable=(unreadable(log.name, error),))
    except Exception as error:  # a defect of ours must not end the watch
        judged = Judged(unreadable=(internal_error(log.name, error),))
    return replace(log, judged=judged, states=states)


def _let_go(log: reading.Log) -> None:
    """Drop what is remembered of an earlier version of a log: the points of a long run take a hundred MB."""
    if not log.beside:
        reading.forget(log.key)
    drawn: dict[str, tuple[object, ...]] = st.session_state.get("drawn", {})
    for place in [place for place, (diagnosis, *_) in drawn.items() if diagnosis in log.judged.diagnoses]:
        del drawn[place]


def _tell(before: tuple[Diagnosis, ...], now: Diagnosis, key: str) -> None:
    """Show a notice for each alarm that a run did not have at the last look."""
    known = next((_alarms(diagnosis) for diagnosis in before if diagnosis.run.name == now.run.name), None)
    if known is None:
        return
    for change in changes(known, _alarms(now), now.run.last_step):
        if change.what in ("new", "graver") and change.finding is not None:
            name, what = (
                short(logs.names().get(key, now.run.name), 40),
                f"{change.finding.rule}, {now.run.place(change.finding.first_step)}",
            )
            st.toast(f"**{plain(name)}**: {plain(what)}", icon="⚠️", duration="long")
            st.session_state.setdefault("arisen", []).append(visible(f"{name}: {what}"))


def _alarms(diagnosis: Diagnosis) -> dict[Key, Finding]:
    return {key: found for key, found in zip(keys(diagnosis.findings), diagnosis.findings) if found.alarms}
