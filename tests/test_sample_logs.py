"""Every sample log raises exactly the rules it was made for, no others, and fulfils the schema of the log."""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from lmdiag.config import Settings
from lmdiag.diagnose import diagnose
from lmdiag.figures import figure
from lmdiag.finding import Advice
from lmdiag.judging.logs import TEXT, judge
from lmdiag.judging.reading import read
from lmdiag.record.schema import json_schema
from lmdiag.reports import render
from lmdiag.reports.json import run_entry
from lmdiag.reports.notebook import report_html
from lmdiag.reports.report import Report
from lmdiag.reports.terminal import Style
from lmdiag.reports.text import render as in_text
from lmdiag.rules import RULES
from trainers import sample_logs
from trainers.__main__ import TRAINERS
from trainers.faults import FAULTS

LOGS = Path(__file__).parents[1] / "sample_logs"
NAMES_A_STEP = re.compile(r"\bsteps? [\d<]|\d steps?\b|\b(this|that|these|same) steps?\b")
EXPECTED = tomllib.loads((LOGS / "expected.toml").read_text(encoding="utf-8"))


def test_every_log_is_expected_and_every_expectation_has_its_log():
    assert {path.name for path in LOGS.glob("*.jsonl")} == set(EXPECTED)


def test_a_log_that_is_not_expected_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as left:
        sample_logs.main(["plateau", "plateau.jsonl"])
    assert left.value.code == 2
    assert "not in sample_logs/expected.toml: plateau.jsonl; name logs without .jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("name", EXPECTED)
def test_no_report_names_a_step_of_a_log_that_counts_epochs(name):
    diagnosis = diagnose(replace(read(LOGS / name), step_kind="epoch"))
    findings = tuple(replace(finding, evidence={}) for finding in diagnosis.findings)  # its keys are for programs
    told = Report((replace(diagnosis, findings=findings),))
    sentences = [n.why for n in diagnosis.not_checked] + [w for f in diagnosis.findings for w in (f.message, *f.advice)]
    for text in (*sentences, *(render(told, shape) for shape in ("concise", "github", "gitlab", "junit", "markdown"))):
        assert not NAMES_A_STEP.search(text), text
    assert not NAMES_A_STEP.search(in_text(told, Style(verbose=True)))
    assert not NAMES_A_STEP.search(report_html((diagnosis,), ()))


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_has_a_healthy_log(name):
    alarms = {f.rule for f in diagnose(read(LOGS / f"healthy-{name}.jsonl")).findings if f.alarms}
    assert alarms == set()
    assert EXPECTED[f"healthy-{name}.jsonl"]["command"].split()[0] == name


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_has_a_log_that_names_it(fault):
    rules = {rule for made in EXPECTED.values() for rule in made["rules"]}
    assert rules & set(FAULTS[fault].rules)


def test_only_known_rules_are_expected():
    assert {rule for made in EXPECTED.values() for rule in made["rules"]} <= {rule.name for rule in RULES}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_raises_exactly_its_rules(name):
    found = {finding.rule for finding in diagnose(read(LOGS / name)).findings}
    assert sorted(found) == sorted(EXPECTED[name]["rules"])


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_advice_says_the_settings_it_changes_and_decides_each_once(name):
    findings = diagnose(read(LOGS / name)).findings
    decided = [what for f in findings for line in f.advice if isinstance(line, Advice) for what in line.about]
    assert sorted(decided) == sorted(set(decided))
    for line, change in ((line, c) for f in findings for line, c in zip(f.advice, f.changes, strict=True) if c):
        for value in change.values():
            assert str(value) in line or figure(value) in line, (line, change)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_record_fulfils_the_schema(name):
    validator = jsonschema.Draft202012Validator(json_schema())
    lines = (LOGS / name).read_text(encoding="utf-8").split("\n")[:-1]  # a killed run may leave a torn line behind
    assert [error.message for line in lines for error in validator.iter_errors(json.loads(line))] == []
    assert (LOGS / name).stat().st_size < 300_000


def test_a_log_is_reported_alike_alone_and_among_many():
    """In the folder only some points of each run are kept; one that lies beside its twin says so."""
    among_many = {Path(d.run.source).name: run_entry(d) for d in judge(LOGS, Settings(), keep=TEXT).diagnoses}
    assert set(among_many) == set(EXPECTED)
    for name, entry in among_many.items():
        (alone,) = map(run_entry, judge(LOGS / name, Settings()).diagnoses)
        assert {**entry, "notes": []} == {**alone, "notes": []}, name
