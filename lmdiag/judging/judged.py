"""One source -> its runs judged, in this process or another."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from lmdiag.config import Settings
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError, show_if_debugging
from lmdiag.finding import Severity, severity_of
from lmdiag.judging.policy import diagnosed
from lmdiag.judging.reading import is_foreign, runs_beside
from lmdiag.judging.suppressions import Accepted, without_accepted
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.left_out import PassedOver, Suppressed, Unreadable
from lmdiag.reports.locations import relative_path
from lmdiag.run import Run
from lmdiag.sources.addresses import without_secrets
from lmdiag.sources.source import Source

if TYPE_CHECKING:
    from lmdiag.gather.duplicates import Fingerprint

ALL, CHARTS, TEXT = (
    "all",
    "charts",
    "text",
)  # what is kept of a run: everything, what charts show, what text reports show
CHARTED = 400  # stretches of a curve in a chart


class Judged(Struct, frozen=True):
    """The result for one source: its diagnoses, what was suppressed, fingerprints to find duplicates, or why it could
    not be read or was passed over."""

    diagnoses: tuple[Diagnosis, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    read: tuple[str, ...] = ()  # the files and folders that were looked into, where that was asked

    def changed(self, change: Callable[[Diagnosis], Diagnosis | None]) -> Judged:
        """Return the same with other diagnoses, those of None left out, together with what was suppressed in them."""
        pairs = [(old, new) for old in self.diagnoses if (new := change(old))]
        runs = {id(old.run): new.run for old, new in pairs}
        gone = tuple(s._replace(run=runs[id(s.run)]) for s in self.suppressed if id(s.run) in runs)
        return structs.replace(self, diagnoses=tuple(new for _, new in pairs), suppressed=gone)


def without_duplicates(parts: Sequence[Judged]) -> list[Judged]:
    """Return the results for the sources of a folder, each run once; the fuller of two duplicates names the other.

    Both stay where their findings differ, by settings for their paths or by what only one of the logs holds: none is lost.
    """
    from lmdiag.gather.duplicates import noted, originals

    duplicates = originals([fingerprint for part in parts for fingerprint in part.fingerprints])
    if not duplicates:
        return list(parts)
    diagnoses = [d for part in parts for d in part.diagnoses]
    runs = [d.run for d in diagnoses]
    numbers = {id(run): number for number, run in enumerate(runs)}
    copies = {k: original for k, original in duplicates.items() if _adds_nothing(diagnoses[k], diagnoses[original])}
    differing = {k: original for k, original in duplicates.items() if k not in copies}
    differing |= {original: k for k, original in differing.items()}

    def once(diagnosis: Diagnosis) -> Diagnosis | None:
        number = numbers[id(diagnosis.run)]
        if number in copies:
            return None
        run = noted(diagnosis.run, number, copies, runs)
        if number in differing:
            other = runs[differing[number]].source
            run = replace(run, notes=(*run.notes, f"{other} holds the same run, with other findings."))
        return replace(diagnosis, run=run)

    return [part.changed(once) for part in parts]


def _adds_nothing(copy: Diagnosis, original: Diagnosis) -> bool:
    """Tell whether two diagnoses of one run say the same.

    A log in another format may hold less of the run: it may say less, and its notes, as on evaluations that it lacks, are
    none on the run; its alarms must be those of the fuller log.
    """
    of_copy, of_original = (
        {(f.rule, severity_of(f), f.first_step) for f in diagnosis.findings} for diagnosis in (copy, original)
    )
    if copy.run.format == original.run.format:
        return of_copy == of_original
    return {found for found in of_copy if found[1] >= Severity.WARNING} <= of_original


def judge_run(run: Run, settings: Settings, accepted: Accepted) -> tuple[Diagnosis, list[Suppressed]]:
    """Return the diagnosis of a run without what settings, baseline or its own header accept, and what they accepted."""
    return without_accepted(
        diagnosed(run, settings.for_path(relative_path(run.source))), accepted, datetime.date.today()
    )


def judged_runs(runs: Sequence[Run], settings: Settings, accepted: Accepted) -> Judged:
    """Return the runs of one source, judged."""
    judged = [judge_run(run, settings, accepted) for run in runs]
    suppressed = tuple(gone for _, of_run in judged for gone in of_run)
    return Judged(tuple(diagnosis for diagnosis, _ in judged), suppressed)


class Judging(Struct, frozen=True):
    """Reads a source and judges its runs; `keep` says what is returned of each, with `compared` also its fingerprint.

    If `watched`, the result says which files it depends on.
    """

    settings: Settings
    accepted: Accepted
    options: ReadOptions
    keep: str = ALL
    compared: bool = False
    watched: bool = False

    def __call__(self, source: Source) -> Judged:
        """Return the result for a source; one that cannot be read is a result, not an error."""
        if not self.watched:
            return self._result(source)
        from lmdiag.judging.opened import opened

        with opened() as read:
            result = self._result(source)
        return structs.replace(result, read=tuple(sorted(read)))

    def _result(self, source: Source) -> Judged:
        try:
            runs, unread = runs_beside(source, self.options, self.settings)
            foreign = [part for part, problem in unread if is_foreign(part, problem)]
            return structs.replace(
                self._judged(runs) if runs else Judged(),
                unreadable=tuple(unreadable(part.name, problem) for part, problem in unread if part not in foreign),
                passed_over=tuple(PassedOver(without_secrets(part.name), _why_passed_over(part)) for part in foreign),
            )
        except LmdiagError:
            raise
        except Exception as error:  # a fault of ours must not hide what is said of other logs
            show_if_debugging(error)
            return Judged(unreadable=tuple(internal_error(part.name, error) for part in source.parts))

    def lost(self, source: Source) -> Judged:
        """Return the result for a source whose process died."""
        hint = "it may need more memory than there is; try it alone, or with fewer --jobs"
        killed = "the process that read it was killed, twice"
        return Judged(unreadable=tuple(Unreadable(part.name, killed, hint) for part in source.parts))

    def _judged(self, runs: Sequence[Run]) -> Judged:
        part = judged_runs(runs, self.settings, self.accepted)
        if self.compared:
            from lmdiag.gather.duplicates import fingerprint_of

            part = structs.replace(part, fingerprints=tuple(map(fingerprint_of, runs)))
        if self.keep == ALL:
            return part
        from lmdiag.fleet.slim import slimmed

        return part.changed(lambda d: slimmed(d, CHARTED, every_metric=True) if self.keep == CHARTS else slimmed(d))


def _why_passed_over(source: Source) -> str:
    return "no values" if source.tracked else "not the log of a run"


def unreadable(source: str, problem: LmdiagError) -> Unreadable:
    """Return what could not be read and why; the source is not said twice."""
    source = without_secrets(source)
    error = (
        problem.message.removeprefix(f"{source} ")
        .removeprefix(f"{source}: ")
        .removeprefix(f"cannot read {source}: ")
        .removeprefix("is ")
        .removesuffix(f" {source}")
    )
    return Unreadable(source, error, problem.hint)


def internal_error(name: str, error: Exception) -> Unreadable:
    """Return what to report of a source on which lmdiag itself failed."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Unreadable(
        name,
        f"internal error: {said}",
        f"`lmdiag --debug check {name}` shows the traceback; please report it with that",
    )
