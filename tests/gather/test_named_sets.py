"""Columns that are named after evaluation sets alone are losses where their values are those of one."""

import numpy as np
import pytest

from lmdiag import read


def table(tmp_path, code, wiki, names=("val_code", "val_wiki")):
    lines = [f"step,train_loss,{names[0]},{names[1]}"]
    for k in range(20):
        evaluated = f"{code[k]:.4f},{wiki[k]:.4f}" if k % 2 else ","
        lines.append(f"{10 * k},{2.5 - 0.03 * k:.4f},{evaluated}")
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read(path)


FALLS, RISES = np.linspace(2.4, 1.9, 20), np.linspace(2.9, 3.4, 20)


def test_two_sets_near_the_training_loss(tmp_path):
    run = table(tmp_path, FALLS, RISES)
    assert sorted(run.evaluations) == ["code", "wiki"]
    assert run["wiki/loss"].values.tolist() == [round(v, 4) for v in RISES[1::2]]
    assert any('"val_code" tells of no measure' in note for note in run.notes)


@pytest.mark.parametrize(
    ("code", "wiki", "names"),
    [
        (FALLS / 4, RISES / 4, ("val_code", "val_wiki")),
        (FALLS * 5, RISES * 5, ("val_code", "val_wiki")),
        (FALLS, RISES, ("val_code_score", "val_wiki_score")),
        (FALLS, RISES, ("val_code", "val_loss")),
        (FALLS, RISES, ("val_code", "other")),
    ],
    ids=["shares", "far from the loss", "scores", "a loss is evaluated", "one alone"],
)
def test_what_may_be_something_else_is_kept_as_it_is(tmp_path, code, wiki, names):
    assert "code/loss" not in table(tmp_path, code, wiki, names)
