"""Logs that were pasted into a page: read as if they had been copied as they were printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from time import process_time

import pytest

from lmdiag.sources.pasted import without_marks
from tests.readers.text.prints import points, run_of

LOSSES = [4.0 - 0.125 * k for k in range(8)]
PRINTED = {
    "nanogpt": [f"iter {10 * k}: loss {v:.4f}, time 99.12ms, mfu 15.34%" for k, v in enumerate(LOSSES)],
    "pairs": [f"step={10 * k} loss={v:.4f} lr=0.0001 tok/s=1200{k}" for k, v in enumerate(LOSSES)],
    "dictionaries": [f"{{'loss': {v}, 'learning_rate': 0.0001, 'epoch': {k / 10}}}" for k, v in enumerate(LOSSES)],
    "megatron": [
        f" iteration {10 * k:8d}/    5000 | elapsed time per iteration (ms): 812.5 | learning rate: 1.0E-04 | lm loss: {v:.6E} | grad norm: 0.512 |"
        for k, v in enumerate(LOSSES)
    ],
}
PASTED: dict[str, Callable[[list[str]], str]] = {
    "quoted": lambda lines: "\n".join(f"> {line}" for line in lines),
    "quoted twice": lambda lines: "\n>\n".join(f"> > {line}" for line in lines),
    "a list": lambda lines: "\n".join(f"- {line}" for line in lines),
    "code line by line": lambda lines: "\n".join(f"`{line}`" for line in lines),
    "code, its marks on the lines": lambda lines: f"```{chr(10).join(lines)}```",
    "bold": lambda lines: "\n".join(f"**{line}**" for line in lines),
    "numbered": lambda lines: "\n".join(f"{k + 112:4d} {line}" for k, line in enumerate(lines)),
    "breaks of HTML": "<br>".join,
    "entities": lambda lines: escape("\n".join(lines)),
    "spaces that do not break": lambda lines: "\n".join(lines).replace(" ", "\u00a0"),
    "escaped": "\\n".join,
    "torn colours": lambda lines: "\n".join(f"[32m{line}[0m" for line in lines),
    "backslashes": "\\\n".join,
    "one line": " ".join,
    "remark": lambda lines: "\n".join([*lines[:4], f"{lines[4]}   <-- here it began", *lines[5:]]),
}  # fmt: skip


@pytest.mark.parametrize("lines", PRINTED.values(), ids=PRINTED)
@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
def test_a_pasted_log_is_read_as_the_printed_one(paste: Callable[[list[str]], str], lines: list[str]) -> None:
    assert points(run_of(paste(lines)), "loss") == points(run_of("\n".join(lines)), "loss")


@pytest.mark.parametrize("width", [50, 60, 68])
def test_wrapped_lines_are_joined(width: int) -> None:
    lines = PRINTED["megatron"]
    text = "\n".join(part for line in lines for part in re.findall(f".{{1,{width}}}", line))
    assert points(run_of(text), "loss") == points(run_of("\n".join(lines)), "loss")


def test_a_pasted_table() -> None:
    table = ["step,loss,val_loss", *(f"{10 * k},{v},{v + 0.5}" for k, v in enumerate(LOSSES))]
    for mark in ("> ", "- ", "* "):
        run = run_of("\n".join(mark + line for line in table))
        assert points(run, "val/loss") == [(10 * k, v + 0.5) for k, v in enumerate(LOSSES)]
    drawn = " ".join(["| Step | Loss |", "|---:|---:|", *(f"| {10 * k} | {v} |" for k, v in enumerate(LOSSES))])
    assert points(run_of(drawn), "loss") == [(10 * k, v) for k, v in enumerate(LOSSES)]


ONE_LINE = [
    "[1, {s}] loss: {v:.3f}",
    "[{s} | 60.42] loss={v:.2f} avg=3.50",
    "{s}/9500 (epoch 6.363), train_loss = {v:.6f}, time/batch = 0.1708s",
    "2025/05/07 11:16:50 - mmengine - INFO - Iter(train) [{s}/2046]  lr: 3.0e-05  time: 3.0  memory: 13995  loss: {v:.4f}",
    "[rank0]:2025-05-01 10:10:10,345 - root - INFO - step: {s}  loss: {v:.4f}  memory: 11.40GiB(14.41%)  tps: 1,230",
]


@pytest.mark.parametrize("line", ONE_LINE)
def test_lines_that_lost_their_breaks(line: str) -> None:
    lines = [line.format(s=10 * k + 10, v=v) for k, v in enumerate(LOSSES)]
    assert points(run_of("  ".join(lines)), "loss") == points(run_of("\n".join(lines)), "loss")


@pytest.mark.parametrize("cut", [0, 14, 20])
def test_a_line_that_begins_within_a_record(cut: int) -> None:
    line = "".join(
        f"epoch:0, batch: {10 * k + 100}, current loss: {v:.4f} 2025-01-05 15:27:13,995|INFO|"
        for k, v in enumerate(LOSSES)
    )
    read = dict(points(run_of(line[cut:]), "loss"))
    assert {10 * k + 100: v for k, v in enumerate(LOSSES) if k > 1}.items() <= read.items()


def test_a_note_says_what_was_taken_out() -> None:
    run = run_of(PASTED["one line"](PRINTED["nanogpt"]))
    assert any("without lost line breaks" in note for note in run.notes)
    assert not any("pasted" in note for note in run_of("\n".join(PRINTED["pairs"])).notes)
    assert not any(
        "pasted" in note for note in run_of(PASTED["quoted"](PRINTED["pairs"])).notes
    )  # read as well with them


@pytest.mark.parametrize(
    "text",
    [
        *("\n".join(lines) for lines in PRINTED.values()),
        "".join(f"step {k:4d} | loss {9 - k / 8:.4f} | lr 1.0000e-04 | tok/s 12000 | grad 0.50\n" for k in range(20)),
        "".join(f"step {k:4d} perplexity 13.50 learning rate 0.5000 time 0.67\n  eval: perplexity 13.3\n" for k in range(20)),
        "".join(f"{k + 1} {9 - k / 8:.4f} 0.5\n" for k in range(9)),
        "".join(f"[{k}m {k}s ({k * 500} 5%) 2.5]\n" for k in range(1, 9)),
        "- lr: 0.1\n- loss: 2.5\nstep 3\n",
        '{"text": "a\\nb\\nc\\nd"}',
        "".join(f"epoch {k:03} | train loss {9 - k / 8:.4f} | time 12.{k % 10}s\nvalid loss 7.5\n" for k in range(20)),
        "".join(f"iter {k:04}: loss {9 - k / 8:.4f}, time 123.45ms, mfu 12.34% x\nsaving to out\n" for k in range(20)),
        "".join(f"{k} | 391/391 | loss {9 - k / 8}\n" for k in range(1, 20)),
        "".join(f"{k}. loss {9 - k / 8} 10/10 done\n" for k in range(1, 20)),
        "".join(f"{k} [epoch 1] loss={9 - k / 8}\n" for k in range(1, 20)),
        "".join(f"{k} | epoch 0.{k:02} | loss {9 - k / 8}\n" for k in range(1, 20)),
        "".join(f"{k} epochs, {100 * k} iter, loss {9 - k / 8}\n" for k in range(1, 20)),
        "".join(f"{k} {100 * k} {9 - k / 8}\n" for k in range(1, 20)),
        "".join(f"{k},{9 - k / 8},a good one<br />the bad end\n" for k in range(20)),
        "step 1 loss 2.5\nRuntimeError: CUDA error <-- CUDA out of memory\n",
        "\n" * 9,
        "² a\n" * 9,
        "[" * 9999 + "\\n" * 3,
    ],
)  # fmt: skip
def test_what_nobody_pasted_stays(text: str) -> None:
    assert without_marks(text) == (text, "")


@pytest.mark.parametrize("between", ["\n", "\n\n"], ids=["close", "apart"])
def test_cells_of_a_notebook_that_stand_one_a_line(between: str) -> None:
    head = ["Step", "Training Loss", "Validation Loss", "Wer"]
    cells = [
        cell
        for k, v in enumerate(LOSSES)
        for cell in (f"{500 * k + 500}", f"{v:.6f}", f"{v + 0.5:.6f}", f"{50 - k}.12")
    ]
    run = run_of(between.join(["My table:", *head, *cells, "What is wrong?"]))
    assert points(run, "loss") == [(500 * k + 500, v) for k, v in enumerate(LOSSES)]
    assert points(run, "val/loss") == [(500 * k + 500, v + 0.5) for k, v in enumerate(LOSSES)]


def test_cells_of_two_tables_and_of_a_row_that_was_cut() -> None:
    table = "Step\nTraining Loss\nValidation Loss\n"
    cells = ["".join(f"{10 * k}\n{9 - k / 8}\n{9.5 - k / 8}\n" for k in at) for at in (range(1, 6), range(6, 11))]
    run = run_of(f"{table}{cells[0]}\n{table}{cells[1]}110\n2.5")
    assert points(run, "loss") == [(10 * k, 9 - k / 8) for k in range(1, 11)]
    assert points(run, "val/loss") == [(10 * k, 9.5 - k / 8) for k in range(1, 11)]
    assert [skipped.count for skipped in run.skipped] == [1]


@pytest.mark.parametrize("cell", ["a&#44;b", "good<br />bad end", "a<br>b<br>c<br>d<br>e<br>f<br>g"])
def test_a_table_whose_texts_hold_marks_stays_whole(cell: str) -> None:
    run = run_of("step,loss,sample\n" + "".join(f"{10 * k},{9 - k / 8},{cell}\n" for k in range(1, 20)), "log.csv")
    assert points(run, "loss") == [(10 * k, 9 - k / 8) for k in range(1, 20)]
    assert not run.notes or not any("pasted" in note for note in run.notes)


def test_an_error_behind_an_arrow_is_told() -> None:
    lines = "".join(f"epoch {k} loss {9 - k / 8} <-- best\n" for k in range(1, 20))
    run = run_of(f"{lines}RuntimeError: CUDA error <-- CUDA out of memory\n")
    assert "oom" in {event.kind for event in run.events}
    assert len(run["loss"]) == 19


LARGE = {
    "ticks": "`" * 250_000,
    "blanks": "a <= b" + " " * 250_000,
    "arrows": " <--" * 60_000 + " 1",
    "dots": "step" + "." * 250_000,
    "records": ("step 1 loss 2.5 " + "." * 5_000 + " ") * 50,
    "lines": "7\n" * 120_000,
    "tables": "Step\nLoss\n1\n2\n2\n2\n3\n2\n" * 12_000,
}  # fmt: skip


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_a_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    begun = process_time()
    without_marks(text)
    assert process_time() - begun < 1.5
