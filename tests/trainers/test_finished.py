"""A trained model is used: it writes what its prompt asks for, and its loss is the one its training ended with."""

import json
import re

import numpy as np
import pytest

from tests.trainers.conftest import values
from trainers import finished, sampling, vocabularies
from trainers.__main__ import main

SMALL = ["--max-characters", "20000", "--steps", "4"]
NETWORK = ["--d-model", "16", "--context", "16", "--batch-size", "4", "--eval-every", "2", "--layers-every", "0"]
KINDS = {
    "ngram": [],
    "rnn": NETWORK,
    "lstm": NETWORK,
    "transformer": [*NETWORK, "--n-head", "2"],
    "keras-rnn": [*NETWORK],
}


@pytest.fixture(params=KINDS)
def trained(request, tmp_path, monkeypatch, capsys):
    """The name of a trainer, the log of its run, and what it said on the screen."""
    if request.param == "keras-rnn":
        pytest.importorskip("keras")
    elif request.param != "ngram":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert main([request.param, *SMALL, *KINDS[request.param], "--sample", "20", "--log", "a.jsonl"]) == 0
    said = capsys.readouterr()
    return request.param, [json.loads(line) for line in open("a.jsonl")], said.out + said.err


def test_the_end_of_a_training_is_told(trained):
    name, records, said = trained
    test = [record for record in records if record.get("split") == "test"]
    assert len(test) == 1
    assert f"test loss {test[0]['loss']:.3f}, perplexity " in said
    assert re.search(r"text: 20,000 characters, [\d,]+ \+ [\d,]+ \+ [\d,]+ tokens", said)
    assert "there is more of it; --max-characters 0 uses all" in said
    assert name == "ngram" or f"model: {name} with {records[0]['model']['params']:,} parameters" in said
    assert "counting reaches on the test part: unigram" in said
    sample = next(record["message"] for record in records if record.get("kind") == "sample")
    assert sample in said


def test_it_is_measured_on_the_test_part_and_on_other_text(trained, tmp_path, capsys):
    _, records, _ = trained
    test = next(record for record in records if record.get("split") == "test")
    for model in ("a.jsonl", "a.checkpoints", "a.checkpoints/final"):
        assert main(["evaluate", model]) == 0
        assert capsys.readouterr().out.startswith(f"test loss {test['loss']:.3f}, perplexity ")
    (tmp_path / "b.txt").write_text(
        "one line of text that is long enough\n漢字 are unknown here\nand a third line\n" * 3
    )
    assert main(["evaluate", "a.jsonl", "--data", "b.txt"]) == 0
    assert "of them unknown" in capsys.readouterr().out


def test_it_goes_on_from_a_prompt_and_the_seed_repeats_it(trained, capsys):
    written = []
    for seed in ("1", "1", "2"):
        assert main(["generate", "a.jsonl", "--prompt", "the ", "--tokens", "40", "--seed", seed]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] != written[2]
    assert written[0].startswith("the ")
    assert len(written[0]) >= len("the ") + 40


@pytest.mark.parametrize(
    "wish",
    [["--temperature", "-1"], ["--temperature", "nan"], ["--temperature", "inf"], ["--tokens", "-5"], ["--seed", "-1"]],
)
def test_wrong_wishes_are_refused(wish, capsys):
    assert main(["generate", "a.jsonl", *wish]) == 2
    assert "at least 0" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["config.json", "vocabulary.json", "counts.npz"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"PK\3\4 cut"])
def test_a_damaged_model_is_said_to_be_one(tmp_path, monkeypatch, capsys, part, content):
    monkeypatch.chdir(tmp_path)
    assert main(["ngram", *SMALL, "--sample", "0", "--log", "a.jsonl"]) == 0
    (tmp_path / "a.checkpoints" / "final" / part).write_bytes(content)
    capsys.readouterr()
    assert main(["generate", "a.jsonl"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "damaged" in said or "none of the trainers" in said


def test_the_text_may_have_changed_since(tmp_path, monkeypatch, capsys):
    """The vocabulary is the model's, not one that is made of today's text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text("abc abd\n" * 400)
    assert main(["ngram", "--data", "t.txt", "--steps", "2", "--sample", "0", "--log", "a.jsonl"]) == 0
    (tmp_path / "t.txt").write_text("0123456789 abc abd\n" * 400)
    capsys.readouterr()
    assert main(["evaluate", "a.jsonl"]) == 0
    assert "of them unknown" in capsys.readouterr().out


def test_a_single_line_is_text_enough(tmp_path, trained, capsys):
    (tmp_path / "one.txt").write_text("one line of text that is long enough for a window, and for the next one too")
    assert main(["evaluate", "a.jsonl", "--data", "one.txt"]) == 0


def test_what_the_vocabulary_lacks_is_never_written():
    vocabulary = vocabularies.TokenVocabulary(["a b c"], vocabularies.words, " ", 5)
    likely = np.array([50.0, 0.0, 0.0, 0.0, 0.0])
    text = sampling.write(lambda further: likely.copy(), vocabulary, 200, 1.0, 0, 1)
    assert vocabularies.UNKNOWN not in text
    assert {"a", "b", "c"} <= set(text.split())


def test_a_recurrent_model_carries_its_state():
    torch = pytest.importorskip("torch")
    seen = []

    class Counts(torch.nn.Module):
        def forward(self, ids, state):
            seen.append(ids.tolist())
            return torch.zeros(1, ids.shape[1], 3), (0 if state is None else state) + ids.shape[1]

    network = sampling.Network(Counts(), 4, torch.device("cpu"))
    network([1, 2])
    network([0])
    network([2])
    assert seen == [[[1, 2]], [[0]], [[2]]]


def test_the_model_may_stand_behind_a_list_of_files(trained, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the first line\nand the second, which is longer\n" * 5)
    said = []
    for words in (
        ["MODEL", "--data", "a.txt"],
        ["--data", "a.txt", "MODEL"],
        ["--data", "a.txt", "--device", "cpu", "MODEL"],
    ):
        assert main(["evaluate", *("a.jsonl" if word == "MODEL" else word for word in words)]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]


def test_a_folder_without_a_model_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="Train one first: lmdiag train transformer"):
        finished.load(tmp_path)


def test_keras_trains_the_steps_asked_for(tmp_path):
    pytest.importorskip("keras")
    options = ["--max-characters", "20000", *NETWORK, "--eval-every", "3", "--steps", "7", "--sample", "0"]
    assert main(["keras-rnn", *options, "--log", str(tmp_path / "a.jsonl")]) == 0
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").open()]
    assert len(values(records, "loss")) == 7
    assert [record["step"] for record in records if record["type"] == "eval" and "split" in record][-2:] == [7, 7]
