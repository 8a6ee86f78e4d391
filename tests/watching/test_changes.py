"""Change of a growing log: what changed between two looks, in words and for programs."""

import json

import pytest

from lmdiag.finding import Finding, Severity
from lmdiag.reports.terminal import Style
from lmdiag.run import Run
from lmdiag.watching.changes import Change, as_json, as_text, changes

RISE = Finding(
    "The loss rose.", 5, 9, evidence={"rebound": float("inf")}, advice=("Go back to step 4.", "Lower the learning rate."),
    severity=Severity.WARNING, rule="divergence", family="divergence",
)  # fmt: skip
KEY = ("divergence", "loss", 1)


def with_(**facts):
    from dataclasses import replace

    return {KEY: replace(RISE, **facts)}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, with_(), ["new"]),
        (with_(), with_(), []),
        (with_(), with_(last_step=20, message="It rose on."), []),
        (with_(), with_(severity=Severity.ERROR), ["graver"]),
        (with_(severity=Severity.ERROR), with_(), ["milder"]),
        (with_(), {}, ["gone"]),
        ({}, with_(consequence_of="lr-too-high"), []),
        (with_(), with_(consequence_of="lr-too-high"), []),
        (with_(consequence_of="lr-too-high"), with_(), ["new"]),
        (with_(consequence_of="lr-too-high"), {}, []),
    ],
)
def test_only_what_changed_is_news(before, after, expected):
    assert [news.what for news in changes(before, after, 9)] == expected


def test_the_worst_is_told_first():
    spike = Finding("A spike.", 7, 7, rule="loss-spike", severity=Severity.ERROR)
    found = list(changes({}, {**with_(), ("loss-spike", "loss", 1): spike}, 9))
    assert [news.finding.rule for news in found] == ["loss-spike", "divergence"]


def test_the_text_says_where_what_and_the_first_remedy():
    text = as_text(Change("new", 1234, RISE.message, RISE), "12:00:00", Style(100), Run("a", {}))
    assert text.splitlines()[0] == "12:00:00  step 1,234     ! warning    divergence, steps 5–9: The loss rose."
    assert text.splitlines()[1].strip() == "→ Go back to step 4."
    assert len(text.splitlines()) == 2


def test_the_text_says_what_the_log_counts():
    text = as_text(Change("new", 1234, RISE.message, RISE), "12:00:00", Style(100), Run("a", {}, step_kind="epoch"))
    assert text.startswith("12:00:00  epoch 1,234    ! warning    divergence, epochs 5–9: ")


@pytest.mark.parametrize(
    ("news", "said"),
    [
        (Change("gone", 9, "no longer found", RISE), "○ gone       divergence, steps 5–9: no longer found"),
        (Change("verdict", 9, "was healthy", verdict="unhealthy"), "✗ unhealthy  was healthy"),
        (Change("stalled", 9, "no new record"), "✗ stalled    no new record"),
        (Change("resumed", 9, "the run goes on\x1b[2J"), "· resumed    the run goes on?[2J"),
    ],
)
def test_every_kind_of_news_has_its_words(news, said):
    assert as_text(news, "12:00:00", Style(100), Run("a", {})).endswith(said)


def test_json_is_strict_and_holds_the_finding():
    record = json.loads(as_json(Change("new", 9, RISE.message, RISE), "t", "a"), parse_constant=pytest.fail)
    assert (record["type"], record["run"], record["step"], record["rule"]) == ("new", "a", 9, "divergence")
    assert record["evidence"] == {"rebound": "Infinity"}
    assert json.loads(as_json(Change("verdict", 9, "so far", verdict="healthy"), "t", "a"))["verdict"] == "healthy"
