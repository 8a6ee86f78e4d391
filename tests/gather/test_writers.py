"""Two programs that write one log: their records are taken apart, and nothing else is."""

import numpy as np
import pytest

from lmdiag.diagnose import diagnose
from lmdiag.gather import run_of
from lmdiag.readers.tables.rows import Rows


def losses(first, last, rise=0.0):
    """Records of a run, whose loss falls, and that also evaluates."""
    rng = np.random.default_rng(first + int(100 * rise))
    for step in range(first, last + 1):
        loss = 2 + 3 * (1 + step / 20) ** -0.5 + rise + float(rng.normal(0, 0.03))
        yield {"step": step, "loss": loss}
        if step % 50 == 0:
            yield {"step": step, "val/loss": loss + 0.1}


def alternating(first, second, seed=0):
    rng = np.random.default_rng(seed)
    queues = [list(first), list(second)]
    while queues[0] or queues[1]:
        chosen = queues[int(rng.integers(2))] or queues[0] or queues[1]
        yield chosen.pop(0)
        if chosen and "loss" not in chosen[0]:  # no program waits between a step and its evaluation
            yield chosen.pop(0)


def run(records):
    rows = Rows()
    for line, record in enumerate(records, 1):
        rows.add(record, line)
    return run_of(rows.log("jsonl", "a"))


@pytest.mark.parametrize("ahead", [1, 30])
def test_two_writers_that_resume_one_log_are_taken_apart_and_said(ahead):
    start, first, second = losses(1, 200), list(losses(201, 400)), list(losses(201, 400, rise=0.6))
    both = run([*start, *first[:ahead], *alternating(first[ahead:], second)])
    assert "From step 201 on the records of two runs alternate" in both.notes[-1]
    kept = [record["loss"] for record in second if "loss" in record]
    assert both["loss"].values[200:].tolist() == kept
    assert both.superseded["loss"].values.tolist() == [record["loss"] for record in first if "loss" in record]
    assert both["val/loss"].values[4:].tolist() == [r["val/loss"] for r in second if "val/loss" in r]
    assert len(both.segments) == 2
    assert [f.rule for f in diagnose(both).findings].count("step-rewind") == 1


def twice(records):
    return [record for record in records for _ in range(2)]


@pytest.mark.parametrize(
    "records",
    [
        [*losses(1, 200), *losses(150, 400, 0.3)],
        [*losses(1, 200), *losses(150, 260, 0.3), *losses(200, 300), *losses(250, 400, 0.2)],
        [*losses(1, 200), *twice(losses(201, 400))],
        [r for pair in zip(losses(1, 200), losses(1, 200, 0.1)) for r in pair],
    ],
    ids=["resumed once", "resumed often", "written twice", "two of each step from the start"],
)
def test_other_repetitions_are_left_as_they_are(records):
    assert not [note for note in run(records).notes if "alternate" in note]
