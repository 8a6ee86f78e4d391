"""The JSON report keeps the contract `lmdiag-report/1`, and is strict JSON whatever the numbers are."""

import json

import pytest
from jsonschema import Draft202012Validator

import lmdiag
from lmdiag.reports.json import render
from lmdiag.reports.report import Report
from lmdiag.reports.schema import json_schema


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_report_follows_its_schema(report):
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator(json_schema()).validate(strict(render(report)))


def test_an_empty_report_follows_its_schema():
    document = strict(render(Report()))
    Draft202012Validator(json_schema()).validate(document)
    assert (document["verdict"], document["runs"], document["unreadable"]) == ("not-judged", [], [])


@pytest.mark.parametrize("lost", ["verdict", "findings", "not_checked"])
def test_the_schema_wants_every_part(report, lost):
    document = strict(render(report))
    (document if lost == "verdict" else document["runs"][1]).pop(lost)
    assert not Draft202012Validator(json_schema()).is_valid(document)


def test_one_run_says_what_the_contract_promises(sick):
    run = strict(render(Report((sick,))))["runs"][0]
    keys = "name source format method verdict known complete planned_share unjudged steps summary findings not_checked notes account skipped_lines"
    assert list(run) == keys.split()
    assert run["steps"] == {
        "counts": "step",
        "first": 1,
        "last": 2000,
        "points": 2000,
        "segments": 2,
        "complete": False,
    }
    assert run["skipped_lines"] == 4
    assert run["summary"]["loss_last"] == run["summary"]["perplexity_last"] == "NaN"
    assert run["summary"]["best"] == {"metric": "val/loss", "step": 1300, "value": 3.05}
    assert run["findings"][0]["evidence"] == {"rebound": 5.02, "level_before": 3.02, "z": "Infinity"}
    assert run["findings"][0]["changes"] == [None, {"lr": 0.0015}, None, None]
    assert run["findings"][1]["consequence_of"] == "divergence"
    assert run["not_checked"][0] == {"rule": "dead-layer", "why": "the log has no per-layer statistics"}


def test_the_head_names_version_and_worst_verdict(report):
    document = strict(render(report))
    assert document["schema"] == "lmdiag-report/1"
    assert document["lmdiag"] == lmdiag.__version__
    assert document["verdict"] == "unhealthy"
    assert document["unreadable"] == [
        {"source": "runs/broken.bin", "error": "this is not a text file", "hint": "Give the log, not the checkpoint."}
    ]
