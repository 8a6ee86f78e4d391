"""Printed tables and boxes: in whatever form, under whatever names, the same numbers come back at the same steps."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from tests.readers.text.prints import points, run_of

Rows = Sequence[Sequence[str]]
Points = list[tuple[int, float]]


def widths(names: Sequence[str], rows: Rows) -> list[int]:
    """Return how wide each column must be."""
    return [max(len(row[k]) for row in (names, *rows)) for k in range(len(names))]


def left(names: Sequence[str], rows: Rows, gap: str = "  ") -> list[str]:
    """Align cells at the left, as fastai does."""
    wide = widths(names, rows)
    return [gap.join(cell.ljust(w) for cell, w in zip(row, wide)) for row in (names, *rows)]


def right(names: Sequence[str], rows: Rows, gap: str = "  ") -> list[str]:
    """Align cells at the right, as most format strings do."""
    wide = widths(names, rows)
    return [gap.join(cell.rjust(w) for cell, w in zip(row, wide)) for row in (names, *rows)]


def wide(names: Sequence[str], rows: Rows) -> list[str]:
    """Align at the right in columns of one width."""
    return right(names, [[cell.rjust(12) for cell in row] for row in rows])


def indexed(names: Sequence[str], rows: Rows) -> list[str]:
    """Put the index of a frame in front, which has no name."""
    lines = right(names, rows)
    return [f"    {lines[0]}", *(f"{k:<2}  {line}" for k, line in enumerate(lines[1:]))]


def ruled(names: Sequence[str], rows: Rows) -> list[str]:
    """Draw a rule below each name, as spaCy does."""
    head, *body = right(names, rows)
    return ["============= Training =============", head, "  ".join("-" * w for w in widths(names, rows)), *body]


def bars(names: Sequence[str], rows: Rows) -> list[str]:
    """Draw a table as databases print it, without edges."""
    head, *body = left(names, rows, " | ")
    return [head, "-+-".join("-" * w for w in widths(names, rows)), *body]


def markdown(names: Sequence[str], rows: Rows) -> list[str]:
    """Draw a table in Markdown."""
    head, *body = (f"| {line} |" for line in left(names, rows, " | "))
    return ["# Log", "", head, "|" + "|".join(":---:" for _ in names) + "|", *body]


def grid(names: Sequence[str], rows: Rows) -> list[str]:
    """Draw a rule between all rows."""
    rule = "+-" + "-+-".join("-" * w for w in widths(names, rows)) + "-+"
    return [rule, *(part for line in left(names, rows, " | ") for part in (f"| {line} |", rule))]


def box(edges: str) -> Callable[[Sequence[str], Rows], list[str]]:
    """Return what draws a box of these characters: its bar, its rule, and its corners in the order of reading."""
    bar, dash, *corners = edges

    def drawn(names: Sequence[str], rows: Rows) -> list[str]:
        head, *body = (f"{bar} {line} {bar}" for line in right(names, rows, f" {bar} "))
        rules = [
            f"{corners[k]}{corners[k + 1].join(dash * (w + 2) for w in widths(names, rows))}{corners[k + 2]}"
            for k in (0, 3, 6)
        ]
        return [rules[0], head, rules[1], *body, rules[2]]

    return drawn


def tabbed(names: Sequence[str], rows: Rows) -> list[str]:
    """Put tabs between the cells, and something else above that keeps this from being a TSV."""
    return ["Starting", *("\t".join(row) for row in (names, *rows))]


def logged(names: Sequence[str], rows: Rows) -> list[str]:
    """Write every line through a logger."""
    return [f"2026-03-04 05:06:{k:02},123 INFO trainer - {line}" for k, line in enumerate(right(names, rows))]


def repeated(names: Sequence[str], rows: Rows) -> list[str]:
    """Print the head again every three rows."""
    head, *body = right(names, rows)
    return [line for k, row in enumerate(body) for line in (([head] if k % 3 == 0 else []) + [row])]


def interleaved(names: Sequence[str], rows: Rows) -> list[str]:
    """Print other lines between the rows."""
    head, *body = left(names, rows)
    return [head, *(line for k, row in enumerate(body) for line in (f"saved model_{k}.pt in 0.{k}s", row, ""))]


def coloured(names: Sequence[str], rows: Rows) -> list[str]:
    """Colour the cells, and mark a number with an arrow."""
    return [f"\x1b[1m{line}\x1b[0m" for line in right(names, [[*row[:-1], f"{row[-1]} ▼"] for row in rows])]


DRAWN = (left, right, wide, indexed, ruled, bars, markdown, grid, tabbed, logged, repeated, interleaved, coloured,
         box("│─┌┬┐├┼┤└┴┘"), box("┃━┏┳┓┡╇┩└┴┘"), box("║═╔╦╗╠╬╣╚╩╝"), box("│─╭┬╮├┼┤╰┴╯"), box("┆─┌┬┐╞╪╡└┴┘"))  # fmt: skip
NAMES = (
    ("epoch", "train_loss", "valid_loss", "grad_norm"),
    ("Step", "Training Loss", "Validation Loss", "Grad Norm"),
    ("iter", "loss", "val_loss", "gnorm"),
    ("#", "lm_loss", "eval_loss", "grad_norm"),
    ("global_step", "train/loss", "val/loss", "train/grad_norm"),
    ("Iteration", "Loss", "Dev Loss", "Gradient Norm"),
)
ORDERS = ((0, 1, 2, 3), (0, 3, 1, 2), (1, 0, 3, 2), (3, 2, 1, 0))


def spelled(value: float, pick: random.Random) -> str:
    """Write a number in one of the ways in which programs write it."""
    if math.isnan(value):
        return pick.choice(("nan", "NaN", "NAN"))
    if math.isinf(value):
        return pick.choice(("inf", "Infinity", "Inf"))
    return pick.choice((f"{value:.6f}", f"{value:.4e}", f"{value:,.5f}"))


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[1])
@pytest.mark.parametrize("drawn", DRAWN)
def test_numbers_come_back_at_their_steps(
    drawn: Callable[[Sequence[str], Rows], list[str]], names: Sequence[str]
) -> None:
    pick = random.Random(f"{names}{DRAWN.index(drawn)}")
    order = pick.choice(ORDERS if drawn not in (interleaved, indexed) else ORDERS[:2])
    steps = [k * pick.choice((1, 1, 50)) for k in (range(1, 9) if pick.random() < 0.5 else range(8))]
    steps = sorted(set(steps))
    if names[0] == "epoch":
        steps = [*range(len(steps))]
    values = [[5.25 - 0.5 * k / 2, 5.5 - 0.25 * k, 1234.5 + k] for k in range(len(steps))]
    values[3][0], values[-2][2], values[4][1] = math.nan, math.inf, math.nan
    rows = [[str(step), *(spelled(value, pick) for value in row)] for step, row in zip(steps, values)]
    text = "\n".join(drawn([names[k] for k in order], [[row[k] for k in order] for row in rows]))
    run = run_of(f"Loading data\n\n{text}\nTraining took a while.\n", "notes.md" if drawn is markdown else "train.log")
    assert run.step_kind == ("epoch" if names[0] == "epoch" else "step")
    for k, metric in enumerate(("loss", "val/loss", "grad_norm")):
        assert [step for step, _ in points(run, metric)] == steps, text
        assert [v for _, v in points(run, metric)] == pytest.approx(
            [row[k] for row in values], nan_ok=True, rel=1e-4
        ), text
    assert not run.skipped


def test_names_of_two_words_with_one_blank_between_all() -> None:
    head = "Step Training Loss Validation Loss Wer\n"
    run = run_of(head + "".join(f"{500 * k} {4 - k / 8:.6f} {4.5 - k / 8:.6f} {50 - k}.12\n" for k in range(1, 9)))
    assert points(run, "loss") == [(500 * k, 4 - k / 8) for k in range(1, 9)]
    assert points(run, "val/loss") == [(500 * k, 4.5 - k / 8) for k in range(1, 9)]
    head = "Epoch Training Loss Validation Loss Accuracy F1\n"
    run = run_of(
        head + "".join(f"{k} {'No log' if k < 3 else 4 - k / 8} {4.5 - k / 8} 0.5{k} 0.4{k}\n" for k in range(1, 9))
    )
    assert points(run, "val/loss") == [(k, 4.5 - k / 8) for k in range(1, 9)]
    assert points(run, "loss") == [(k, 4 - k / 8) for k in range(3, 9)]
