"""Large logs: reading many lines at once gives what reading them line by line gives."""

import numpy as np
import pytest

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import plans, read
from lmdiag.readers.text.hf_console import ConsoleScanner
from lmdiag.readers.text.line_format import LineScanner
from lmdiag.readers.text.named_numbers import PairScanner
from lmdiag.sources import text as sources_text
from lmdiag.sources.source import Source

NANOGPT = "".join(
    (f"step {i}: train loss 3.0, val loss {3 + i / 1e4:.4f}\nsaving checkpoint to out\n\n" if i % 250 == 0 else "")
    + f"iter {i}: loss {4 - i / 1e3:.4f}, time {300 + i % 7:.2f}ms, mfu {-100 if i < 5 else 41.5:.2f}%\n"
    for i in range(1500)
)
MEGATRON = "".join(
    f" [2026-02-03 10:11:{i % 60:02d}] iteration {i:8d}/  500000 | consumed samples: {i * 512:12d} | elapsed time per iteration (ms): {800 + i % 9:.1f}"
    f" | learning rate: {1e-4 / i:.6E} | global batch size:   512 | lm loss: {9 - i / 400:.6E} | loss scale: 1.0 | grad norm: 1.{i % 10}"
    f" | number of skipped iterations: {i % 2:3d} | number of nan iterations:   0 |\n"
    for i in range(1, 1501)
)
LLMC = "".join(
    f"s:{i} trl:{9 - i / 400:.4f} lr:0.000{i % 1000:03d} norm:1.{i % 10}0\n"
    + (f"s:{i} tel:5.5\n" if i % 100 == 0 else "")
    for i in range(1500)
)
NAMED = "".join(
    f"step {i} | loss {9 - i / 400:.4f} | lr 1.{i % 10}e-4 | {1000 + i} tok/s | mem {i % 7}.5 GiB\n"
    + (f"eval: val loss {8 - i / 400:.4f}\n" if i % 250 == 249 else "")
    for i in range(1500)
)
EPOCHS = "".join(
    (f"Epoch {i // 300 + 1}/5\n" if i % 300 == 0 else "")
    + f"batch {i % 300 + 1}/300, loss: {9 - i / 400:.4f}, acc: {i % 97}.5%\n"
    + (f"epoch {i // 300 + 1} done, mean loss {9 - i / 400:.4f}, val loss 5.{i % 89}\n" if i % 300 == 299 else "")
    for i in range(1500)
)
WHOLE_EPOCHS = "".join(f"Epoch {i + 1}/900: loss {9 - i / 400:.4f} - val_loss {9 - i / 500:.4f}\n" for i in range(900))
SAMPLES = {
    "nanogpt": NANOGPT,
    "megatron": MEGATRON,
    "llm.c": LLMC,
    "named": NAMED,
    "epochs": EPOCHS,
    "whole epochs": WHOLE_EPOCHS,
}


def both(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[RawLog, RawLog]:
    """Read a text line by line and, in several blocks, many lines at once."""
    with monkeypatch.context() as patched:
        for scanner in (LineScanner, PairScanner, ConsoleScanner):
            patched.setattr(scanner, "is_plain", lambda scanner, plan: False)
        (slow,) = read(Source("x.log", content=text.encode()))
    monkeypatch.setattr(sources_text, "WHOLE", 1 << 14)
    monkeypatch.setattr(sources_text, "BLOCK", 1 << 14)
    (quick,) = read(Source("x.log", content=text.encode()))
    return slow, quick


def assert_equal(slow: RawLog, quick: RawLog) -> None:
    assert set(slow.columns) == set(quick.columns)
    for name, column in slow.columns.items():
        assert np.array_equal(column.rows, quick.columns[name].rows), name
        assert np.array_equal(column.values, quick.columns[name].values, equal_nan=True), name
    assert np.array_equal(slow.lines, quick.lines)
    for told in ("n_rows", "events", "notes", "config", "skipped", "names", "scales", "units", "format"):
        assert getattr(slow, told) == getattr(quick, told), told


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_clean_logs(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_at_once: list[int] = []
    columns = plans.Plan.columns
    monkeypatch.setattr(
        plans.Plan, "columns", lambda plan, found: read_at_once.append(len(found)) or columns(plan, found)
    )
    assert_equal(*both(text, monkeypatch))
    assert sum(read_at_once) > 0.5 * text.count("\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("step 700 | loss", "step 7e200 | loss"),
        ("step 700 | loss 7.2500", "step 700 | loss nan"),
        ("step 700 | loss", "[rank1]: step 700 | loss"),
        ("step 700 | loss", "Epoch 2\nstep 700 | loss"),
        ("step 700 | loss", "epoch 2 step 700 | loss"),
        ("step 700 | loss", "step 700 | gpt2 loss"),
        ("step 700 | loss", "Evaluating ...\nloss 7.5\nstep 700 | loss"),
        ("step 700 | loss", "epoch 1 done, mean loss 7.5\nstep 1 | loss"),
    ],
)
def test_odd_lines_of_named_numbers(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old in NAMED
    assert_equal(*both(NAMED.replace(old, new), monkeypatch))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("loss 3.0000, ", "loss nan, "),
        ("loss 3.0000, ", "loss -inf, "),
        ("loss 3.0000, ", "loss , "),
        ("iter 1000: ", "[rank1]: iter 1000: "),
        ("iter 1000: ", "iter 900: "),
        ("iter 1000: ", "xiter 1000: "),
        ("iter 1000: loss 3.0000, time 306.00ms", "iter 1000: time 306.00ms, loss 3.0000"),
        ("ms, mfu 41.50%\niter 1001", "ms\niter 1001"),
        ("iter 1001: ", "\n \nOVERFLOW! skipping step\niter 1001: "),
        ("time 306.00ms, mfu", "time 306.00ms, extra 5, mfu"),
        ("iter 1000: loss 3.0000", "iter 1000: loss 3.0000x"),
    ],
)  # fmt: skip
def test_odd_lines(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old in NANOGPT
    assert_equal(*both(NANOGPT.replace(old, new), monkeypatch))


def test_ranks_before_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"[rank{k % 2}]: {line}\n" for line in NANOGPT.split("\n") if line for k in (0, 1))
    slow, quick = both(text, monkeypatch)
    assert_equal(slow, quick)
    assert len(quick.columns["loss"].rows) == 1500


def test_missing_loss_is_nan_as_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = MEGATRON.replace(" | lm loss: 8.000000E+00", "")
    slow, quick = both(text, monkeypatch)
    assert_equal(slow, quick)
    assert np.isnan(quick.columns["lm loss"].values).sum() == 1


def test_lines_between_short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{line}\n\n" if k % 3 else f"{line}\nsome chatter\n" for k, line in enumerate(NANOGPT.split("\n")))
    assert_equal(*both(text, monkeypatch))


def test_plans_are_not_used_where_the_reader_reads_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans.Plan, "agrees", lambda *_: False)
    monkeypatch.setattr(plans.Plan, "columns", None)
    assert_equal(*both(NANOGPT, monkeypatch))
