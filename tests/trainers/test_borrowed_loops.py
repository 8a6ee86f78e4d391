"""The trainers on other people's loops: the logs they write, how they go on from each other, what they refuse."""

import json
import math
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from lmdiag.judging.reading import runs_of
from lmdiag.sources.source import Source
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
    assert of(records, "eval", "step") == [6, 12, 18, 24, 30, 30]  # the last on the test part
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
def test_the_classifier_goes_on_from_bert(bert, tmp_path, balance, capsys):
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
    config = json.loads((tmp_path / "a.checkpoints" / "final" / "config.json").read_text())
    assert config["id2label"] == {"0": "many", "1": "few"}
    ended = capsys.readouterr().err
    tested = re.search(
        r"test accuracy [\d.]+, f1 [\d.]+, recall [\d.]+, auc [\d.]+; always the largest class: .*", ended
    )[0]
    assert re.search(r"is, taken for +many +few\n +many +\d+ +\d+\n +few +\d+ +\d+", ended)

    assert main(["evaluate", str(tmp_path / "a.jsonl")]) == 0
    assert capsys.readouterr().out.startswith(tested)
    assert main(["evaluate", str(tmp_path / "a.jsonl"), "--data", *data.split()]) == 0
    assert "test accuracy 1.000" in capsys.readouterr().out
    assert main(["generate", str(tmp_path / "a.jsonl"), "--prompt", "loss step rate model"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"many [\d.]+%", first)
    assert re.fullmatch(r"few [\d.]+%", second)
    (tmp_path / "other.txt").write_text("loss step rate model " * 20)
    assert main(["evaluate", str(tmp_path / "a.jsonl"), "--data", str(tmp_path / "other.txt")]) == 2
    assert "named after its class, many, few; there is none for other" in capsys.readouterr().err


def test_bert_fills_masks_and_is_measured_by_its_masked_tokens(bert, tmp_path, capsys):
    log = str(bert[0] / "a.jsonl")
    filled = []
    for seed in ("1", "1", "2"):
        assert (
            main(["generate", log, "--prompt", "The [MASK] of the [MASK] is", "--temperature", "2", "--seed", seed])
            == 0
        )
        filled.append(capsys.readouterr().out)
    assert filled[0] == filled[1] != filled[2]
    assert filled[0].startswith("The")
    assert "[MASK]" not in filled[0]
    for wish, said in (
        ([], 'bert-mlm needs a text: --prompt "The [MASK] of"'),
        (["--prompt", "no gap "], 'write [MASK] where a token is missing, --prompt "no gap [MASK]"'),
        (["--prompt", "far more than it sees [MASK]" * 9], "tokens, and the model sees 16: give a shorter one"),
    ):
        assert main(["generate", log, *wish]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "b.txt").write_text("some lines of text\nthat are long enough\nto hold masked tokens\n" * 30)
    for wish, part in (([], "test"), (["--data", str(tmp_path / "b.txt")], "its")):
        assert main(["evaluate", log, *wish]) == 0
        found = re.match(
            rf"{part} loss ([\d.]+), pseudo-perplexity ([\d.]+)\n[\d,]+ masked tokens", capsys.readouterr().out
        )
        assert math.exp(float(found[1])) == pytest.approx(float(found[2]), rel=1e-3)
        assert 3 < float(found[1]) < 6  # ln 300 is 5.7


def test_a_masked_loss_is_the_one_that_the_model_says_itself(bert, tmp_path):
    import torch
    import transformers

    from trainers import finished
    from trainers.bert_mlm import masking, windows

    text = "\n".join(f"line {n} is about {n * n} things" for n in range(25))
    (tmp_path / "b.txt").write_text(text)
    trained = finished.load(bert[0] / "a.jsonl", "cpu")
    model = transformers.BertForMaskedLM.from_pretrained(bert[0] / "a.checkpoints" / "final").eval()
    rows = windows(text.splitlines(), trained.tokenizer, trained.context)
    batch = masking(trained.tokenizer, trained.settings)(rows)
    with torch.no_grad():
        expected = float(model(**batch).loss)
    trained_loss = float(re.match(r"its loss ([\d.]+)", trained.measured((str(tmp_path / "b.txt"),)))[1])
    assert len(rows) < 64  # one batch: the same masks
    assert trained_loss == pytest.approx(expected, abs=6e-4)


def by_step(records, name):
    """One field of the step records: {step: value}."""
    return {r["step"]: r[name] for r in records if r["type"] == "step" and name in r}


def resumed(tmp_path, name, last, **options):
    """Train, lose the last checkpoint, go on from the one before: the records of the first run and of the second."""
    whole = train(tmp_path, name, log="cut.jsonl", **options)
    shutil.rmtree(tmp_path / "cut.checkpoints" / f"checkpoint-{last}")
    return whole, train(tmp_path, name, log="cut.jsonl", resume="", **options)[len(whole) :]


def assert_same_after(step, whole, again):
    """The numbers of the second run are those of the first, to the last bit."""
    assert again[0]["resumed_from_step"] == step
    for name in ("loss", "grad_norm", "param_norm", "lr", "tokens"):
        expected = {at: value for at, value in by_step(whole, name).items() if at > step}
        assert by_step(again, name) == expected, name
    assert by_step(again, "loss")
    evaluations = [[(r["step"], r["loss"]) for r in part if r["type"] == "eval"] for part in (whole, again)]
    assert evaluations[1] == [pair for pair in evaluations[0] if pair[0] > step]


@pytest.mark.parametrize("pass_length", [5, 3], ids=["inside a pass", "between two passes"])
def test_bert_resumes_bit_for_bit(tmp_path, pass_length):
    pytest.importorskip("transformers")
    options = {"n-layer": 1, "n-head": 2, "vocab-size": 300, "eval-tokens": 400, "save-every": 6, "dropout": 0.1}
    options |= {"accumulation": 2, "train-tokens": pass_length * 8 * 16}
    assert_same_after(6, *resumed(tmp_path, "bert-mlm", 12, **(SMALL | options)))


def test_a_batch_is_always_masked_in_the_same_way_and_another_in_another(tmp_path):
    pytest.importorskip("transformers")
    import torch

    from trainers.bert_mlm import Settings, masking, train_tokenizer

    settings = Settings(context=10, masked=0.5)
    rows = [{"input_ids": [2, *range(100 + i, 108 + i), 3]} for i in range(64)]
    tokenizer = train_tokenizer(["loss step rate"], 300, 10)
    first = masking(tokenizer, settings)
    once, other, again = first(rows), first(rows[::-1]), first(rows)
    assert torch.equal(once["labels"], again["labels"])
    assert torch.equal(once["input_ids"], again["input_ids"])
    masks = [batch["labels"] != -100 for batch in (once, other)]
    assert not torch.equal(masks[0], masks[1].flip(0))
    assert masks[0][:, 1:-1].float().mean() == pytest.approx(0.5, abs=0.08)
    assert not masks[0][:, [0, -1]].any()  # the tokens at the ends are no text
    another_seed = masking(tokenizer, Settings(context=10, masked=0.5, seed=2))(rows)
    assert not torch.equal(masks[0], another_seed["labels"] != -100)


@pytest.mark.parametrize("name", ["bert-mlm", "classifier"])
def test_the_loss_does_not_depend_on_accumulation(bert, tmp_path, name):
    options = SMALL | {"steps": 2, "eval-every": 2, "eval-tokens": 400, "vocab-size": 300, "n-layer": 1, "n-head": 2}
    options |= {"batch-size": 64}  # of 8 windows some twenty tokens are masked, and the norm depends on which
    if name == "classifier":
        options = two_classes(bert, tmp_path) | {"context": 16, "batch-size": 8, "steps": 2}
    whole, cut = (
        train(tmp_path, name, log=f"{n}.jsonl", checkpoints=tmp_path / str(n), accumulation=n, **options)
        for n in (1, 4)
    )
    # the mean of the micro-batches' means; they have not quite as many masked tokens, and other tokens are masked
    near = 1e-4 if name == "classifier" else 0.05
    assert of(cut, "step", "loss") == pytest.approx(of(whole, "step", "loss"), rel=near)
    norms = [of(records, "step", "grad_norm") for records in (cut, whole)]
    if name == "bert-mlm":  # after one update by other masks the weights are others, too
        norms = [norm[:1] for norm in norms]
    assert norms[0] == pytest.approx(norms[1], rel=near)


def two_classes(bert, tmp_path):
    """Two texts and the model to start from, as options of the classifier."""
    for name, words in (("many", "loss step rate model "), ("few", "cat dog tree house ")):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(words * 6 for _ in range(60)))
    return {"pretrained": bert[0] / "a.checkpoints" / "final", "data": f"{tmp_path}/many.txt {tmp_path}/few.txt"}


def test_the_classifier_resumes_bit_for_bit(bert, tmp_path):
    options = {"steps": 8, "eval-every": 4, "save-every": 4, "keep": 2, "warmup-steps": 2, "accumulation": 2}
    assert_same_after(4, *resumed(tmp_path, "classifier", 8, **(two_classes(bert, tmp_path) | options)))


@pytest.mark.parametrize("name", ["keras-rnn", "bert-mlm"])
def test_a_resume_with_another_model_or_text_is_refused(tmp_path, capsys, name):
    pytest.importorskip({"keras-rnn": "keras", "bert-mlm": "transformers"}[name])
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"line {i * i} of another text, {i}" for i in range(200)))
    kept = {"save": ""} if name == "keras-rnn" else {"save-every": 2}
    options = SMALL | {"steps": 2, "eval-every": 2, "eval-tokens": 200, "max-characters": 4000} | kept
    train(tmp_path, name, log="a.jsonl", **options)
    train(tmp_path, name, log="a.jsonl", code=2, resume="", **options | {"d-model": 32})
    assert "the run was begun with --d-model 16, not 32" in capsys.readouterr().err
    train(tmp_path, name, log="a.jsonl", code=2, resume="", **options | {"data": other})
    assert "another vocabulary" in capsys.readouterr().err


def test_a_keras_run_goes_on_with_the_learning_rate_asked_for(tmp_path):
    pytest.importorskip("keras")
    options = SMALL | {"eval-tokens": 200, "save": "", "max-characters": 4000, "min-lr-ratio": 1, "warmup-steps": 1}
    half = train(tmp_path, "keras-rnn", log="a.jsonl", **options | {"steps": 6})
    again = train(tmp_path, "keras-rnn", log="a.jsonl", resume="", **options | {"lr": 0.00025})[len(half) :]
    assert [r["lr"] for r in again if r["type"] == "step"] == pytest.approx([0.00025] * 6)


def test_a_full_disk_does_not_end_a_keras_run(tmp_path, monkeypatch, capsys):
    keras = pytest.importorskip("keras")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Sequential, "save", full)
    records = train(tmp_path, "keras-rnn", save="", **SMALL | {"steps": 2, "eval-every": 2, "eval-tokens": 200})
    assert [r["step"] for r in records if r.get("kind") == "not_saved"] == [2]
    assert records[-1]["status"] == "completed"
    assert "the model could not be written" in capsys.readouterr().err


def test_passages_longer_than_the_model_has_seen_are_refused(bert, tmp_path, capsys):
    train(tmp_path, "classifier", code=2, context=17, **two_classes(bert, tmp_path))
    assert "--context 17: the model was trained with 16 tokens" in capsys.readouterr().err


def test_keras_resumes_bit_for_bit(tmp_path):
    pytest.importorskip("keras")
    constant = {"min-lr-ratio": 1}  # so that the first half has the schedule of the whole
    options = SMALL | {"eval-tokens": 200, "save": "", "dropout": 0.2, "max-characters": 4000} | constant
    whole = train(tmp_path, "keras-rnn", log="whole.jsonl", **options)
    half = train(tmp_path, "keras-rnn", log="cut.jsonl", **(options | {"steps": 6}))
    again = train(tmp_path, "keras-rnn", log="cut.jsonl", resume="", **options)[len(half) :]
    assert_same_after(6, whole, again)


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
    assert "lmdiag train bert-mlm" in capsys.readouterr().err


def test_a_classifier_names_a_text_that_is_missing_before_the_model(tmp_path, capsys):
    train(tmp_path, "classifier", code=2, pretrained=tmp_path, data=f"{tmp_path}/one.txt {tmp_path}/two.txt")
    assert f"--data {tmp_path}/one.txt: no such file" in capsys.readouterr().err


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


@pytest.mark.parametrize(("name", "error"), [("keras-rnn", KeyboardInterrupt), ("bert-mlm", RuntimeError)])
def test_an_interrupted_run_ends_its_log(tmp_path, monkeypatch, name, error):
    pytest.importorskip({"keras-rnn": "keras", "bert-mlm": "transformers"}[name])
    from lmdiag.record.judge import Judge

    times = iter(range(100))
    monkeypatch.setattr(Judge, "says_stop", lambda self, urgent=False: next(times) >= 3 and fail(error))
    options = SMALL | {"eval-tokens": 200}
    if error is KeyboardInterrupt:
        records = train(tmp_path, name, code=130, **options)
    else:
        with pytest.raises(RuntimeError, match="in the middle"):
            train(tmp_path, name, **options)
        records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
        assert of(records, "event", "message")[-1] == "RuntimeError: in the middle"
    assert of(records, "step", "step") == [1, 2, 3, 4]
    assert of(records, "end", "status") == ["killed" if error is KeyboardInterrupt else "crashed"]


def fail(error):
    raise error("in the middle")
