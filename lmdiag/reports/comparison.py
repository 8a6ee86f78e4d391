"""A comparison of runs as text and as JSON (`lmdiag-compare/1`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from lmdiag.compare import Comparison, Window, direction_of, verdict_of
from lmdiag.reports.phrases import source_of, visible
from lmdiag.reports.terminal import Style, aligned
from lmdiag.run import Run
from lmdiag.strict_json import dumps

SCHEMA = "lmdiag-compare/1"
LOOK = {
    "worse": ("✗ worse", "red"),
    "better": ("✓ better", "green"),
    "alike": ("✓ not worse", "green"),
    "cannot-tell": ("? cannot tell", "cyan"),
}


def as_text(
    comparisons: Sequence[Comparison], baselines: Sequence[Run], candidate: Run, style: Style | None = None
) -> str:
    """Return the verdict, and for each metric the difference in every window with its margin."""
    return "\n".join(line.rstrip() for line in _lines(comparisons, baselines, candidate, style or Style()))


def _lines(comparisons: Sequence[Comparison], baselines: Sequence[Run], candidate: Run, style: Style) -> Iterator[str]:
    words, colour = LOOK[direction_of(comparisons)]
    yield f"{style.paint(words, colour, bold=True)}  {style.paint(source_of(candidate), bold=True)}"
    against = source_of(baselines[0]) if len(baselines) == 1 else f"{len(baselines)} baselines"
    yield from style.paragraph(f"against {against}, at equal {comparisons[0].axis.removesuffix('s')}s", dim=True)
    for comparison in comparisons:
        yield ""
        yield from _metric(comparison, style)


def _metric(comparison: Comparison, style: Style) -> Iterator[str]:
    words, colour = LOOK[comparison.direction]
    unit = f" ({comparison.unit})" if comparison.unit else ""
    yield f"  {style.paint(visible(comparison.metric), bold=True)}{unit}: {style.paint(words, colour)}"
    yield from style.paragraph(comparison.why, 4)
    if comparison.coverage < 0.95:
        yield from style.paragraph(f"compared over the first {comparison.coverage:.0%}: one run is shorter", 4)
    if comparison.windows:
        rows = [_row(window, window is comparison.tail) for window in comparison.windows]
        for row in aligned([["of the run", "difference", "margin", ""], *rows], "<>><"):
            yield "    " + style.paint("  ".join(row).rstrip(), dim=row[0].startswith("of"))


def _row(window: Window, tail: bool) -> list[str]:
    where = f"{window.first:.0%}–{window.last:.0%}"
    return [
        where + (" (end)" if tail else ""),
        f"{window.difference:+.2%}",
        f"±{window.margin:.2%}",
        "worse" if window.worse else "better" if window.better else "",
    ]


def _numbers(window: Window) -> dict[str, object]:
    found = {**asdict(window), "interval": window.interval}
    del found["of_range"]  # the unit of the metric says it
    return found


def as_json(comparisons: Sequence[Comparison], baselines: Sequence[Run], candidate: Run) -> str:
    """Return the comparison as one JSON document."""
    metrics = [
        {
            **asdict(c),
            "direction": c.direction,
            "windows": [{**_numbers(w), "worse": w.worse, "better": w.better} for w in c.windows],
            "tail": c.tail and {**_numbers(c.tail), "better": c.tail.better},
        }
        for c in comparisons
    ]
    document = {
        "schema": SCHEMA,
        "verdict": verdict_of(comparisons),
        "direction": direction_of(comparisons),
        "candidate": candidate.source or candidate.name,
        "baselines": [run.source or run.name for run in baselines],
        "metrics": metrics,
    }
    return dumps(document, indent=2)
