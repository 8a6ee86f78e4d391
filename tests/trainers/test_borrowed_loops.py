"""The trainers on other people's loops: the logs they write, how they go on from each other, what they refuse."""

import json
import math
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from lmdiag.readers import runs_of
from lmdiag.readers.source import Source
from trainers.__main__ import main
from trainers.scores import area, scores

SMALL = {"max-characters": 20000, "d-model": 16, "context": 16, "batch-size": 8, "steps": 12, "eval-every": 6}


def train(tmp_path, name, log="a.jsonl", code=0, **settings):
    words = [w for key, value in settings.items() for w in (f"--{key.replace('_', '-')}", *str(value).split())]
    assert main([name, "--log", str(tmp_path / log), *words]) == code
    path = tmp_path / log
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of(records, kind, name):
    return [r[name] for r in records if r["type"] == kind and name in r]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    options = {
        "eval-tokens": 400,
        "n-layer": 1,
        "n-head": 2,
        "vocab-size": 300,
        "save-every": 6,
        "keep": 1,
        "layers-every": 4,
    }
    return folder, train(folder, "bert-mlm", **(SMALL | options))


def test_keras_rnn_learns_and_writes_the_standard_log(tmp_path):
    pytest.importorskip("keras")
    records = train(
        tmp_path, "keras-rnn", **(SMALL | {"steps": 30, "eval-tokens": 500, "sample": 5, "lr": 0.02, "warmup-steps": 5})
    )
    losses = of(records, "step", "loss")
    assert of(records, "step", "step") == list(range(1, 31))
    assert losses[0] == pytest.approx(math.log(records[0]["model"]["vocab_size"]), abs=0.1)
    assert np.mean(losses[-5:]) < losses[0] - 0.3
    assert of(records, "step", "lr")[4] == pytest.approx(0.02)
    assert of(records, "step", "lr")[-1] == pytest.approx(0.002, rel=0.1)
    assert of(records, "eval", "step") == [6, 12, 18, 24, 30]
    assert {"uniform", "unigram", "bigram"} <= set(records[0]["reference_loss"])
    assert len(of(records, "event", "message")[0]) >= 5
    assert of(records, "end", "status") == ["completed"]


def test_bert_writes_the_standard_log_and_keeps_its_model(bert):
    folder, records = bert
    (run,) = runs_of(Source("a.jsonl", folder / "a.jsonl"))
    assert (run.config["task"], run.complete, len(run["loss"])) == ("masked-lm", True, 12)
    assert run["val/loss"].steps.tolist() == [6, 12]
    assert run["loss"].values[0] == pytest.approx(run.config["reference_loss"]["uniform"], abs=0.6)
    assert of(records, "event", "path") == [str(folder / "a.checkpoints" / f"checkpoint-{step}") for step in (6, 12)]
    kept = sorted(p.name for p in (folder / "a.checkpoints").iterdir())
    assert kept == ["checkpoint-12", "final"]


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_the_classifier_goes_on_from_bert(bert, tmp_path, balance):
    for name, words in (("many", "loss step rate model "), ("few", "cat dog tree house ")):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(words * 6 for _ in range(120 if name == "many" else 30)))
    data = f"{tmp_path}/many.txt {tmp_path}/few.txt"
    options = {
        "pretrained": bert[0] / "a.checkpoints" / "final",
        "data": data,
        "context": 16,
        "steps": 60,
        "eval-every": 30,
    }
    records = train(
        tmp_path,
        "classifier",
        balance=balance,
        folds=2,
        fold_steps=3,
        lrs="1e-2,2e-2",
        lr=1.0,
        warmup_steps=2,
        **options,
    )
    assert records[0]["task"] == "classification"
    classes = records[0]["config"]["classes"]
    assert classes["many"] > 3 * classes["few"]
    assert set(records[0]["config"]["cross_validation"]) == {"0.01", "0.02"}
    assert max(of(records, "step", "lr")) in (0.01, 0.02)
    assert of(records, "step", "step")[-1] == 60
    losses = of(records, "step", "loss")
    assert len(losses) == 60
    assert all(loss == loss for loss in losses)
    assert min(of(records, "eval", name)[-1] for name in ("accuracy", "f1", "recall", "auc")) > 0.95


def by_step(records, name):
    """One field of the step records: {step: value}."""
    return {r["step"]: r[name] for r in records if r["type"] == "step" and name in r}


def test_bert_resumes_where_it_stopped(tmp_path):
    pytest.importorskip("transformers")
    options = SMALL | {
        "n-layer": 1,
        "n-head": 2,
        "vocab-size": 300,
        "eval-tokens": 400,
        "save-every": 6,
        "warmup-steps": 2,
    }
    whole = train(tmp_path, "bert-mlm", log="whole.jsonl", **options)
    train(tmp_path, "bert-mlm", log="cut.jsonl", **options)
    shutil.rmtree(tmp_path / "cut.checkpoints" / "checkpoint-12")  # as if it had crashed before the last one
    records = train(tmp_path, "bert-mlm", log="cut.jsonl", resume="", **options)
    again = [i for i, r in enumerate(records) if r["type"] == "run"][1]
    assert records[again]["resumed_from_step"] == 6
    for name, near in {"lr": 1e-9, "tokens": 1e-9, "param_norm": 1e-3}.items():  # other tokens are masked
        expected = {step: value for step, value in by_step(whole, name).items() if step > 6}
        assert by_step(records[again:], name) == pytest.approx(expected, rel=near), name


def test_the_classifier_resumes_exactly(bert, tmp_path):
    for name, words in (("many", "loss step rate model "), ("few", "cat dog tree house ")):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(words * 6 for _ in range(60)))
    options = {"pretrained": bert[0] / "a.checkpoints" / "final", "data": f"{tmp_path}/many.txt {tmp_path}/few.txt"}
    options |= {"context": 16, "steps": 8, "eval-every": 8, "save-every": 4, "keep": 2, "warmup-steps": 2}
    whole = train(tmp_path, "classifier", log="cut.jsonl", **options)
    shutil.rmtree(tmp_path / "cut.checkpoints" / "checkpoint-8")
    records = train(tmp_path, "classifier", log="cut.jsonl", resume="", **options)[len(whole) :]
    assert records[0]["resumed_from_step"] == 4
    expected = {step: norm for step, norm in by_step(whole, "grad_norm").items() if step > 4}
    assert list(expected) == [5, 6, 7, 8]
    assert by_step(records, "grad_norm") == pytest.approx(expected, rel=1e-3)


def test_keras_resumes_where_it_stopped(tmp_path):
    pytest.importorskip("keras")
    options = SMALL | {"eval-tokens": 200, "save": ""}
    whole = train(tmp_path, "keras-rnn", log="whole.jsonl", **options)
    train(tmp_path, "keras-rnn", log="cut.jsonl", **(options | {"steps": 6}))
    records = train(tmp_path, "keras-rnn", log="cut.jsonl", resume="", **options)
    again = [i for i, r in enumerate(records) if r["type"] == "run"][1]
    assert records[again]["resumed_from_step"] == 6
    expected = {step: loss for step, loss in by_step(whole, "loss").items() if step > 6}
    assert by_step(records[again:], "loss") == pytest.approx(expected, rel=0.02)  # the first half had another schedule


@pytest.mark.parametrize("name", ["keras-rnn", "bert-mlm"])
def test_nothing_to_resume_is_said(tmp_path, capsys, name):
    pytest.importorskip({"keras-rnn": "keras", "bert-mlm": "transformers"}[name])
    train(tmp_path, name, code=2, resume="", **SMALL)
    assert "no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["keras-rnn", "bert-mlm"])
def test_without_clocks_the_same_command_writes_the_same_log(tmp_path, name):
    pytest.importorskip({"keras-rnn": "keras", "bert-mlm": "transformers"}[name])
    options = SMALL | {"steps": 6, "eval-tokens": 200, "no-clocks": ""}
    first, second = (train(tmp_path / part, name, **options) for part in "ab")
    for record in (first[0], second[0]):
        record["config"].pop("log")
    for record in first + second:
        record.pop("path", None)
    assert first == second
    assert not {"time", "step_time_s", "eval_time_s"} & {key for record in first for key in record}


def test_a_classifier_without_a_model_says_what_to_do(tmp_path, capsys):
    train(tmp_path, "classifier", code=2, pretrained=tmp_path)
    assert "python -m trainers bert-mlm" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["keras-rnn", "bert-mlm"])
def test_dry_runs_leave_nothing_behind(tmp_path, monkeypatch, name):
    pytest.importorskip({"keras-rnn": "keras", "bert-mlm": "transformers"}[name])
    monkeypatch.chdir(tmp_path)
    small = {"max-characters": 20000, "d-model": 16, "context": 16}
    assert main([name, "--dry-run", *[w for k, v in small.items() for w in (f"--{k}", str(v))]]) == 0
    assert list(tmp_path.iterdir()) == []


def test_faults_inside_the_loop_are_refused_and_those_of_settings_work(tmp_path, capsys):
    train(tmp_path, "keras-rnn", code=2, fault="lr-dead-halfway", **SMALL)
    assert "the loop of Keras is not ours" in capsys.readouterr().err
    pytest.importorskip("keras")
    records = train(tmp_path, "keras-rnn", fault="lr-zero", **(SMALL | {"eval-tokens": 200}))
    assert set(of(records, "step", "lr")) == {0.0}


def test_scores_of_a_useless_and_a_perfect_classifier():
    labels = np.array([0] * 90 + [1] * 10)
    useless = scores(np.tile([1.0, 0.0], (100, 1)), labels)
    assert (useless["accuracy"], useless["recall"], useless["auc"]) == (0.9, 0.5, 0.5)
    assert set(scores(np.eye(2)[labels], labels).values()) == {1.0}


def test_the_area_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.3
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    assert area(score, positive) == pytest.approx(np.mean(pairs))
    assert area(score, np.zeros(60, bool)) == 0.5
