"""The task that is done for each of many logs: read it and judge it, here or in another process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmdiag.cli.accepted import Accepted, without_accepted
from lmdiag.cli.gate import judge
from lmdiag.cli.reading import unreadable_source
from lmdiag.config import Settings
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.fleet import light
from lmdiag.readers import runs_of
from lmdiag.readers.copies import Print, originals, print_of, told
from lmdiag.readers.discover import matters
from lmdiag.readers.options import ReadOptions
from lmdiag.readers.remote import at_hand
from lmdiag.readers.source import Source
from lmdiag.reports.places import relative_path
from lmdiag.reports.report import Suppressed, Unreadable
from lmdiag.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHARTED = 400  # stretches of a curve in a chart


@dataclass(frozen=True)
class Judged:
    """What came of one source: its runs judged, the findings that do not count, prints to know copies by, or why nothing."""

    diagnoses: tuple[Diagnosis, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    prints: tuple[Print, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    def changed(self, change: Callable[[Diagnosis], Diagnosis | None]) -> Judged:
        """Return the same with other diagnoses, those of None left out, together with what was suppressed in them."""
        pairs = [(old, new) for old in self.diagnoses if (new := change(old))]
        runs = {id(old.run): new.run for old, new in pairs}
        gone = tuple(replace(s, run=runs[id(s.run)]) for s in self.suppressed if id(s.run) in runs)
        return replace(self, diagnoses=tuple(new for _, new in pairs), suppressed=gone)


def without_copies(parts: list[Judged]) -> list[Judged]:
    """Return what came of the sources of a folder, each run once; the fuller of two copies says which the other was."""
    copies = originals([p for part in parts for p in part.prints])
    if not copies:
        return parts
    runs = [d.run for part in parts for d in part.diagnoses]
    numbers = {id(run): number for number, run in enumerate(runs)}

    def once(diagnosis: Diagnosis) -> Diagnosis | None:
        number = numbers[id(diagnosis.run)]
        return None if number in copies else replace(diagnosis, run=told(diagnosis.run, number, copies, runs))

    return [part.changed(once) for part in parts]


@dataclass(frozen=True)
class Judging:
    """Reads a source and judges its runs.

    Of one log among `many`, only what reports need of it is returned, and somewhat more for `charts`; with `prints`, what
    copies of a run are known by.
    """

    settings: Settings
    accepted: Accepted
    reading: ReadOptions
    many: bool = False
    charts: bool = False
    prints: bool = False

    def __call__(self, source: Source) -> Judged:
        """Return what came of a source; that it cannot be read is no error here."""
        try:
            with at_hand(source, matters) as here:
                return self._judged(runs_of(here, self.reading))
        except UnreadableLog as problem:
            return Judged(unreadable=(unreadable_source(source.name, problem),))
        except LmdiagError:
            raise
        except Exception as error:
            if not self.many:
                raise
            return Judged(unreadable=(_internal(source.name, error),))

    def lost(self, source: Source) -> Judged:
        """Return what came of a source whose process died."""
        hint = "it may need more memory than there is; try it alone, or with fewer --jobs"
        return Judged(unreadable=(Unreadable(source.name, "the process that read it was killed, twice", hint),))

    def _judged(self, runs: Sequence[Run]) -> Judged:
        found = [self._one(run) for run in runs]
        prints = tuple(map(print_of, runs)) if self.prints else ()
        return Judged(tuple(d for d, _ in found), tuple(s for _, gone in found for s in gone), prints)

    def _one(self, run: Run) -> tuple[Diagnosis, list[Suppressed]]:
        diagnosis = judge(run, self.settings.for_path(relative_path(run.source)))
        kept, gone = without_accepted(diagnosis, self.accepted)
        if self.many:
            kept = light(kept, CHARTED, every_metric=True) if self.charts else light(kept)
        return kept, [replace(suppressed, run=kept.run) for suppressed in gone]


def _internal(name: str, error: Exception) -> Unreadable:
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Unreadable(
        name,
        f"internal error: {said}",
        f"`lmdiag --debug check {name}` shows where it arose; please report it with that",
    )
