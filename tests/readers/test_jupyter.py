"""Notebooks: every cell that trained is a run, whether it printed or drew a table; a real kernel writes what is read."""

import json

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from lmdiag.diagnose import diagnose
from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import find, runs_of
from lmdiag.sources.source import Source

PRINTS = """
import sys
for step in range(0, 60, 10):
    print(f"step {step}: train loss {5 - step / 20:.4f}, val loss {5.5 - step / 20:.4f}")
    print("a warning", file=sys.stderr)
"""
DRAWS = """
from transformers.utils.notebook import NotebookTrainingTracker
table = NotebookTrainingTracker(40, ["Step", "Training Loss", "Validation Loss"])
for step in (10, 20, 30, 40):
    loss = "No log" if step == 10 else 4 - step / 20
    table.write_line({"Step": step, "Training Loss": loss, "Validation Loss": 4.25 - step / 20})
    table.display()
"""
BREAKS = PRINTS + 'raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")'


def notebook(*cells):
    """Return the bytes of a notebook whose code cells have these outputs."""
    code = [
        {"cell_type": "code", "execution_count": n, "metadata": {}, "source": [], "outputs": list(outputs)}
        for n, outputs in enumerate(cells, 1)
    ]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def printed(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}


def drawn(html):
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": html, "text/plain": ["<HTML object>"]}}


def table(*rows):
    drawn_rows = "".join("<tr>" + "".join(f"<td> {cell} </td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<progress value="3"></progress><table border="1"><tbody>{drawn_rows}</tbody></table>'


def read(content):
    return runs_of(Source("a.ipynb", content=content))


STEPS = "".join(f"step {s}: loss {5 - s / 20:.4f}\n" for s in range(0, 60, 10))


def test_what_a_real_kernel_saved(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in (PRINTS, "print('loss', 3.0)", DRAWS, BREAKS)]
    written = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        written, timeout=300, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    prints, draws, breaks = read(nbformat.writes(written).encode())
    assert [run.name for run in (prints, draws, breaks)] == ["a.ipynb#In[1]", "a.ipynb#In[3]", "a.ipynb#In[4]"]
    assert prints["val/loss"].values.tolist() == [5.5, 5.0, 4.5, 4.0, 3.5, 3.0]
    assert draws["loss"].steps.tolist() == [20, 30, 40]
    np.testing.assert_allclose(draws["val/loss"].values, [3.75, 3.25, 2.75, 2.25])
    assert any("out of memory" in event.message for event in breaks.events)


def test_a_loss_or_two_are_left_out_and_said():
    short = [("Step", "Training Loss"), (10, 4.5), (20, 4.25)]
    (run,) = read(notebook([drawn(table(*short))], [printed(STEPS)], [drawn(table(*short))]))
    assert (run.name, len(run["loss"])) == ("a.ipynb", 6)
    assert "Left out: In[1], In[3], which hold a loss or two." in run.notes


def test_a_loss_or_two_are_read_where_there_are_no_others():
    (run,) = read(notebook([drawn(table(("Step", "Training Loss"), (10, 4.5), (20, 4.25)))]))
    assert run["loss"].values.tolist() == [4.5, 4.25]


def test_each_table_of_a_cell_is_a_run():
    rows = [("epoch", "train_loss", "valid_loss", "time"), *((e, 4 - e, 4.5 - e, "00:12") for e in range(3))]
    frozen, whole = read(notebook([drawn(table(*rows)), drawn([table(*rows)])]))
    assert (frozen.name, whole.name) == ("a.ipynb#In[1]", "a.ipynb#In[1] table 2")
    assert whole["val/loss"].values.tolist() == [4.5, 3.5, 2.5]


def dictionaries(first):
    """Return what `for record in trainer.state.log_history: print(record)` prints of a training."""
    lines = []
    for step in range(10, 50, 10):
        lines.append(
            f"{{'loss': {first - step / 70:.4f}, 'learning_rate': 5e-05, 'epoch': {step / 40}, 'step': {step}}}"
        )
        if step % 20 == 0:
            lines.append(f"{{'eval_loss': {first - step / 90}, 'epoch': {step / 40}, 'step': {step}}}")
    return "\n".join(lines) + "\n"


def drawn_by_the_trainer(first):
    rows = [(s, f"{round(first - s / 70, 4):.6f}", f"{first - s / 90:.6f}") for s in (20, 40)]
    return drawn(table(("Step", "Training Loss", "Validation Loss"), *rows))


def test_a_training_that_a_cell_draws_and_prints_is_one_run():
    first, second = read(notebook(*[[drawn_by_the_trainer(a), printed(dictionaries(a))] for a in (3.0, 4.0)]))
    assert (first.name, second.name) == ("a.ipynb#In[1]", "a.ipynb#In[2]")
    assert first["loss"].steps.tolist() == [10, 20, 30, 40]
    assert first["val/loss"].values.tolist() == [3 - 20 / 90, 3 - 40 / 90]
    assert "In[1] also shows these losses in a table, which is left out." in first.notes


@pytest.mark.parametrize("spelled", [repr, json.dumps])
def test_a_state_that_a_cell_prints_does_not_make_the_notebook_one(spelled):
    history = [{"loss": 3 - step / 70, "epoch": step / 40, "step": step} for step in range(10, 50, 10)]
    state = printed(spelled({"best_metric": None, "epoch": 1.0, "global_step": 40, "log_history": history}) + "\n")
    first, second = read(notebook([printed(dictionaries(3.0))], [state]))
    assert first["loss"].steps.tolist() == second["loss"].steps.tolist() == [10, 20, 30, 40]
    assert second.format == "huggingface-trainer-state"


def test_a_table_of_what_a_cell_did_not_print_is_a_run_of_its_own():
    rows = [(s, 3 - s / 70, 3 - s / 90, s / 50) for s in range(10, 50, 10)]
    scored = drawn(table(("Step", "Training Loss", "Validation Loss", "F1"), *rows))
    other = drawn(table(("Step", "Training Loss"), *((s, 2 - s / 70) for s in range(10, 50, 10))))
    runs = read(notebook([scored, other, printed(dictionaries(3.0))]))
    assert [run.name for run in runs] == ["a.ipynb#In[1]", "a.ipynb#In[1]", "a.ipynb#In[1] table 2"]


def test_a_reward_that_a_cell_prints_stands_beside_the_loss_of_its_table():
    rows = [(s, f"{0.01 * s:.4f}") for s in range(10, 60, 10)]
    rewards = (
        "".join(f"Step {s} | reward: {0.2 + s / 100:.3f}\n" for s in range(10, 60, 10)) + "Step 58 | reward: 0.800\n"
    )
    (run,) = read(notebook([printed(rewards), drawn(table(("Step", "Training Loss"), *rows))]))
    assert run["reward"].steps.tolist() == [10, 20, 30, 40, 50, 58]
    assert run["reward"].values.tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert run["loss"].steps.tolist() == [10, 20, 30, 40, 50]
    assert run["loss"].values.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert any("reward: printed by the same cell" in note for note in run.notes)
    elsewhere = rewards.replace("Step 20", "Step 25")
    assert len(read(notebook([printed(elsewhere), drawn(table(("Step", "Training Loss"), *rows))]))) == 2


def test_rewards_alone_are_a_log_where_they_have_steps():
    rewards = "".join(f"Step {s} | Avg reward: {0.1 - s / 10:.3f}\nPrompt: Tell me\nReward: 0.5\n" for s in range(12))
    (run,) = read(notebook([printed(rewards)]))
    assert run["reward"].values.tolist() == pytest.approx([0.1 - s / 10 for s in range(12)])
    with pytest.raises(UnreadableLog):
        read(notebook([printed("Prompt: Tell me\nReward: 0.5\n" * 12)]))


def test_sets_that_a_cell_prints_without_a_measure_are_losses():
    text = "".join(
        f"Epoch {k:02}/15 | LR: 0.0001 | Train: {4.5 - k / 10:.4f} | Val: 4.{k}25 | 128s\n" for k in range(1, 9)
    )
    (run,) = read(notebook([printed("Train: 195915 | Val: 986 | Test: 2998\n")], [printed(text)]))
    assert (run.name, run["loss"].values[0], run["val/loss"].values[-1]) == ("a.ipynb", 4.4, 4.825)


def test_the_statistics_of_ppo_are_a_log_without_a_loss():
    block = "objective/kl: {}\nppo/returns/mean: -0.6\n-----------\n"
    (run,) = read(notebook([printed("".join(block.format(29.0 + n) for n in range(12)))]))
    assert run["sequence_kl"].values.tolist() == [29.0 + n for n in range(12)]


def test_other_tables_and_pictures_are_no_logs():
    frame = table(("", "text", "label"), (0, "a", 1), (1, "b", 0), (2, "c", 1), (3, "d", 1))
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo="}}
    (run,) = read(notebook([drawn(frame), picture], [printed(STEPS)]))
    assert set(run.series) == {"loss"}


def test_lines_of_a_cell_are_not_given_as_lines_of_the_file():
    torn = '{"step": 1, "loss": 4.0}\n{"step": 2, "lo\n{"step": 3, "loss": 3.0}\n{"step": 4, "loss": 2.0}\n'
    (run,) = read(notebook([printed(torn)]))
    assert run["loss"].lines is None
    assert [(s.line, s.reason) for s in run.skipped] == [(0, "In[1]: a torn record")]


def test_numbers_that_a_cell_leaves_out_are_no_lost_records():
    lines = "".join(
        f"step {s:6} | loss {5 - s / 100:.4f} | best {5 - s / 100:.4f} | {s / 2:.1f}s\n" for s in range(10, 400, 10)
    )
    (run,) = read(notebook([printed(lines)]))
    assert {s.unit for s in run.skipped} == {"value"}
    assert diagnose(run).unjudged == ""


def test_notebooks_of_before_2015():
    cell = {"cell_type": "code", "prompt_number": 7, "outputs": [{"output_type": "stream", "text": STEPS}]}
    (run,) = read(json.dumps({"worksheets": [{"cells": [cell, cell]}], "nbformat": 3}).encode())[:1]
    assert run.name == "a.ipynb#In[7]"


@pytest.mark.parametrize(
    "content",
    [notebook(), notebook([printed("hello\n")]), b'{"cells": 3, "nbformat": 4}', b'{"cells": [{"outputs": ["x"', b"{}"],
)
def test_without_a_log_it_says_so(content):
    with pytest.raises(UnreadableLog, match=r"a\.ipynb"):
        read(content)


def test_in_a_folder_only_notebooks_that_trained_are_logs(tmp_path):
    (tmp_path / "plots.ipynb").write_bytes(notebook([printed("hello\n")]))
    (tmp_path / "train.ipynb").write_bytes(notebook([printed(STEPS)]))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "train-checkpoint.ipynb").write_bytes(notebook([printed(STEPS)]))
    sources, missing = find([tmp_path])
    assert [source.path.name for source in sources] == ["train.ipynb"]
    assert missing == []


@pytest.mark.parametrize(
    ("made", "method", "objective"),
    [
        ("trainer = GRPOTrainer(model)", "grpo", "reinforcement"),
        ("trainer = SFTTrainer(\n    model)\ntrainer = DPOTrainer(model)", "dpo", "composite"),
        ("trainer = SFTTrainer(model)  # not GRPOTrainer", "sft", "causal-lm"),
        ("# GRPOTrainer(model)\ntrainer = Trainer(model)", "pretraining", "causal-lm"),
        ("model = train_with_grpo(\n    model)", "grpo", "reinforcement"),
        ("train_dpo(model, pairs)", "dpo", "composite"),
        ("def train_with_grpo(model):\n    pass", "pretraining", "causal-lm"),
    ],
)
def test_the_trainer_that_a_cell_makes_says_what_the_loss_alone_does_not(made, method, objective):
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": made}
    document = json.loads(
        notebook([drawn(table("Step Training Loss".split(" ", 1), *((n, 0.001 * n) for n in range(1, 9))))])
    )
    document["cells"].insert(0, cell)
    (run,) = read(json.dumps(document).encode())
    assert (run.method, run.objective) == (method, objective)
