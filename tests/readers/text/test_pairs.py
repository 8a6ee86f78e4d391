"""Named numbers of a line, in the many spellings of hand-written prints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.column_names import canonical
from lmdiag.readers.text.named_number_line import parse
from lmdiag.readers.text.pieces import pieces, without_colours
from lmdiag.sources.source import Source

LINES = [
    ("step:430/1000, tokens seen:56.23M, avg_train_loss:nan time:474/218s step_avg:218ms", 430, None, {"tokens seen": 56.23e6, "avg_train_loss": math.nan}),
    ("Epoch 3: train loss 2.1, val loss 2.2", None, 3, {"train loss": 2.1, "val loss": 2.2}),
    ("Epoch [2/5] Train Loss: 1.2 Acc: 0.3 | Val Loss: 1.4 Acc: 0.2", None, 2, {"Train Loss": 1.2, "Acc": 0.3, "Val Loss": 1.4, "val Acc": 0.2}),
    ("train: loss 2.1 acc 0.5 | val: loss 2.2 acc 0.4", None, None, {"loss": 2.1, "acc": 0.5, "val loss": 2.2, "val acc": 0.4}),
    ("step  1110/20000  loss=3.4467  ppl=  31.4  gnorm=2.724  tok/s=2579.5K  t= 5m11s", 1110, None, {"loss": 3.4467, "ppl": 31.4, "gnorm": 2.724, "tok/s": 2579500.0}),
    ("  [val] step=  200  bpb=43.383284  ppl=15652083.80", 200, None, {"val bpb": 43.383284, "val ppl": 15652083.8}),
    ("step 7 loss 2.1 gen_loss_total nan lr 1e-4", 7, None, {"loss": 2.1, "gen_loss_total": math.nan, "lr": 1e-4}),
    ("step 7 | loss 2.1 | tau nan | lr 1e-4", 7, None, {"loss": 2.1, "tau": math.nan, "lr": 1e-4}),
    ("[step 200] val loss: 1.6379", 200, None, {"val loss": 1.6379}),
    ("[100/1000] loss=2.31 lr=1e-4", 100, None, {"loss": 2.31, "lr": 1e-4}),
    ('{"step":100,"loss":2.31, "lr": 1e-4}', 100, None, {"loss": 2.31, "lr": 1e-4}),
    ("iter 70, train loss 161.9, val loss None, lr 0.001", 70, None, {"train loss": 161.9, "lr": 0.001}),
    ("Iteration 1000, loss 2.1; validation 2.3", 1000, None, {"loss": 2.1, "validation": 2.3}),
    ("Up. 100 : Ave Loss 3.5 lr 0.1", 100, None, {"Ave Loss": 3.5, "lr": 0.1}),
    ("600/20000 train_loss: 3.5175 train_time: 0.4m", 600, None, {"train_loss": 3.5175, "train_time": 0.4}),
    ("Epoch 2 finished! Loss: 1.5, time 3.2s", None, 2, {"Loss": 1.5, "time": 3.2}),
    ("Time per epoch: 199.5, avg time per step: 0.25, loss: 2.5", None, None, {"loss": 2.5}),
    ("2026-02-03 10:11:12 loss: 2.5", None, None, {"loss": 2.5}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "step", "epoch", "values"), LINES)
def test_line(text: str, step: float | None, epoch: float | None, values: dict[str, float]) -> None:
    line = parse(text)
    assert (line.step, line.epoch) == (step, epoch)
    assert {name: line.values[name] for name in values} == pytest.approx(values, nan_ok=True)


@pytest.mark.parametrize("text", ["Best val loss: 2.1", "patience 3, best loss 2.1", "Minimum validation bpb: 0.75"])
def test_goals_and_records_are_no_measurements(text: str) -> None:
    assert not parse(text).measured


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("avg_train_loss", "loss"),
        ("Val. PPL", "val/ppl"),
        ("val avg loss", "val/loss"),
        ("Validation Perplexity", "val/ppl"),
        ("Acc@1", "accuracy"),
        ("valid_loss", "val/loss"),
    ],
)
def test_canonical_names(name: str, metric: str) -> None:
    found = canonical(name)
    assert found is not None
    assert found[0] == metric


@pytest.mark.parametrize("name", ["queue length", "best", "lrm", "t"])
def test_unknown_names_stay_unknown(name: str) -> None:
    assert canonical(name) is None


@pytest.mark.parametrize(
    ("piece", "left", "rank"),
    [
        ("[NeMo I 2026-02-03 10:11:12 nemo_logging:393] Training epoch 0", "Training epoch 0", None),
        ("[rank3]:[titan] 2026-02-03 10:11:12,131 - root - INFO - step: 1", "step: 1", 3),
        ("2026-06-28 11:48:34.886 | INFO     | __main__:Logger:28 - Epoch:[1/1]", "Epoch:[1/1]", None),
        ("I0203 17:24:27.976907 139997125380992 metric_logger.py:226] completed step: 2", "completed step: 2", None),
        ("(TaskRunner pid=4021) step:1 - loss:2", "step:1 - loss:2", None),
        ("[1,0]<stdout>:loss 2", "loss 2", 0),
        (" 12: loss 2", "loss 2", 12),
        ("[2026-02-03 10:11:12] INFO: step:2/9 loss:3", "step:2/9 loss:3", None),
        ("val - loss: 2.3", "val - loss: 2.3", None),
        ("[100/1000] loss=2", "[100/1000] loss=2", None),
        ("[step 200] val loss: 1", "[step 200] val loss: 1", None),
    ],
)
def test_prefixes(piece: str, left: str, rank: int | None) -> None:
    assert payload(piece) == (left, rank)


def test_pieces_between_redraws() -> None:
    assert list(pieces("a\r  \rb\x08\x08c\n\nd")) == [(1, "a"), (1, "b"), (1, "c"), (3, "d")]


def test_colours() -> None:
    assert (
        without_colours("\x1b[31mstep:  3  \x1b[38;2;180;60;0mgrad\x1b[39m \x1b]0;title\x07x\x1b[A")
        == "step:  3  grad x"
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_round_trip(value: float) -> None:
    assert parse(f"step 3 loss: {value!r}").values["loss"] == value


@given(st.integers(0, 10**15))
def test_thousands_commas(value: int) -> None:
    assert parse(f"step 3 loss 2.0 tokens: {value:,}").values["tokens"] == value


@pytest.mark.parametrize("between", ["\t", ", ", "  ", " | "])
def test_what_stands_in_rows_without_a_head_is_not_guessed(between: str) -> None:
    rows = [between.join((str(50 * k), f"{9 - k / 20}", "0.0003", f"{1 + k / 10}")) for k in range(1, 31)]
    with pytest.raises(UnreadableLog, match="no log"):
        runs_of(Source("a.log", content="\n".join(rows).encode()))


@pytest.mark.parametrize(
    ("line", "spare"),
    [
        ("step 7 loss 2.1 temp 0.5", 1),
        ("step 7 loss 2.1 temp nan", 1),
        ("step 7 loss 2.1 temp inf lr 1e-4", 1),
        ("step 7 loss 2.1 temp nan lr nan", 1),
        ("step 7 loss 2.1, number of nan iterations: 0", 0),
        ("step 7 loss 2.1, found nan in the gradients", 0),
    ],
)
def test_a_nan_that_nothing_known_names_is_counted_like_a_number(line: str, spare: int) -> None:
    assert parse(line).spare == spare
