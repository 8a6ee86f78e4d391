"""How numbers, step ranges and counts are written in every report for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lmdiag.account import Skipped
from lmdiag.finding import NotChecked
from lmdiag.looks import LOOKS
from lmdiag.methods import METHODS
from lmdiag.run import Run
from lmdiag.task_measures import progress

if TYPE_CHECKING:
    from lmdiag.diagnose import Diagnosis
    from lmdiag.reports.left_out import PassedOver, Suppressed

WORDS = {name: look.word for name, look in LOOKS.items()}

PASSED_OVER_SHOWN = 3
LARGEST_PERPLEXITY = 1e6  # beyond every vocabulary in use; the digits say nothing


def number(value: float | None) -> str:
    """Write a number with four significant digits, whole numbers in full and with separators.

    >>> number(3.14159), number(12345678.0), number(1.2345e-7), number(float("nan")), number(0.5), number(None)
    ('3.142', '12,345,678', '1.235e-07', 'NaN', '0.5', '–')
    """
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def count(n: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun.

    >>> count(1, "run"), count(2000, "step"), count(2, "look", "looks")
    ('1 run', '2,000 steps', '2 looks')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"


def checkpoint(diagnosis: Diagnosis) -> str:
    """Write which checkpoint to keep and why: "step 40 (val/loss 2.533)", and that the loss is a mean where it is one of several sets.

    "none" where there are evaluations, and none of a checkpoint worth keeping; "" where those before the fault were not evaluated.
    """
    kept, evaluation = diagnosis.keep, diagnosis.run.evaluation
    if kept is None:
        return "none" if diagnosis.best and not diagnosis.unknown_before else ""
    averaged = evaluation is not None and kept.metric == evaluation[0] and kept.metric not in diagnosis.run.series
    mean = f", {evaluation[1].source_name}" if averaged and evaluation else ""
    return f"{diagnosis.run.place_of(kept.metric, kept.step)} ({kept.metric} {number(kept.value)}{mean})"


def perplexity(diagnosis: Diagnosis) -> tuple[str, str, str] | None:
    """Write the perplexity of a run: its name and unit, its value and of which loss that is, and the best, "" where that is it.

    None where the run has none.
    """
    found, run = diagnosis.perplexity, diagnosis.run
    if found is None:
        return None
    one = f"{found.metric} at {run.place(found.step)}"
    single = found.records == 1 or math.isnan(found.last)
    of = one if single else f"median of the last {found.records:,} training losses"
    best = "" if found.best == found.last else _in_words(found.best)
    return f"{found.name} per token", f"{_in_words(found.last)} ({of})", best


def _in_words(value: float) -> str:
    return "over 1,000,000" if value > LARGEST_PERPLEXITY else number(value)


def visible(text: str) -> str:
    """Return the text on one line, with control characters shown as `?`: a log must not steer the reader's terminal.

    >>> visible("loss\\x1b[2J\\n rose")
    'loss?[2J rose'
    """
    printable = "".join(c if c.isprintable() or c.isspace() else "?" for c in text)
    return " ".join(printable.split())


def source_of(run: Run) -> str:
    """Return where a run was read from, and its name where the source does not contain it.

    >>> source_of(Run("a", {}, source="logs/a.csv")), source_of(Run("seed 2", {}, source="all.csv"))
    ('logs/a.csv', 'all.csv (seed 2)')
    >>> source_of(Run("a.ipynb#In[7]", {}, source="a.ipynb"))
    'a.ipynb#In[7]'
    """
    if not run.source or run.name.startswith(f"{run.source}#"):
        return visible(run.name)
    shown = not run.name or run.name == run.source or run.name in re.split(r"[/\\]|\.(?=\w+$)", run.source)
    return visible(run.source if shown else f"{run.source} ({run.name})")


def not_read(skipped: Skipped) -> str:
    """Write what was skipped in a source: why, where and how often.

    >>> not_read(Skipped(812, "not JSON")), not_read(Skipped(9, "no number in it", 3))
    ('Not read: not JSON (line 812).', 'Not read: no number in it (3 times, first on line 9).')
    """
    where = ([f"{skipped.count:,} times"] if skipped.count > 1 else []) + (
        [f"{'first on ' if skipped.count > 1 else ''}line {skipped.line:,}"] if skipped.line else []
    )
    return f"Not read: {skipped.reason}" + (f" ({', '.join(where)})." if where else ".")


def looked(diagnosis: Diagnosis) -> str:
    """Write how many of the selected rules could check a run without findings, or why it was not judged.

    >>> from lmdiag.diagnose import diagnose
    >>> looked(diagnose(Run("a", {}), rules=()))
    'Not judged: no rule was asked to look.'
    """
    if diagnosis.verdict == "not-judged":
        return f"Not judged: {diagnosis.unjudged}."
    asked, able = len(diagnosis.asked), len(diagnosis.looked)
    return f"Nothing {'else ' if diagnosis.accepted else ''}found: {able:,} of {count(asked, 'rule')} could look."


def by_reason(not_checked: Iterable[NotChecked]) -> dict[str, list[str]]:
    """Group the rules that could not check a run by the reason: {why: [rule, …]}, commonest first.

    >>> by_reason([NotChecked("no lr", "a"), NotChecked("too short", "b"), NotChecked("no lr", "c")])
    {'no lr': ['a', 'c'], 'too short': ['b']}
    """
    groups: dict[str, list[str]] = {}
    for refusal in not_checked:
        groups.setdefault(refusal.why, []).append(refusal.rule)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def total(verdicts: Mapping[str, int], unreadable: int = 0) -> str:
    """Write how many runs got which verdict, worst first, and how many sources could not be read.

    >>> total({"healthy": 2, "unhealthy": 1}, 1), total({})
    ('3 runs: 1 unhealthy, 2 healthy; 1 source could not be read.', 'No run was judged.')
    """
    parts = [f"{verdicts[verdict]:,} {WORDS[verdict]}" for verdict in WORDS if verdicts.get(verdict)]
    line = f"{count(sum(verdicts.values()), 'run')}: {', '.join(parts)}" if parts else "No run was judged"
    return f"{line}; {count(unreadable, 'source')} could not be read." if unreadable else f"{line}."


def suppressions(suppressed: Iterable[Suppressed]) -> list[str]:
    """Write which findings do not count, grouped by why.

    >>> from lmdiag.finding import Finding
    >>> from lmdiag.reports.report import Suppressed
    >>> suppressions([Suppressed(Run("a", {}), Finding("…", 1, 2, rule="plateau"), "planned")] * 2)
    ['2 findings do not count (plateau): planned.']
    """
    groups: dict[str, list[str]] = {}
    for gone in suppressed:
        groups.setdefault(gone.reason, []).append(gone.finding.rule)
    return [
        f"{count(len(rules), 'finding does', 'findings do')} not count ({', '.join(dict.fromkeys(rules))}): {reason}."
        for reason, rules in groups.items()
    ]


def passed_over(files: Sequence[PassedOver]) -> str:
    """Write which files of a folder are no logs though they are called like some.

    >>> from lmdiag.reports.left_out import PassedOver
    >>> passed_over([PassedOver("a.jsonl", "empty")]), passed_over([PassedOver("a.txt", "no log")] * 5)[-43:]
    ('1 file passed over: a.jsonl (empty).', 'a.txt (no log) and 2 others (all: -f json).')
    """
    shown, others = files[:PASSED_OVER_SHOWN], len(files) - PASSED_OVER_SHOWN
    said = ", ".join(f"{file.source} ({file.why})" for file in shown)
    more = f" and {count(others, 'other')} (all: -f json)" if others > 0 else ""
    return f"{count(len(files), 'file')} passed over: {said}{more}."


def origin(run: Run) -> list[str]:
    """Say how the log was read: format, method, steps, points, restarts, and whether the run was completed."""
    parts = [run.format or "format unknown"]
    if run.trained_by != "pretraining":  # which is also what is taken for granted where nothing tells
        parts.append(METHODS[run.trained_by][1])
    parts.append(run.place(run.first_step, run.last_step) if run.series else "nothing measured")
    shown = progress(run)
    if shown is not None and len(shown[1]):
        of = shown[0] if shown[1].of_tokens else f"{shown[0]} ({shown[1].nats})"
        parts.append(count(shown[1].logged or len(shown[1]), f"value of {of}", f"values of {of}"))
    if len(run.segments) > 1:
        parts.append(count(len(run.segments) - 1, "restart"))
    share, planned = run.planned_share, run.config.get("max_steps")
    if run.unfinished and share is not None and share < 1:
        parts.append(f"{share:.0%} of the planned {float(planned or 0):,.0f} steps")
    elif run.complete is not None:
        parts.append("completed" if run.complete else "not completed")
    return parts
