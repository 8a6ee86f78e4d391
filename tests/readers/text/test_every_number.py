"""Every number of a record is read or counted, whatever its line looks like."""

import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.errors import LmdiagError
from lmdiag.readers import read_source
from lmdiag.readers.rawlog import RawLog
from lmdiag.sources.source import Source

RECORDS = 12
BEFORE = ("", "val: ", "[train] ", "eval [c4] ", "(rank 0) ", "2026-03-01 10:11:12 INFO ")
PLACES = (
    *("step {s}", "Step: {s}", "iter {s}/6000", "[{s}/6000]", "epoch 1 step {s}", "Epoch 1 | batch {s}/6000", "it={s}"),
    *("#{s}", "after {s} updates", "Epoch {e}", "Epoch [{e}/60]", "", "tokens {s}K", "[step {s}]", "T+{s}"),
)
NAMES = (
    *("loss", "train_loss", "Loss", "lm loss", "ce", "aux", "z_loss", "total", "lr", "grad_norm", "|g|", "ppl", "acc"),
    *("val_loss", "val loss", "test loss", "dt", "time", "eta", "tok/s", "mem", "mfu", "reward", "kl", "temp", "x"),
    *(
        "foo",
        "H(p)",
        "\u0394",
        "f1",
        "EM",
        "loss/a",
        "best",
        "best val",
        "avg",
        "top-1",
        "dev ppl",
        "loss_1",
        "accuracy",
    ),
)
VALUES = (
    *("=~", ": ~", " ~", " = ~", "=~%", " ~s", " ~ ms", "(~)", " [~]", " ~\u00b1~", "=~/~", "=[~, ~]", " ~ (~)", "=~k"),
    *(" ~->~", "=tensor(~)", " ~ GB", ": '~'", "<~>"),
)
BETWEEN = (", ", " | ", "  ", " ; ", "\t", " - ", " / ", " ")
ITEM = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map("".join)
LOSS = st.tuples(st.sampled_from(("loss", "Loss", "train loss")), st.sampled_from(VALUES[:4])).map("".join)
FORMS = st.tuples(
    st.sampled_from(BEFORE),
    st.sampled_from(PLACES),
    st.sampled_from((": ", " ", ", ", " | ")),
    st.sampled_from(BETWEEN),
    st.lists(ITEM, max_size=4),
    LOSS,
    st.lists(ITEM, max_size=2),
)
KNOWN = (
    "nanogpt",
    "torchtitan",
    "megatron",
    "maxtext",
    "litgpt",
    "fairseq",
    "nanochat",
    "openrlhf",
)  # of lines that may go on
FACTORS = (1, 1e3, 1e6, 1e9, 0.01, 1e-3)


def found_in(logs: list[RawLog]) -> Counter[float]:
    """Count the numbers that stand in columns and events."""
    columns = (value for log in logs for column in log.columns.values() for value in column.values.tolist())
    events = (value for log in logs for event in log.events for value in event.fields.values())
    return Counter(round(abs(value), 9) for value in (*columns, *events) if isinstance(value, float))


@settings(max_examples=150, deadline=None)
@given(form=FORMS, first=st.integers(50_000, 90_000))
def test_every_number_is_read_or_counted(form: tuple, first: int) -> None:
    before, place, colon, between, items, loss, more = form
    line = before + place + colon + between.join([*items, loss, *more])
    numbers = [f"{(first + 7 * k) / 100_000:.5f}" for k in range(RECORDS * line.count("~"))]
    left = iter(numbers)
    lines = [re.sub("~", lambda _: next(left), line.format(s=100 * k, e=k)) for k in range(1, RECORDS + 1)]
    try:
        logs = read_source(Source("a.log", content="\n".join(lines).encode()))
    except LmdiagError:
        return  # nothing was read, and that is said
    found = found_in(logs)
    missing = [n for n in numbers if not any(found[round(float(n) * factor, 9)] for factor in FACTORS)]
    counted = sum(s.count * (1 if s.unit == "value" else line.count("~")) for log in logs for s in log.skipped)
    said = sum(int(n) for log in logs for note in log.notes for n in re.findall(r"^([0-9]+) (?:lines?|lists?) ", note))
    assert len(missing) <= counted + said * math.ceil(len(numbers) / RECORDS), lines[0]


@pytest.mark.parametrize("name", KNOWN)
def test_numbers_that_a_known_format_does_not_read_are_counted(name: str) -> None:
    lines = (Path(__file__).parents[1] / "samples" / "text" / f"{name}.log").read_text().split("\n")
    first, *_ = read_source(Source("a.log", content="\n".join(lines).encode()))
    records = set(first.lines.tolist())
    longer = [f"{text} ~ 0.77{n:03}1 ~ 77{n:03}k" if n in records else text for n, text in enumerate(lines, 1)]
    logs = read_source(Source("a.log", content="\n".join(longer).encode()))
    assert counted_in(logs) - counted_in([first]) == 2 * len(records)


@pytest.mark.parametrize(("written", "wps", "wpb"), [("1.5k 25k", 1500, 25000), ("1.5K 2M", 1500, 2_000_000)])
def test_thousands_of_a_known_format_are_read(written: str, wps: float, wpb: float) -> None:
    speed, size = written.split()
    line = "| epoch 001:  {n} / 900 loss=4.827, nll_loss=4.653, ppl=25.16, wps={wps}, ups=2, wpb={wpb}, num_updates={n}, lr=0.1"
    text = "\n".join(line.format(n=n, wps=speed, wpb=size) for n in range(100, 900, 100))
    (log,) = read_source(Source("a.log", content=text.encode()))
    assert set(log.columns["wps"].values) == {wps}
    assert set(log.columns["wpb"].values) == {wpb}
    assert counted_in([log]) == 0


@pytest.mark.parametrize(("unit", "read", "lost"), [("k", 500.0, 0), ("z", None, 6)])
def test_items_of_a_block_are_read_or_counted(unit: str, read: float | None, lost: int) -> None:
    block = "[step={n}/9,epoch=0]\n    train/CrossEntropyLoss=4.{n}\n    optim/total_grad_norm=0.5{unit}"
    (log,) = read_source(Source("a.log", content="\n".join(block.format(n=n, unit=unit) for n in range(1, 7)).encode()))
    norm = log.columns.get("optim/total_grad_norm")
    assert (norm and set(norm.values)) == (read and {read})
    assert counted_in([log]) == lost


def counted_in(logs: list[RawLog]) -> int:
    return sum(skipped.count for log in logs for skipped in log.skipped if skipped.unit == "value")
