"""Evidence is told in words a reader knows: names, units, and no more digits than help."""

import re
from pathlib import Path

import pytest

from lmdiag import read
from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding
from lmdiag.reports.evidence import LABELS, OF_SPIKES, UNITS, evidence

ROOT = Path(__file__).parents[2]
LOGS = sorted((ROOT / "sample_logs").glob("*.jsonl"))


def told(**numbers):
    return [" ".join(pair) for pair in evidence(Finding("…", 1, 2, evidence=numbers))]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rank_trend", -1.014, "certainty of the trend -1 standard deviations"),
        ("standard_errors", 7.5e12, "certainty more than 1,000 standard errors"),
        ("bytes_per_step", 4_189_565.0, "growth per step 4 MiB"),
        ("first_bytes", 358_400_000.0, "first 342 MiB"),
        ("after_s", 1.566e-4, "after 157 µs"),
        ("excess", 0.067, "above its level by 7%"),
        ("excess", 614.3, "above its level by 620 times"),
        ("ratio", 736_692.4, "ratio more than 1,000 times"),
        ("records", 1234, "records 1,234"),
        ("lr", 2.5e-5, "learning rate 2.5e-5"),
        ("end", float("inf"), "level at the end ∞"),
    ],
)
def test_numbers_have_names_and_units(name, value, words):
    assert told(**{name: value}) == [words]


@pytest.mark.parametrize(("family", "words"), [("spikes", "highest value"), ("schedule", "highest learning rate")])
def test_a_peak_is_that_of_what_the_rule_is_about(family, words):
    assert evidence(Finding("…", 1, 2, evidence={"peak": 5.168}, family=family)) == [(words, "5.168")]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_no_evidence_needs_a_statistician_or_counts_digits(path):
    for finding in diagnose(read(path)).findings:
        for words in told(**finding.evidence):
            assert not re.search(r"rank trend|^standard errors|^deviations|_|e\+|\d{8}", words), words


def test_every_name_that_has_words_is_one_that_a_rule_gives():
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lmdiag/rules").rglob("*.py"))
    given = set(re.findall(r'"(\w+)": |evidence\["(\w+)"\]', rules))
    assert {*LABELS, *OF_SPIKES, *UNITS} <= {name for pair in given for name in pair}
