"""The report as JUnit XML: one suite per training run, one case per rule, passed, failed or skipped with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, fails, severity_of
from lmdiag.reports.evidence import evidence
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.phrases import source_of
from lmdiag.reports.report import Report
from lmdiag.run import Run

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    """Return the report as JUnit XML; a case fails when its finding would fail the gate."""
    root = ElementTree.Element("testsuites", name="lmdiag")
    for diagnosis in report.diagnoses:
        root.append(_suite(diagnosis, report))
    for unreadable in report.unreadable:
        root.append(_broken(unreadable))
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _suite(diagnosis: Diagnosis, report: Report) -> ElementTree.Element:
    source = _clean(source_of(diagnosis.run))
    suite = ElementTree.Element("testsuite", name=source)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("verdict", diagnosis.verdict), ("format", diagnosis.run.format)):
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    for name in _case_names(diagnosis):
        suite.append(_case(name, source, diagnosis, report.fail_on))
    return _counted(suite)


def _case_names(diagnosis: Diagnosis) -> list[str]:
    others = [n.rule for n in diagnosis.not_checked] + [f.rule for f in diagnosis.findings]
    return list(dict.fromkeys([*diagnosis.asked, *others]))


def _case(name: str, source: str, diagnosis: Diagnosis, fail_on: str) -> ElementTree.Element:
    """Return the case of one rule: failed, passed with words on standard output, skipped, or simply passed."""
    case = ElementTree.Element("testcase", name=name, classname=source, time="0")
    found = [f for f in diagnosis.findings if f.rule == name]
    failing = [f for f in found if fails(severity_of(f), fail_on)]
    refused = [n.why for n in diagnosis.not_checked if n.rule == name]
    if failing:
        kind = max(map(severity_of, failing)).label
        failure = ElementTree.SubElement(case, "failure", type=kind, message=_clean(failing[0].message))
        failure.text = _words(diagnosis.run, failing)
    elif refused:
        ElementTree.SubElement(case, "skipped", message=_clean("; ".join(refused)))
    passing = [f for f in found if f not in failing]
    if passing:
        ElementTree.SubElement(case, "system-out").text = _words(diagnosis.run, passing)
    return case


def _words(run: Run, findings: Sequence[Finding]) -> str:
    lines = []
    for f in findings:
        lines.append(f"{severity_of(f).label}, {run.place(f.first_step, f.last_step)}: {f.message}")
        lines += [", ".join(map(" ".join, evidence(f)))] if f.evidence else []
        lines += [f"{rank}. {advice}" for rank, advice in enumerate(f.advice, 1)]
    return _clean("\n".join(lines))


def _broken(unreadable: Unreadable) -> ElementTree.Element:
    source = _clean(unreadable.source)
    suite = ElementTree.Element("testsuite", name=source)
    case = ElementTree.SubElement(suite, "testcase", name="readable", classname=source, time="0")
    error = ElementTree.SubElement(case, "error", type="unreadable", message=_clean(unreadable.error))
    error.text = _clean(unreadable.hint)
    return _counted(suite)


def _counted(suite: ElementTree.Element) -> ElementTree.Element:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", "0")
    return suite


def _clean(text: str) -> str:
    """Return the text without the characters that XML cannot hold."""
    return NOT_XML.sub("?", text)
