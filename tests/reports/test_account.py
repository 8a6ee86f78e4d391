"""The account of a log in reports: one calm line, all of it with -v, and every part in JSON."""

import json

from lmdiag.config import Settings
from lmdiag.judging.judged import judged_runs
from lmdiag.judging.logs import report_of
from lmdiag.judging.reading import runs_of
from lmdiag.judging.suppressions import Accepted
from lmdiag.reports import render
from lmdiag.reports.terminal import Style
from lmdiag.sources.source import Source

TABLE = "step,lm loss,note,mood\n" + "".join(f"{n},{5 - n / 50},fine,{n % 3}\n" for n in range(1, 60)) + "torn\n" * 3


def report(text=TABLE):
    settings = Settings()
    runs = runs_of(Source("a.csv", content=text.encode()))
    return report_of([judged_runs(runs, settings, Accepted((), frozenset(), ""))], settings)


def test_one_line_says_what_matters():
    said = render(report(), "text", style=Style(100))
    assert "Read 60 of 63 lines; 4 columns, 1 not used: note." in said
    assert '"lm loss" is' not in said


def test_verbose_says_all():
    said = " ".join(render(report(), "text", style=Style(100, verbose=True)).split())
    for words in (
        "63 lines: 59 with records, 1 of text, 3 lost; 59 rows in this run.",
        '"lm loss" is loss in nats per token.',
        "Kept under their own names, as lmdiag does not know them: mood.",
        "Counts the steps: step.",
        'Not used: "note": it holds words.',
    ):
        assert words in said


def test_what_was_lost_for_one_reason_is_one_line():
    ragged = "step,loss\n" + "".join(f"{n},{5 - n / 50}\n" for n in range(1, 40)) + "1,2,3\n1,2,3,4\n" * 30
    said = render(report(ragged), "text", style=Style(100, verbose=True))
    assert [line.strip() for line in said.splitlines() if "Not read" in line] == [
        "Not read: 3–4 fields where the header has 2 (60 times, first on line 41)."
    ]


def test_json_has_every_part():
    account = json.loads(render(report(), "json"))["runs"][0]["account"]
    assert account["lines"] == {"all": 63, "with_records": 59, "blank": 0, "text": 1, "lost": 3}
    assert account["rows"] == 59
    assert account["dropped"] == [
        {"reason": "1 fields where the header has 4", "count": 3, "unit": "record", "line": 61}
    ]
    assert account["columns"][1] == {
        "name": "lm loss", "use": "metric", "metrics": ["loss"], "unit": "nats per token", "scale": 1.0, "values": 59, "why": "",
    }  # fmt: skip
