"""Write what was found back to the runs on the servers of trackers, where people look at them."""

from __future__ import annotations

from collections.abc import Sequence

from lmdiag.cli.streams import say
from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.reports.phrases import visible
from lmdiag.reports.published import published
from lmdiag.reports.report import Report
from lmdiag.sources.addresses import is_tracked


def check_addresses(paths: Sequence[str]) -> None:
    """Raise BadSetting where no path is a run on a server."""
    if not any(map(is_tracked, paths)):
        raise BadSetting("--publish is for runs on servers", "give it with an address such as mlflow://HOST:PORT/NAME")


def publish(report: Report, dry: bool) -> None:
    """Write to each run that was judged, or say what would be written; one that does not take it is said, and stops no other."""
    from lmdiag.trackers import publish as publish_to

    for diagnosis in report.diagnoses:
        where, said = visible(diagnosis.run.source), published(diagnosis)
        if not is_tracked(where):
            continue
        if dry:
            told = "; ".join(f"{name} = {' / '.join(text.splitlines())}" for name, text in said.items())
            say(f"--dry-run: would write to {where}: {told}")
            continue
        try:
            publish_to(diagnosis.run.source, said)
        except UnreadableLog as problem:
            say(f"warning: nothing was written to {where}: {problem.message}")
