"""Suppressions and baselines: what is accepted no longer counts, is said, and does not outlive its reason."""

import datetime
import json
import re

import numpy as np
import pytest

from tests.cli.conftest import falling, write_log

BASE = "select = ['numerics', 'spikes']\n[[suppress]]\nrule = {rule}\nreason = 'planned'\n{more}\n"


@pytest.fixture
def settings(tmp_path):
    def write(rule="'non-finite-loss'", more=""):
        (tmp_path / "lmdiag.toml").write_text(BASE.format(rule=rule, more=more))

    return write


@pytest.mark.parametrize(
    ("rule", "more", "code"),
    [
        ("'non-finite-loss'", "", 0),
        ("'numerics'", "", 0),
        ("'all'", "", 0),
        ("'loss-spike'", "", 1),
        ("'numerics'", "match = 'runs/b*'", 0),
        ("'numerics'", "match = 'runs/g*'", 1),
        ("'numerics'", "steps = [300, 400]", 0),
        ("'numerics'", "steps = [1, 300]", 1),
        ("'numerics'", "until = 2999-01-01", 0),
        ("'numerics'", "until = 2020-01-01", 1),
    ],
)
def test_a_suppression_holds_where_it_says(run, bad, settings, rule, more, code):
    settings(rule, more)
    assert run("check", "runs/bad.jsonl").code == code


def test_what_is_suppressed_is_said_in_every_report(run, bad, settings):
    settings()
    told = run("check", bad).out
    assert "1 finding does not count (non-finite-loss): planned." in told
    assert "Nothing else found: " in told
    document = json.loads(run("check", bad, "-f", "json").out)
    assert document["verdict"] == "healthy"
    assert [(s["rule"], s["reason"]) for s in document["suppressed"]] == [("non-finite-loss", "planned")]
    assert '"type": "suppressed"' in run("check", bad, "-f", "jsonl").out
    assert "planned" in run("check", bad, "-f", "markdown").out


def test_a_suppression_that_is_not_needed_is_said(run, good, settings):
    settings()
    assert "the suppression of non-finite-loss (planned) suppresses nothing: remove it" in run("check", good).err


@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        ([{"rule": "non-finite-loss", "reason": "planned"}], 0, ""),
        ([{"rule": "numerics", "reason": "planned", "steps": [290, 310], "until": "2999-01-01"}], 0, ""),
        ([{"rule": "numerics", "reason": "planned", "steps": [1, 20]}], 1, "suppresses nothing: remove it"),
        ([{"rule": "numerics", "reason": "planned", "until": "2020-01-01"}], 1, "expired on 2020-01-01"),
        ([{"rule": "numerics"}], 1, "suppress: an entry has no reason"),
        ([{"rule": "numerics", "reason": "planned", "stepps": []}], 1, "unknown setting 'stepps'"),
        ("numerics", 1, "must be a list of tables"),
    ],
)
def test_the_header_of_a_log_may_accept_findings_of_its_own(run, tmp_path, written, code, said):
    losses = falling()
    losses[300:] = np.nan
    write_log(tmp_path / "bad.jsonl", losses, suppress=written)
    done = run("check", "bad.jsonl", "--select", "numerics", "-f", "json")
    assert done.code == code
    assert len(json.loads(done.out)["suppressed"]) == (code == 0)
    assert said in done.err
    assert bool(done.err) == bool(said)


def test_the_header_of_one_log_says_nothing_about_another(run, bad, tmp_path):
    write_log(tmp_path / "good.jsonl", falling(), suppress=[{"rule": "all", "reason": "planned"}])
    assert run("check", "good.jsonl", bad, "--select", "numerics").code == 1


def test_a_suppression_of_other_logs_is_no_matter(run, good, settings):
    settings(more="match = 'elsewhere/*'")
    assert run("check", good).err == ""


def test_a_suppression_that_expired_is_said(run, bad, settings):
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    settings(more=f"until = {yesterday}")
    assert f"expired on {yesterday}" in run("check", bad).err


def test_a_suppression_holds_on_its_last_day(run, bad, settings):
    settings(more=f"until = {datetime.date.today()}")
    assert run("check", bad).code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[suppress]]\nrule = 'plateau'", "an entry has no reason"),
        ("[[suppress]]\nreason = 'x'", "an entry has no rule"),
        ("[[suppress]]\nrule = 'plateua'\nreason = 'x'", 'did you mean "plateau"?'),
        ("[[suppress]]\nrule = 'plateau'\nreason = ''", "reason must be a text"),
        ("[[suppress]]\nrule = 'plateau'\nreason = 'x'\nuntil = 'June'", "until must be a date"),
        ("[[suppress]]\nrule = 'plateau'\nreason = 'x'\nsteps = [2, 1]", "the first and the last step"),
        ("[[suppress]]\nrule = 'plateau'\nreason = 'x'\npath = 'a'", "unknown setting 'path'"),
        ("[suppress]\nrule = 'plateau'", "must be a list of tables"),
    ],
)
def test_a_suppression_that_does_not_fit_is_refused(run, good, tmp_path, text, said):
    (tmp_path / "lmdiag.toml").write_text(text)
    done = run("check", good)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_known_findings_do_not_fail_and_new_ones_do(run, good, bad, tmp_path):
    done = run("baseline", bad, "--select", "numerics")
    assert (done.code, done.out) == (0, "")
    assert "1 finding of 1 run" in done.err
    assert run("check", bad).code == 1
    done = run("check", bad, "--baseline", "lmdiag-baseline.json")
    assert done.code == 0
    assert "known: it is in lmdiag-baseline.json" in " ".join(done.out.split())
    bad.write_text(re.sub(r'"step": 200, "loss": [\d.]+', '"step": 200, "loss": 99.0', bad.read_text()))
    new = run("check", bad, "--baseline", "lmdiag-baseline.json", "-f", "concise", "--fail-on", "info")
    assert new.code == 1
    assert "loss-spike" in new.out
    assert "non-finite-loss" not in new.out


def test_a_baseline_can_stand_in_the_settings_and_be_made_anew(run, bad, tmp_path):
    (tmp_path / "lmdiag.toml").write_text("baseline = 'known.json'\nselect = 'numerics'\n")
    assert "there is no baseline known.json" in run("check", bad).err
    assert run("baseline", bad, "-o", "known.json").code == 0
    assert run("check", bad).code == 0
    assert run("baseline", bad, "-o", "known.json").code == 0
    assert len(json.loads((tmp_path / "known.json").read_text())["findings"]) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "(Expecting value"),
        ("[]", "(list indices"),
        ("{}", ": it has no schema"),
        ('{"schema": "x"}', "(its schema is 'x', not 'lmdiag-baseline/1')"),
        ('{"schema": "lmdiag-baseline/1"}', ": it has no findings"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(run, bad, tmp_path, text, why):
    (tmp_path / "a.json").write_text(text)
    done = run("check", bad, "--baseline", "a.json")
    assert done.code == 2
    assert f"a.json is not a lmdiag baseline{'' if why[0] == ':' else ' '}{why}" in done.err


def test_a_baseline_that_cannot_be_read_is_said_to_be_one(run, bad, tmp_path):
    (tmp_path / "a.json").mkdir()
    done = run("check", bad, "--baseline", "a.json")
    assert done.code == 2
    assert "cannot read the baseline a.json: Is a directory" in done.err
