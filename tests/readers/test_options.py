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


@pytest.mark.parametrize(
    "template", ["it {k} my_loss {v}", "'it': {k}, 'my_loss': {v}", "step 3 | it {k} | my_loss {v}"]
)
@pytest.mark.parametrize("word", ["it", "num_updates", "itération", "upd", "tick"])
def test_the_step_is_behind_the_word_that_the_user_names(template, word):
    text = "".join(f"{template.format(k=10 * k, v=9.5 - k)}\n" for k in range(1, 7)).replace("it", word)
    run = read(text.encode(), mapping={"loss": "my_loss", "step": word})
    assert run["loss"].steps.tolist() == [10, 20, 30, 40, 50, 60]
    assert not any("step" in note for note in run.notes)


def test_the_step_that_the_user_names_is_beside_an_epoch():
    text = "".join(f"epoch {k // 4} | upd {10 * k} | loss {9 - k}.5 | lr 3e-4\n" for k in range(8))
    run = read(text.encode(), mapping={"step": "upd"})
    assert run["loss"].steps.tolist() == list(range(0, 80, 10))
    assert not any("without a step" in note for note in run.notes)


def test_a_column_may_be_named_by_the_word_of_the_log_that_was_read_in_english():
    text = "".join(f"Paso {k} | pérdida: {9 - k}.5 | tasa de aprendizaje: 0.5\n" for k in range(8))
    mapping = {"step": "Paso", "loss": "pérdida", "lr": "tasa de aprendizaje"}
    assert read(text.encode(), mapping=mapping)["lr"].steps.tolist() == list(range(8))


@pytest.mark.parametrize("mapping", [{"step": "tick"}, {"lr": "taux d'apprentissage"}])
def test_a_word_that_no_line_has_is_a_setting_to_correct(mapping):
    with pytest.raises(BadSetting, match="has no column"):
        read(b"step 1 loss 2.5\nstep 2 loss 2.4\nstep 3 loss 2.3\n", mapping=mapping)


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
