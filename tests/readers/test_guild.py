"""Guild AI: what it keeps none of is told."""

from pathlib import Path

import pytest

from lmdiag.judging.reading import read_runs

LOG = Path(__file__).parent / "stores" / "guild" / "log"


@pytest.mark.parametrize(("case", "count"), [("whole", 2), ("killed", 1), ("resumed", 1)])
def test_what_was_printed_and_is_no_number_is_counted(case: str, count: int) -> None:
    (run,), _ = read_runs([LOG / case])
    assert any(f"not kept by Guild: {count} of the values printed" in note for note in run.notes)
