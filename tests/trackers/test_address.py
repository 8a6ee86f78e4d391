"""The addresses of runs on the servers of trackers, and their filters."""

import time

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import find, groups_at
from lmdiag.sources.addresses import TRACKERS, is_tracked
from lmdiag.trackers.address import Filters, parsed


@pytest.mark.parametrize("part", ["a b", "50%", "a/b", "实验", "what?", "#1", "it's"])
def test_the_address_that_is_shown_names_the_same(part):
    shown = parsed("mlflow://h:5000").below(part, "run 1")
    assert parsed(shown).parts == (part, "run 1")
    assert not set(" ?#'") & set(shown)


def test_filters():
    found = parsed(
        "mlflow://h/e?limit=5&state=failed,killed&state=running&tag=a=b=c&tag=d&since=2026-01-02&until=3h"
    ).filters
    assert (found.limit, found.states, found.tags) == (5, ("failed", "killed", "running"), (("a", "b=c"), ("d", "")))
    assert found.since == time.mktime((2026, 1, 2, 0, 0, 0, 0, 0, -1))
    assert found.until == pytest.approx(time.time() - 3 * 3600, abs=60)
    assert found.any
    assert not Filters().any


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit cannot be '0'"),
        ("limit=x", "limit cannot be 'x'"),
        ("limit=²", "limit cannot be"),
        ("state=great", "there is no state 'great'"),
        ("since=yesterday", "'yesterday' is no time"),
        ("since=9999999999w", "no time"),
        ("colour=red", "no filter"),
        ("limit", "limit cannot be ''"),
    ],
)
def test_wrong_filters(query, said):
    with pytest.raises(UnreadableLog) as caught:
        parsed(f"mlflow://h/e?{query}")
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("scheme", TRACKERS)
@pytest.mark.parametrize("login", ["me:hunter2@", "hunter2@", ":hunter2@", "me:hun%2Fter2@"])
def test_credentials_in_an_address_are_refused_and_not_repeated(scheme, login):
    address = f"{scheme}://{login}host/experiment"
    _, problems = find([address])
    assert "credentials" in problems[0].message
    assert "ter2" not in f"{problems[0].message} {problems[0].hint}"
    assert not any("ter2" in str(problem) for _, problem in groups_at([address])[1])


@pytest.mark.parametrize("name", ["token", "api_key", "password", "key"])
def test_a_credential_behind_the_question_mark_is_refused_and_not_repeated(name):
    _, (problem,) = find([f"mlflow://h/e?{name}=hunter2"])
    assert "hunter2" not in f"{problem.message} {problem.hint}"


def test_which_addresses_are_those_of_trackers():
    assert is_tracked("MLflow://h/e")
    assert not any(map(is_tracked, ["s3://b/a", "mlflow", "mlflow:/a", "C:/mlflow", "hf://user/repo", ""]))


@pytest.mark.parametrize("address", ["mlflow://[::1/e", "trackio://[x/e"])
def test_a_bracket_that_is_not_closed_is_said(address):
    with pytest.raises(UnreadableLog, match="names no host"):
        parsed(address)


def test_more_runs_than_there_can_be_are_no_limit():
    with pytest.raises(UnreadableLog, match="limit cannot be"):
        parsed(f"mlflow://h/e?limit={10**30}")


@pytest.mark.parametrize(
    "address", ["hf://", "hf://user", "hf://user/", "hf://user/*", "hf://datasets/user", "hf://spaces/user/"]
)
def test_what_names_no_repository_of_the_hub_is_said(address):
    _, (problem,) = find([address])
    assert "names no repository of the Hugging Face Hub" in problem.message


def test_a_service_that_has_ended_is_named():
    _, (problem,) = find(["neptune://lab/lm"])
    assert "Neptune's service, which ended on 5 March 2026" in problem.message
