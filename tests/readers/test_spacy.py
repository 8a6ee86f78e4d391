"""What `spacy train` prints and writes: losses that are sums, and scores of evaluations."""

import json
from pathlib import Path

import numpy as np
import pytest

from lmdiag.judging.reading import read_runs
from lmdiag.run import Run

HEAD = "E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  SPEED     SCORE \n---  ------  ------------  --------  ------  --------  ------\n"
ROWS = [
    (0, 0, 1.5, 20.25, 0.0),
    (0, 200, 128.54, 2021.43, 41.5),
    (1, 400, 211.02, 1310.5, 52.5),
    (1, 600, 180.0, 640.75, 60.0),
]


def written() -> str:
    return "".join(
        json.dumps(
            {"epoch": e, "step": s, "losses": {"tok2vec": a, "ner": b}, "scores": {"ents_f": f}, "score": f / 100}
        )
        + "\n"
        for e, s, a, b, f in ROWS
    )


def printed() -> str:
    rows = (f"{e:3}  {s:6}  {a:12.2f}  {b:8.2f}  {f:6.2f}  10000.00  {f / 100:6.2f}\n" for e, s, a, b, f in ROWS)
    return f"ℹ Pipeline: ['tok2vec', 'ner']\n{HEAD}{''.join(rows)}✔ Saved pipeline to output directory\n"


def run_in(folder: Path, **files: str) -> Run:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (run,), problems = read_runs([folder])
    assert problems == []
    return run


@pytest.mark.parametrize(
    "files",
    [
        {"log_jsonl": written()},
        {"train_log": printed()},
        {"train_log": printed().replace("LOSS TOK2VEC", "LOSS TRANS...")},
    ],
    ids=["written", "printed", "cut short"],
)
def test_the_first_row_is_of_one_step_and_the_loss_that_of_the_task(tmp_path: Path, files: dict[str, str]) -> None:
    run = run_in(tmp_path, **files)
    assert dict(zip(run["loss"].steps.tolist(), run["loss"].values.tolist())) == {
        0: 200 * 20.25, 200: 2021.43, 400: 1310.5, 600: 640.75,
    }  # fmt: skip
    assert run["val/ents_f"].values.tolist() == [0.0, 41.5, 52.5, 60.0]
    assert run.objective == "classification"
    assert any("mostly over 200 steps" in note for note in run.notes)


def test_what_is_printed_and_what_is_written_are_one_run(tmp_path: Path) -> None:
    run = run_in(tmp_path, log_jsonl=written().replace("640.75", "640.7512345"), console_log=printed())
    assert run["loss"].values[-1] == 640.7512345  # the console has two digits
    assert len(run["loss"]) == 4
    assert run["val/speed"].values.tolist() == [10000.0] * 4  # which the file has not


def test_the_plan_stands_in_the_config_of_the_model(tmp_path: Path) -> None:
    config = "[training]\nmax_steps = 20000\npatience = 1600\nscore_weights = ${x.y}\n\n[training.optimizer]\nlearn_rate = 0.001\n"
    run = run_in(tmp_path, log_jsonl=written(), **{"model-last__config_cfg": config})
    assert run.planned_steps == 20000
    assert run.config["config"]["training.optimizer"] == {"learn_rate": 0.001}


def test_several_tasks_are_several_losses(tmp_path: Path) -> None:
    run = run_in(tmp_path, log_jsonl=written().replace("tok2vec", "tagger"))
    assert "loss" not in run
    assert np.isclose(run["loss of ner"].values[-1], 640.75)


def test_what_the_command_line_overrode_stands_in_the_config_of_the_model_alone(tmp_path: Path) -> None:
    given, overridden = ("[training]\nmax_steps = 20000\n", "[training]\nmax_steps = 600\n")
    (tmp_path / "out" / "model-last").mkdir(parents=True)
    (tmp_path / "out" / "model-last" / "config.cfg").write_text(overridden)
    assert run_in(tmp_path, log_jsonl=written(), config_cfg=given).planned_steps == 600
