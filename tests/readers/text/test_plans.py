"""Plans: what was learnt from one line reads every line of its text as the reader of lines does."""

import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.text import plans
from lmdiag.readers.text.hf_console import ConsoleScanner, records_of
from lmdiag.readers.text.line_format import LineScanner
from lmdiag.readers.text.named_lines import said
from lmdiag.readers.text.named_numbers import PairScanner
from lmdiag.readers.text.pieces import pieces, without_colours
from lmdiag.readers.text.plans import Plans, Reader, Record, learn
from lmdiag.readers.text.recognise import format_of

SAMPLES = {
    path.stem: without_colours(path.read_text("utf-8", "replace"))
    for path in sorted((Path(__file__).parents[1] / "samples" / "text").iterdir())
}


def named(piece: str) -> list[Record]:
    return [said(piece)]


def assert_same(found: list[Record], expected: list[Record]) -> None:
    assert [about for _, about in found] == [about for _, about in expected]
    for (values, _), (others, _) in zip(found, expected):
        assert values.keys() == others.keys()
        for name, value in values.items():
            assert math.isclose(value, others[name], rel_tol=1e-12) or (math.isnan(value) and math.isnan(others[name]))


def reader_of(text: str) -> Reader | None:
    """Return the reader of lines of a text, None where its format has a scanner of its own."""
    line_format = format_of(text)
    scanner = line_format.scanner(line_format.table(), text)
    return scanner.plans.reader if isinstance(scanner, LineScanner | PairScanner | ConsoleScanner) else None


READERS = {name: reader for name, text in SAMPLES.items() if (reader := reader_of(text))}


@pytest.mark.parametrize("sample", READERS)
def test_lines_of_every_sample_with_other_digits(sample: str) -> None:
    reader, digits = READERS[sample], random.Random(0)
    for _, piece in pieces(SAMPLES[sample]):
        plan = learn(reader, piece) if reader(piece) else None
        for _ in range(5 if plan else 0):
            other = re.sub(r"\d", lambda _: str(digits.randint(1, 9)), piece)
            for line in (other, re.sub(r"(?<=[ :='])-?\d+\.\d+(?=[ ,'}])", lambda _: digits.choice(NOTATIONS), piece)):
                match = plan.match(line) if plan else None
                if plan and match:
                    assert_same([(plan.numbers(match), plan.about)], reader(line))


NOTATIONS = ["-1.75", "3e-05", "2.5e-06", "-4.5E+03", "0.0", "12."]


VALUES = st.one_of(
    st.floats(0, 1e6, allow_nan=False).map(lambda x: f"{x:.4f}"),
    st.floats(1e-9, 1e9).map(repr),
    st.floats(1e-9, 1).map(lambda x: f"{x:.2e}"),
    st.integers(0, 10**7).map(lambda x: f"{x:,}"),
    st.sampled_from(["nan", "inf", "-inf", "0", "-1.5"]),
)


@given(st.lists(st.tuples(st.integers(0, 10**6), VALUES, VALUES, VALUES), min_size=12, max_size=40))
def test_read_as_without_plans(rows: list[tuple[int, str, str, str]]) -> None:
    plans = Plans(named)
    for step, loss, rate, speed in rows:
        line = f"2026-01-02 10:11:12,131 - INFO - step {step}/1000000 | loss: {loss} | lr={rate} | {speed} tok/s"
        assert_same(plans.read(line), named(line))


def test_a_text_is_learnt_when_it_recurs() -> None:
    calls: list[str] = []

    def reader(piece: str) -> list[Record]:
        calls.append(piece)
        return named(piece)

    plans = Plans(reader)
    for step in range(1000):
        plans.read(f"step {step} loss {1 + 1 / (step + 1):.4f}")
    assert len(calls) < 50


def test_a_value_of_two_numbers_is_not_learnt() -> None:
    assert learn(named, "Epoch 3 loss 2.5 acc 93/100") is None
    plans = Plans(named)
    for right in range(40, 90):
        ((numbers, _),) = plans.read(f"Epoch 3 loss 2.5 acc {right}/100")
        assert numbers["acc"] == right / 100


def test_a_plan_that_reads_otherwise_is_given_up() -> None:
    def reader(piece: str) -> list[Record]:
        value = float(piece.split()[1])
        return [({"loss": value if value < 5 or value > 10 else 0.0}, "")]

    plans = Plans(reader)
    for word in ["3.25"] * 4 + ["7.25"]:
        found = plans.read(f"loss {word}")
    assert found == [({"loss": 0.0}, "")]


def test_every_host_has_its_plan() -> None:
    calls: list[str] = []

    def reader(piece: str) -> list[Record]:
        calls.append(piece)
        return named(piece)

    plans = Plans(reader)
    for step in range(300):
        for host in ("10.96.202.43", "10.96.202.44"):
            line = f"{host}: 2026-01-02 10:11:{step % 60:02d} step {step} loss {1 + 1 / (step + 1):.4f}"
            assert_same(plans.read(line), named(line))
    assert len(calls) < 100


def test_one_plan_for_all_notations() -> None:
    plan = learn(named, "step 7 kl 0.25 lr 3e-05")
    assert plan
    for kl, rate in (("-0.5", "0.0003"), ("4.5e-07", "2.5e-05"), ("-1e-06", "1.0")):
        line = f"step 12 kl {kl} lr {rate}"
        match = plan.match(line)
        assert match
        assert_same([(plan.numbers(match), plan.about)], named(line))
    assert not plan.match("step 12.5 kl 0.5 lr 0.1")


def test_notations_that_the_reader_does_not_know_are_not_in_the_plan() -> None:
    def reader(piece: str) -> list[Record]:
        found = re.search(r"loss (\d+\.\d+)$", piece)
        return [({"loss": float(found[1])}, "")] if found else []

    plan = learn(reader, "loss 2.5")
    assert plan
    assert plan.match("loss 3.25")
    assert not plan.match("loss -3.25")
    assert not plan.match("loss 3e-05")


@pytest.mark.parametrize("name", ["top5", "eval_f1", "rewards/0/mean"])
def test_digits_of_names_stay(name: str) -> None:
    plan = learn(records_of, f"{{'loss': 2.5, '{name}': 0.25}}")
    assert plan
    match = plan.match(f"{{'loss': 1.5, '{name}': -0.75}}")
    assert match
    assert plan.numbers(match) == {"loss": 1.5, name: -0.75}
    assert not plan.match(f"{{'loss': 1.5, '{name.translate(str.maketrans('501', '678'))}': 0.75}}")


def test_no_more_starts_are_tried_than_a_line_may_have_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    monkeypatch.setattr(plans, "learn", lambda reader, piece, start: starts.append(start))
    learning = Plans(lambda piece: [({"loss": 2.5}, "")])
    for _ in range(plans.SEEN[0]):
        learning.read("1: " * 2000 + "loss 2.5")
    assert len(starts) == 1 + plans.MOST_NUMBERS
