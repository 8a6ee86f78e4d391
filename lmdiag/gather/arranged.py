"""A raw log together with its steps and its columns under canonical names, found once for all steps of gathering."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from lmdiag.gather.axis import Axis, axis
from lmdiag.gather.columns import main_column, translate
from lmdiag.gather.sets import Splits, splits_of
from lmdiag.gather.translated import Translated
from lmdiag.readers.rawlog import RawLog


class Arranged(Struct, frozen=True, eq=False, dict=True):
    """What a reader found, arranged: the step of each row, and a column for each metric."""

    raw: RawLog

    @cached_property
    def axis(self) -> Axis:
        """The step of each row."""
        return axis(self.raw)

    @property
    def columns(self) -> dict[str, Translated]:
        """The columns by metric, without the one that counts steps."""
        return self._translated[0]

    @property
    def choices(self) -> list[str]:
        """What was chosen between columns, and why."""
        return self._translated[1]

    @cached_property
    def splits(self) -> tuple[str, Splits]:
        """The column of words that names sets, "" without one, and the prefix of each evaluation set with its rows."""
        return splits_of(self.raw, self.axis.steps)

    @cached_property
    def _translated(self) -> tuple[dict[str, Translated], list[str]]:
        return translate(self.raw, self.axis, self.splits[1])

    @property
    def main(self) -> Translated | None:
        """The column that shows how the run went."""
        return main_column(self.columns)
