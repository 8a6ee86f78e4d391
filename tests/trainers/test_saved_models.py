"""What a trainer saves at its end is the model it trained, with the vocabulary and the settings it needs."""

import json
from importlib import import_module

import numpy as np
import pytest
import torch

from tests.trainers.conftest import values
from trainers import corpus, loop, saved_models, vocabularies
from trainers.__main__ import main
from trainers.ngram import NGram

CPU = torch.device("cpu")
TEXT = "Größe, 漢字 and x_1\n"


def loss(saved, limit=500):
    text = corpus.load([], saved.settings.tokenizer, saved.settings.vocab_size, saved.settings.max_characters)
    kind = import_module(f"trainers.{saved.name}").PARTS.batches
    parts = kind.evaluation(text.val, saved.settings.batch_size, saved.settings.context, limit)
    return loop.evaluate(saved.model, parts, saved.settings, CPU)["loss"]


@pytest.mark.parametrize("name", ["transformer", "lstm", "rnn"])
@pytest.mark.parametrize("tokenizer", ["char", "word", "bpe"])
def test_a_saved_model_is_the_trained_one(train, tmp_path, name, tokenizer):
    options = ["--n-head", 2] if name == "transformer" else []
    records = train("--steps", 4, "--save", "--tokenizer", tokenizer, "--vocab-size", 300, *options, name=name)
    saved = saved_models.load(tmp_path / "a.checkpoints" / "final", CPU)
    assert (saved.name, saved.settings.d_model, saved.settings.tokenizer) == (name, 16, tokenizer)
    assert loss(saved) == values(records, "loss", "eval")[-1]
    fresh = corpus.load([], tokenizer, 300, 20000).vocabulary
    assert saved.vocabulary.size == fresh.size
    ids = saved.vocabulary.encode(TEXT)
    assert ids == fresh.encode(TEXT)
    assert saved.vocabulary.decode(ids) == fresh.decode(ids)


def test_settings_can_be_changed_at_loading(train, tmp_path):
    train("--steps", 1, "--save", "--dropout", 0.5)
    saved = saved_models.load(tmp_path / "a.checkpoints" / "final", CPU, dropout=0.0, momentum=0.5)
    assert saved.settings.dropout == saved.model.blocks[0].drop.p == 0.0


def test_a_source_of_symbols_is_saved_as_well(train, tmp_path):
    train("--steps", 1, "--save", "--data", "markov:5")
    assert saved_models.load(tmp_path / "a.checkpoints" / "final", CPU).vocabulary.size == 5


def test_nothing_is_saved_where_it_is_not_wanted(train, tmp_path):
    train("--steps", 1, "--no-save")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_folder_without_a_model_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="Train one first: lmdiag train transformer"):
        saved_models.load(tmp_path, CPU)


def test_the_counts_are_saved(tmp_path):
    options = ["--max-characters", "20000", "--steps", "2", "--save", "--sample", "0"]
    assert main(["ngram", *options, "--log", str(tmp_path / "a.jsonl")]) == 0
    folder = tmp_path / "a.checkpoints" / "final"
    text = corpus.load([], "char", 1024, 20000)
    vocabulary = vocabularies.restored_vocabulary("char", json.loads((folder / "vocabulary.json").read_text()))
    assert vocabulary.size == text.vocabulary.size
    kept, counted = NGram.load(folder / "counts.npz"), NGram(text.train, 5, text.vocabulary.size)
    assert kept.loss(text.val) == counted.loss(text.val)
    assert np.array_equal(kept.next_token([3, 4]), counted.next_token([3, 4]))


def test_keras_saves_its_model_with_its_vocabulary(tmp_path):
    keras = pytest.importorskip("keras")
    small = ["--max-characters", "20000", "--d-model", "16", "--context", "16", "--steps", "2", "--eval-every", "2"]
    assert main(["keras-rnn", *small, "--eval-tokens", "200", "--save", "--log", str(tmp_path / "a.jsonl")]) == 0
    folder = tmp_path / "a.checkpoints" / "final"
    vocabulary = vocabularies.restored_vocabulary("char", json.loads((folder / "vocabulary.json").read_text()))
    model = keras.models.load_model(folder / "model.keras")
    assert model(np.array([vocabulary.encode("the")], np.int32)).shape == (1, 3, vocabulary.size)
