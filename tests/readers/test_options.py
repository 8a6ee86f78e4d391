"""What the user says about a log: the reader, the columns, a pattern for its lines."""

import pytest

from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.options import ReadOptions
from lmdiag.sources.source import Source

TEXT = b"\x1b[31mat 10\x1b[0m: 2.5 nats\rat 20: nan nats\nno record\nat 30: 1.5 nats\n"
PATTERN = r"at (?P<step>\d+): (?P<loss>\S+)"


def read(content, **options):
    (run,) = runs_of(Source("a.txt", content=content), ReadOptions(**options))
    return run


def test_columns_are_what_the_user_says():
    run = read(b'{"it": 7, "step": 1, "my_loss": 2.5, "loss": 9}\n', mapping={"loss": "my_loss", "step": "it"})
    assert (run["loss"].steps.tolist(), run["loss"].values.tolist()) == ([7], [2.5])


def test_a_table_is_known_by_the_columns_the_user_names():
    run = read(b"it;wert;zeit\n1;2.5;9\n2;2.25;9\n", mapping={"loss": "wert", "step": "it"})
    assert (run.format, run["loss"].steps.tolist(), run["loss"].values.tolist()) == ("csv", [1, 2], [2.5, 2.25])


def test_a_column_that_is_not_there_is_a_setting_to_correct():
    with pytest.raises(BadSetting, match=r"my_loss[\s\S]*did you mean"):
        read(b'{"step": 1, "my_lss": 2.5}\n', mapping={"loss": "my_loss"})


def test_a_pattern_reads_any_text():
    run = read(TEXT, pattern=PATTERN)
    assert (run["loss"].steps.tolist(), run["loss"].lines.tolist()) == ([10, 20, 30], [1, 1, 3])
    assert run["loss"].values.tolist() == pytest.approx([2.5, float("nan"), 1.5], nan_ok=True)


@pytest.mark.parametrize(("pattern", "words"), [("(", "not a valid regular expression"), (r"\d+", "names no columns")])
def test_a_pattern_that_cannot_work(pattern, words):
    with pytest.raises(BadSetting, match=words):
        read(TEXT, pattern=pattern)


def test_a_pattern_that_matches_nothing_shows_the_text():
    with pytest.raises(UnreadableLog, match="no training record"):
        read(TEXT, pattern="(?P<loss>xyz)")


def test_the_reader_the_user_names():
    assert read(b"step,loss\n1,2.5\n", reader="csv-table").format == "csv"
    with pytest.raises(BadSetting, match='did you mean "jsonl"'):
        read(b"", reader="jsonll")
