"""Words of a log: steps that were skipped, the loss scale, losses and gradients that are not finite, checkpoints."""

import math

import numpy as np
import pytest

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.readers import read_source
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text import read
from lmdiag.sources.source import Source

BAR = " 17%|█▍        | {}/600 [49:55<86:19:20,  1.41s/it]"
OVERFLOWS = [
    "[2023-06-07 22:16:00,018] [INFO] [loss_scaler.py:181:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: {0}, reducing to {1}",
    "Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to {1}",
    "2024-01-01 00:00:00 | INFO | fairseq.trainer | NOTE: gradient overflow detected, ignoring gradient, setting loss scale to: {1}",
    "[rank0]: OVERFLOW! Rank 0 Skipping step. Attempted loss scale: {0}, reducing to {1}",
]
FORMS = ["{{'loss': 2.5, 'epoch': 0.1, 'step': {}}}", "step {} loss 2.5", "iter {}: loss 2.5, time 33.50ms, mfu 10.00%"]


def log_of(text: str) -> RawLog:
    (log,) = read(Source("x.log", content=text.encode()))
    return log


def cells(log: RawLog, name: str) -> list[tuple[float, float]]:
    column, steps = log.columns[name], log.columns["step"].values
    return [(steps[row], value) for row, value in zip(column.rows.tolist(), column.values.tolist())]


@pytest.mark.parametrize("words", OVERFLOWS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("behind_a_bar", [False, True])
def test_overflows_are_metrics_at_their_steps(words: str, form: str, behind_a_bar: bool) -> None:
    text, scale = "", 65536.0
    for step in range(10, 70, 10):
        for _ in range(2 if step > 30 else 0):
            bar = BAR.format(step) if behind_a_bar else ""
            text += f"{bar}{words.format(scale, scale / 2)}\n"
            scale /= 2
        text += form.format(step) + "\n"
    log = log_of(text)
    assert cells(log, "skipped") == [(10, 0), (20, 0), (30, 0), (40, 2), (50, 2), (60, 2)]
    assert cells(log, "loss_scale")[-3:] == [(40, 16384), (50, 4096), (60, 1024)]


def test_a_column_of_its_own_is_kept() -> None:
    text = "".join(f"OVERFLOW! Rank 0 Skipping step.\nstep {k} loss 2.5 loss_scale 64 skipped 1\n" for k in range(1, 6))
    log = log_of(text)
    assert [value for _, value in cells(log, "skipped")] == [1] * 5
    assert [value for _, value in cells(log, "loss_scale")] == [64] * 5


def test_only_one_rank_counts_skipped_steps() -> None:
    line = "[rank{}]: Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 512.0\n"
    log = log_of("".join(f"{line.format(0)}{line.format(1)}step {k} loss 2.5\n" for k in range(1, 6)))
    assert [value for _, value in cells(log, "skipped")] == [1] * 5


def test_overflows_alone_are_named() -> None:
    text = "".join(OVERFLOWS[0].format(2.0**k, 2.0 ** (k - 1)) + "\n" for k in range(16, 0, -1))
    with pytest.raises(NoValues, match=r"16 messages of steps that were skipped .* from 65536 to 1"):
        read_source(Source("x.log", content=text.encode()))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Loss is nan, stopping training", "nan"),
        ("Found NaN in loss", "nan"),
        ("Loss became infinite or NaN at iteration=5!", "nan"),
        ("Loss is inf, skipping", "nan"),
        ("Nan grad norm occurs, please check it", "nan_gradient"),
        ("Found NaN in the gradient norm", "nan_gradient"),
        ("detected nan/inf/spiky gradient; skipping optimizer step", "skipped_step"),
        ("AMP: detecting inf in the gradients", "skipped_step"),
        ("ResourceExhaustedError (see above for traceback): OOM when allocating tensor with shape[24,512]", "oom"),
        ("Resuming from checkpoint runs/a/checkpoint-20", "checkpoint_loaded"),
        ("Continuing training from global step 20", "checkpoint_loaded"),
        ("=> loaded checkpoint ckpt_20.pt (step 20)", "checkpoint_loaded"),
        ("Loaded state from out/step_20", "checkpoint_loaded"),
        ("Loading states from out/step_20", "checkpoint_loaded"),
        ("The state loaded from disk is unknown to nanogpt", ""),
        ("Saving model checkpoint to runs/a/checkpoint-20", "checkpoint_saved"),
        ("The gradient norm is clipped at 1.0; nanogpt", ""),
        ("number of nan iterations: 0", ""),
        ("skipping batch norm", ""),
    ],
)
def test_kinds(line: str, kind: str) -> None:
    log = log_of("".join(f"step {k} loss 2.{k}\n{line if k == 4 else ''}\n" for k in range(1, 9)))
    assert [event.kind for event in log.events] == [kind] * bool(kind)
    if "checkpoint-20" in line:
        assert (log.events[0].step, log.events[0].fields) == (20, {"path": "runs/a/checkpoint-20"})


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        ("FloatingPointError: Minimum loss scale reached (0.0001). Your loss is probably exploding.", True),
        ("Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.", True),
        ("WARNING: loss scale already at minimum, keeping it", False),
        ("args: min_loss_scale=0.0001 raise FloatingPointError when minimum loss scale reached", False),
    ],
)
def test_a_program_gave_up_for_its_scale_where_it_says_so_and_no_record_follows(line: str, tells: bool) -> None:
    rows = [f"step {k} loss 2.{k}\n" for k in range(1, 9)]
    ended, went_on = log_of("".join([*rows, f"{line}\n"])), log_of("".join([*rows[:4], f"{line}\n", *rows[4:]]))
    assert [event.kind for event in ended.events] == ["smallest_scale"] * tells
    assert went_on.events == ()


def test_values_that_are_not_finite_in_any_spelling() -> None:
    words = ["nan", "NaN", "NAN", "-nan(ind)", "nan.0", "1.#IND", "-1.#QNAN", "inf", "-inf", "inf.0", "1.#INF"]
    log = log_of("".join(f"step {k} loss {word} lr 0.1\n" for k, word in enumerate(["3.5", *words, "2.5"], 1)))
    values = log.columns["loss"].values.tolist()
    assert [math.isnan(v) for v in values] == [False] + [True] * 7 + [False] * 5
    assert values[8:] == [math.inf, -math.inf, math.inf, math.inf, 2.5]


@pytest.mark.parametrize("form", ["Epoch: {k} train loss: {a} val loss: {a}", "Epoch: {k} loss: {a} acc: {a}"])
def test_the_number_before_a_name_is_not_its_value_where_another_word_stands_behind(form: str) -> None:
    log = log_of("".join(form.format(k=k, a=a) + "\n" for k, a in enumerate(["3.5", "nan", "inf", "nan"], 1)))
    assert log.columns["step"].values.tolist() == [1, 2, 3, 4]
    for name in log.columns.keys() - {"step"}:
        assert np.array_equal(log.columns[name].values, [3.5, math.nan, math.inf, math.nan], equal_nan=True)


def test_one_loss_is_a_log_where_the_program_says_that_it_became_nan() -> None:
    said = "INFO:tensorflow:step = 0, loss = 9.75\nERROR:tensorflow:Model diverged with loss = NaN.\n"
    (log,) = read_source(Source("x.log", content=said.encode()))
    assert log.columns["loss"].values.tolist() == [9.75]
    assert [event.kind for event in log.events] == ["nan", "end"]
    with pytest.raises(UnreadableLog):
        read_source(Source("x.log", content=b"INFO:tensorflow:step = 0, loss = 9.75\n"))


@pytest.mark.parametrize(
    ("said", "kinds"), [('  "stderr": "{}\\n  File a.py\\nAssertionError"', []), ("ERROR {}", ["exception"])]
)
def test_a_traceback_that_is_quoted_is_of_another_program(said: str, kinds: list[str]) -> None:
    text = "".join(f"step {step} loss {4 - step / 10}\n" for step in range(1, 9))
    log = log_of(f"{text}{said.format('Traceback (most recent call last):')}\nReward:\n0.5\n")
    assert [event.kind for event in log.events if event.kind == "exception"] == kinds


@pytest.mark.parametrize(
    ("end", "read", "cut"),
    [
        (" acc 0.", 3, "0."),
        (" acc 1e-", 3, "1e-"),
        (" acc 0.5", 4, ""),
        (" acc 0.\n", 4, ""),
        (" acc 5.\nsaved v2.", 4, ""),
    ],
)
def test_a_number_that_ends_with_its_point_at_the_end_of_a_log_is_cut_off(end: str, read: int, cut: str) -> None:
    log = log_of("".join(f"step {k} loss 2.{k} acc 0.25\n" for k in range(1, 4)) + f"step 4 loss 2.4{end}")
    assert log.columns["loss"].values.tolist() == [2.1, 2.2, 2.3, 2.4]
    assert len(log.columns["acc"].values) == read
    assert [(skipped.line, skipped.unit, cut in skipped.reason) for skipped in log.skipped] == [
        (4, "value", True)
    ] * bool(cut)


@pytest.mark.parametrize(
    "message",
    ["Continuing training from global step 600", "Continuing training from global step 20"],
)
def test_a_load_among_records_without_steps_is_where_it_was_printed(message: str) -> None:
    records = [f"{{'loss': {3 - k / 100:.2f}, 'learning_rate': 0.001, 'epoch': {k / 50:.2f}}}\n" for k in range(1, 61)]
    log = log_of("".join([*records[:30], f"{message}\n", *records[30:]]))
    assert [event.step for event in log.events] == [30]


@pytest.mark.parametrize("named", [20, 30, 5000])
def test_a_load_names_its_step_where_the_records_have_steps(named: int) -> None:
    lines = [f"step {k} loss {3 - k / 100:.2f}\n" for k in range(1, 61)]
    log = log_of("".join([*lines[:30], f"Resuming from iteration {named}\n", *lines[30:]]))
    (event,) = [event for event in log.events if event.kind == "checkpoint_loaded"]
    assert event.step == named


@pytest.mark.parametrize("place", ["     7     ", "    ", "----> 7 "])
def test_a_comment_in_the_source_of_a_traceback_is_no_message(place: str) -> None:
    records = "".join(f"step {k} loss 2.{k}\n" for k in range(1, 6))
    source = f"{place}# if loss is nan or inf the mean of the others is taken\n"
    log = log_of(f"{records}Traceback (most recent call last)\n{source}KeyboardInterrupt: \n")
    assert {event.kind for event in log.events} == {"killed", "end"}
    assert next(event.kind for event in log_of(f"{records}# loss is nan, stopping\n").events) == "nan"


@pytest.mark.parametrize("last", ["queue.Empty", "StopTraining", "socket.timeout", "ValueError: no"])
def test_an_exception_is_none_of_the_wrapped_lines_before_it(last: str) -> None:
    frames = '  File "/opt/lib/reader.py", line 7, in __ne\nxt__\n    return self.read(\nchunk\n'
    log = log_of(f"step 1 loss 2.5\nstep 2 loss 2.25\nTraceback (most recent call last):\n{frames}{last}\n")
    assert [event.message for event in log.events if event.kind == "exception"] == [last]
