"""Reports: the diagnoses of one invocation -> text in one format; one file per format, each with `render(report)`.

To add a format, write its file and add one line to `FORMATS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmdiag.reports.report import Report

FORMATS = {  # name: module; imported when first used, for some import libraries of their own
    "text": "lmdiag.reports.text",
    "concise": "lmdiag.reports.concise",
    "json": "lmdiag.reports.json",
    "jsonl": "lmdiag.reports.jsonl",
    "markdown": "lmdiag.reports.markdown",
    "html": "lmdiag.reports.html",
    "sarif": "lmdiag.reports.sarif",
    "junit": "lmdiag.reports.junit",
    "github": "lmdiag.reports.github",
    "gitlab": "lmdiag.reports.gitlab",
}


def render(report: Report, format: str = "text", **options: Any) -> str:
    """Return the report in one of `FORMATS`; `options` go to the format's own `render`.

    >>> from lmdiag.reports.report import Report
    >>> render(Report(), "concise")
    ''
    """
    text: str = import_module(FORMATS[format]).render(report, **options)
    return text
