"""Which steps of a run are shown: all, those around a finding, or those the reader dragged over."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import streamlit as st

from lmdiag.charts.view import positions
from lmdiag.finding import Finding
from lmdiag.run import Run

AROUND = 0.6  # of the length of a finding, to each side of it
LEAST_DRAG = 0.01  # of what is shown: a trembling hand is no drag
LEAST_SHARE = 0.03  # of the run, to each side of a finding


def shown(key: str) -> tuple[float, float] | None:
    """Return the range of steps in view, None for the whole run."""
    range_: tuple[float, float] | None = _ranges().get(key)
    return range_


def show(key: str, first: float, last: float) -> None:
    """Show these steps only, and keep what was shown before; asked again, as an interrupted page does, nothing changes."""
    if shown(key) != (float(first), float(last)):
        _past(key).append(shown(key))
        put(key, (float(first), float(last)))


def show_all(key: str) -> None:
    """Show the whole run again, with no finding marked."""
    _marked().pop(key, None)
    if shown(key) is not None:
        _past(key).append(shown(key))
        put(key, None)


def put(key: str, steps: tuple[float, float] | None) -> None:
    """Show these steps, None for the whole run, as if nothing else had been shown before."""
    _ranges().pop(key, None)
    if steps is not None:
        _ranges()[key] = steps
    st.session_state["zooms"] = turn() + 1


def return_to(key: str, steps: tuple[float, float] | None) -> None:
    """Show what was shown before where an address, which has whole steps, names it; else these steps."""
    past = _past(key)
    put(key, past.pop() if past and _whole(past[-1]) == _whole(steps) else steps)


def _whole(steps: tuple[float, float] | None) -> tuple[int, int] | None:
    return steps and (round(steps[0]), round(steps[1]))


def turn() -> int:
    """Return how often a range has been chosen: what comes back must not bring what was dragged or typed in it then."""
    found: int = st.session_state.get("zooms", 0)
    return found


def back(key: str) -> bool:
    """Show what was shown before, and tell whether there was something."""
    past = _past(key)
    while past and past[-1] == shown(key):
        past.pop()
    if not past and shown(key) is None:
        return False
    put(key, past.pop() if past else None)
    return True


def step_back(key: str) -> None:
    """Show what was shown before, if there was something."""
    back(key)


def can_go_back(key: str) -> bool:
    """Tell whether something else was shown before."""
    return bool(_past(key))


def on_typed(key: str, run: Run, text: str) -> None:
    """Show the steps that a reader typed, `1,200 - 1,500` say; all where there is nothing, as before where it is no range."""
    numbers = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]
    if not numbers:
        show_all(key)
    elif len(numbers) == 2 and max(numbers[0], run.first_step) < min(numbers[1], run.last_step):
        show(key, max(numbers[0], run.first_step), min(numbers[1], run.last_step))


def on_finding(key: str, run: Run, finding: Finding) -> None:
    """Show the steps of a finding with a margin to each side, and mark it; a finding about the whole run is marked only."""
    length = finding.last_step - finding.first_step
    margin = max(AROUND * length, LEAST_SHARE * (run.last_step - run.first_step), 1.0)
    first, last = max(finding.first_step - margin, run.first_step), min(finding.last_step + margin, run.last_step)
    if (first, last) == (run.first_step, run.last_step):
        show_all(key)
    else:
        show(key, first, last)
    mark(key, finding.rule, finding.first_step)


def mark(key: str, rule: str, step: int) -> None:
    """Mark the finding of a rule that begins at a step."""
    _marked()[key] = (rule, step)


def mark_of(key: str) -> tuple[str, int] | tuple[()]:
    """Return the rule and the first step of the finding that is marked, nothing for none."""
    return _marked().get(key, ())


def marked(key: str, findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that the reader asked to see on the curves, None for none."""
    return next((f for f in findings if (f.rule, f.first_step) == _marked().get(key)), None)


def on_drag(key: str, run: Run, axis: str, selected: dict) -> bool:
    """Show what the reader dragged over, {field: x range}, and tell whether that was a range."""
    ends = next((v for v in selected.values() if isinstance(v, list) and len(v) == 2), None)
    if ends is None or not ends[1] > ends[0]:
        return False
    first, last = shown(key) or (run.first_step, run.last_step)
    across = positions(run, axis, np.array([first, last]))
    if ends[1] - ends[0] < LEAST_DRAG * (across[1] - across[0]):
        return False
    # Positions rise with the steps, so the step at a position is found among enough steps in between.
    steps = np.linspace(first, last, 4001)
    start, stop = np.searchsorted(positions(run, axis, steps), ends)
    show(key, steps[max(start - 1, 0)] if start else first, steps[min(stop, len(steps) - 1)])
    return True


def _marked() -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = st.session_state.setdefault("marked", {})
    return found


def _past(key: str) -> list[tuple[float, float] | None]:
    past: dict[str, list[tuple[float, float] | None]] = st.session_state.setdefault("zoomed_before", {})
    return past.setdefault(key, [])


def _ranges() -> dict:
    ranges: dict = st.session_state.setdefault("zoom", {})
    return ranges
