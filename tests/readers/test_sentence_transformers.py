"""The files of sentence-transformers' evaluators beside the state of its trainer."""

import json
from pathlib import Path

import pytest

from lmdiag.judging.reading import read_runs

SCORES = [(10, 0.25), (20, 0.5), (30, 0.625), (40, 0.6875)]
LOSSES = [{"loss": 0.5 - 0.01 * step, "learning_rate": 1e-4, "step": step, "epoch": step / 10} for step in range(1, 41)]


def evaluator(folder: Path, name: str, columns: str, rows: list[str]) -> None:
    (folder / "eval").mkdir(exist_ok=True)
    (folder / "eval" / name).write_text("\n".join((columns, *rows, "")))


def test_evaluators_belong_to_the_run(tmp_path: Path) -> None:
    rows = [f"{step / 10},{step},{score}" for step, score in SCORES]
    evaluator(tmp_path, "similarity_evaluation_dev_results.csv", "epoch,steps,cosine_spearman", rows)
    evaluator(tmp_path, "triplet_evaluation_results.csv", "epoch,steps,accuracy_cosine", rows)
    (tmp_path / "checkpoint-40").mkdir()
    state = {"global_step": 40, "max_steps": 40, "log_history": LOSSES}
    (tmp_path / "checkpoint-40" / "trainer_state.json").write_text(json.dumps(state))
    (run,), problems = read_runs([tmp_path])
    assert problems == []
    assert len(run["loss"]) == 40
    assert not any("called a loss" in note for note in run.notes)  # an evaluator has none
    for name in ("val/dev_cosine_spearman", "val/accuracy_cosine"):
        assert dict(zip(run[name].steps.tolist(), run[name].values.tolist())) == dict(SCORES)


@pytest.mark.parametrize(
    "name", ["RerankingEvaluator_dev_results_@10.csv", "Information-Retrieval_evaluation_dev_results.csv"]
)
def test_an_evaluator_alone_counts_epochs_where_it_has_no_steps(tmp_path: Path, name: str) -> None:
    evaluator(tmp_path, name, "epoch,steps,MAP", [f"{epoch},-1,0.{epoch + 1}" for epoch in range(3)])
    (run,), _ = read_runs([tmp_path / "eval" / name])
    assert (run.step_kind, run["val/dev_MAP"].steps.tolist()) == ("epoch", [0, 1, 2])
