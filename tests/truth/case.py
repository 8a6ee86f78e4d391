"""A finding beside the run it speaks of, and what of that run its sentences may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmdiag.diagnose import diagnose
from lmdiag.finding import Finding
from lmdiag.rules import RULES
from lmdiag.run import Run, Series
from lmdiag.stats.windows import rolling_median
from tests.truth.numbers import spells

BY_NAME = {rule.name: rule for rule in RULES}
EMPTY = Series(np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class Case:
    """One finding and its run."""

    run: Run
    finding: Finding

    def series(self, metric: str) -> Series:
        """Return what is finite of a metric, the mean of evaluation sets included; empty where the log has none."""
        found = self.run.series.get(metric)
        for chosen in (self.run.curve, self.run.evaluation):
            if chosen is not None and chosen[0] == metric:
                found = chosen[1]
        return EMPTY if found is None else found.finite

    @cached_property
    def subject(self) -> Series:
        """What the finding is about."""
        return self.series(self.finding.metric)

    @property
    def logged(self) -> Series:
        """The same with what is not finite, and with zeros that stand for NaN."""
        return self.run.series.get(self.finding.metric, self.subject)

    @property
    def values(self) -> np.ndarray:
        return self.subject.values

    def at(self, metric: str, step: int) -> float:
        """Return the value of a metric at a step, or the last before it; NaN where there is none."""
        series = self.series(metric)
        row = int(np.searchsorted(series.steps, step, side="right")) - 1
        return float(series.values[row]) if row >= 0 else float("nan")

    def until(self, metric: str, step: int) -> np.ndarray:
        """Return the values of a metric before a step."""
        series = self.series(metric)
        return series.values[series.steps < step]

    def during(self) -> np.ndarray:
        """Return the values from the first to the last step of the finding."""
        return self.subject.between(self.finding.first_step, self.finding.last_step).values

    @property
    def span(self) -> int:
        return self.run.last_step - self.run.first_step

    def header(self, name: str) -> float:
        """Return a number of the header or of its model, NaN where it says none."""
        model = self.run.config.get("model")
        value = self.run.config.get(name, model.get(name) if isinstance(model, dict) else None)
        return float(value) if isinstance(value, int | float) else float("nan")

    @cached_property
    def places(self) -> set[int]:
        """Every step at which anything was logged, the events, and the end that was planned."""
        logged = {int(step) for series in self.run.series.values() for step in series.steps}
        logged |= {int(step) for series in self.run.superseded.values() for step in series.steps}
        told = {event.step for event in self.run.events if event.step is not None}
        return logged | told | {int(self.header("max_steps"))} if self.header("max_steps") > 0 else logged | told

    @cached_property
    def known_places(self) -> set[int]:
        """The places a finding may name without saying what is there: its own, and those of its evidence."""
        finding = self.finding
        measured = {int(v) for v in finding.evidence.values() if np.isfinite(v) and float(v).is_integer()}
        return {finding.first_step, finding.last_step, *finding.steps} | (measured & self.places)

    @cached_property
    def settings(self) -> dict[str, Any]:
        return BY_NAME[self.finding.rule].settings if self.finding.rule in BY_NAME else {}

    @cached_property
    def names(self) -> re.Pattern[str]:
        """What the log itself wrote: names of metrics and layers, and the words of its events."""
        said = {line for event in self.run.events for line in event.message.strip().splitlines()}
        layers = {name.split("/")[1] for name in self.run if name.startswith("layers/")}
        quoted = {*self.run, *layers, *(line.rstrip(".") for line in said)} - {""}
        return re.compile("|".join(re.escape(word) for word in sorted(quoted, key=len, reverse=True)) or r"(?!)")


def cases(run: Run) -> Iterator[Case]:
    """Yield a case for every finding of a run."""
    yield from (Case(run, finding) for finding in diagnose(run).findings)


def own_start(case: Case, at: int) -> bool:
    """Tell whether a step is the first of the finding."""
    return at == case.finding.first_step


def levels(values: np.ndarray, row: int) -> Iterator[tuple[int, float]]:
    """Yield the width and median of the windows that hold a row: centred there, ending or beginning there."""
    for width in range(1, max(4, len(values) // 3) + 1):
        for start in {row - width // 2, row - width + 1, row}:
            if start >= 0 and start + width <= len(values):
                yield width, float(np.median(values[start : start + width]))


def lowest_windows(values: np.ndarray, onset: int) -> Iterator[tuple[int, int, float]]:
    """Yield for each odd width up to a third of a curve where its lowest window about a row up to the onset begins, the width, its median."""
    for width in range(1, max(4, len(values) // 3) + 1, 2):
        medians = (
            rolling_median(values, width)[: max(onset - width // 2, 0) + 1] if width <= len(values) else values[:0]
        )
        if len(medians):
            start = int(np.argmin(medians))
            yield start, width, float(medians[start])


def is_median(values: np.ndarray, written: str) -> bool:
    """Tell whether a number is a median of values: of an even number of them, also the geometric mean of the middle two."""
    if not len(values):
        return False
    middle = np.sort(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return spells(written, float(middle.mean())) or (
        middle[0] > 0 and spells(written, float(np.exp(np.log(middle).mean())))
    )


def is_tail(values: np.ndarray, written: str) -> bool:
    """Tell whether a number is the median of the last records: of some number of them up to a third."""
    return any(is_median(values[-k:], written) for k in range(1, max(4, len(values) // 3) + 1))


def is_head(values: np.ndarray, written: str) -> bool:
    """Tell whether a number is the median of the first records, of up to five."""
    return any(is_median(values[:k], written) for k in range(1, min(5, len(values)) + 1))
