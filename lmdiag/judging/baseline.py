"""A baseline: the file of findings that are known, so that only new ones fail the gate."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from lmdiag.config import Settings
from lmdiag.errors import BadSetting
from lmdiag.finding import severity_of
from lmdiag.judging.suppressions import Accepted, in_force
from lmdiag.reports.locations import fingerprints, relative_path
from lmdiag.reports.report import Report
from lmdiag.strict_json import dumps

SCHEMA = "lmdiag-baseline/1"


def accepted_by(settings: Settings) -> Accepted:
    """Return the findings that do not count: those that the settings suppress today, and those of the baseline."""
    known = read_baseline(Path(settings.baseline)) if settings.baseline else frozenset()
    return Accepted(in_force(settings.suppress, datetime.date.today()), known, settings.baseline)


def read_baseline(path: Path) -> frozenset[str]:
    """Return the fingerprints that a baseline holds."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA!r}")
        return frozenset(entry["fingerprint"] for entry in document["findings"])
    except FileNotFoundError as error:
        raise BadSetting(f"there is no baseline {path}", "make one: lmdiag baseline PATH... -o FILE") from error
    except OSError as error:
        raise BadSetting(
            f"cannot read the baseline {path}: {error.strerror or error}", "check that it may be read"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        lacks = f": it has no {error.args[0]}" if isinstance(error, KeyError) else f" ({error})"
        raise BadSetting(
            f"{path} is not a lmdiag baseline{lacks}", "make it anew: lmdiag baseline PATH... -o FILE"
        ) from error


def baseline_of(report: Report) -> str:
    """Return the baseline that makes every finding of the report a known one, with words for those who review it."""
    findings = [
        {
            "fingerprint": fingerprint,
            "rule": finding.rule,
            "severity": severity_of(finding).label,
            "source": relative_path(diagnosis.run.source),
            "message": finding.message,
        }
        for diagnosis in report.diagnoses
        for finding, fingerprint in zip(diagnosis.findings, fingerprints(diagnosis), strict=True)
    ]
    ordered = sorted(findings, key=lambda entry: (entry["source"], entry["rule"], entry["fingerprint"]))
    return dumps({"schema": SCHEMA, "findings": ordered}, indent=2)
