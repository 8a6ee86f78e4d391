"""Text in, token ids out."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers import corpus, results, vocabularies
from trainers.settings import Settings


def test_default_text_is_the_documentation_and_always_the_same():
    first, again = corpus.documents((), 20_000)[0], corpus.documents((), 20_000)[0]
    assert first == again
    assert sum(map(len, first)) == 20_000


def test_docstrings_are_read_without_executing_the_module(tmp_path):
    module = tmp_path / "m.py"
    module.write_text('"""Top."""\nraise SystemExit\nclass A:\n    """In."""\n    def f(self):\n        """Deep."""\n')
    assert corpus.docstrings(module) == "Top.\n\nIn.\n\nDeep."
    module.write_text("def broken(:")
    assert corpus.docstrings(module) == ""


@pytest.fixture
def chinese(tmp_path):
    path = tmp_path / "zh.txt"
    lines = [f"第{n}章 语言模型从数据中学习,困惑度越低越好。" for n in "一二三四五六七八九十"] * 3
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return str(path)


@pytest.mark.parametrize("tokenizer", ["char", "word", "bpe"])
def test_any_script_survives_every_tokenizer(chinese, tokenizer):
    text = corpus.load([chinese], tokenizer, 400)
    decoded = text.vocabulary.decode(text.train[:20])
    assert "语" in decoded
    assert "\ufeff" not in decoded
    assert 0 <= text.train.min() <= text.train.max() < text.vocabulary.size
    assert min(len(text.train), len(text.val), len(text.test)) > 0
    assert text.bytes_per_token > 1


def test_bytes_per_token_counts_the_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(["abcdefghi"] * 10))
    assert corpus.load([str(path)]).bytes_per_token == pytest.approx(0.9)  # nine letters and the end, per line


def test_unknown_tokens_have_an_id_of_their_own():
    v = vocabularies.TokenVocabulary(["a b c a"], vocabularies.words, " ", 3)
    assert v.tokens == ["<unk>", "<end>", "a"]
    assert v.encode("a b") == [2, 0]


@given(
    st.lists(
        st.sampled_from(
            [*" \t\n\r\x0b\x1c\x1f\x85\xa0\u2028\u3000\u200b'’_.½Ⅷ²é你", "e\u0301", "the ", "don't", "12", "<end>"]
        )
    )
)
def test_words_that_were_looked_up_have_the_tokens_of_the_whole_text(pieces):
    vocabulary, text = byte_pairs(), "".join(pieces)
    assert vocabulary.encode(text) == vocabulary._tokenizer.encode(text).ids
    assert vocabulary.encode(text) == vocabulary.encode(text)
    if "<end>" not in text:
        assert vocabulary.decode(vocabulary.encode(text)) == text


@given(st.text())
def test_any_text_has_the_tokens_of_the_whole(text):
    assert byte_pairs().encode(text) == byte_pairs()._tokenizer.encode(text).ids


@cache
def byte_pairs():
    """Return a vocabulary with pairs of letters, blanks and signs."""
    pytest.importorskip("tokenizers")
    return vocabularies.BytePairVocabulary(["the end.  The don't, 12 \n\n _a_ é \u3000 你"] * 9, 330)


@given(st.lists(st.sampled_from(["a", "bc", "d" * 30, "你好"]), min_size=3, max_size=40))
def test_split_keeps_every_document_once_and_in_order(texts):
    parts = corpus.split(texts)
    assert [text for part in parts for text in part] == texts
    assert all(parts)


def test_a_long_document_before_the_test_part_leaves_enough_to_validate_on():
    train, val, test = corpus.split([*["a" * 50] * 16, "b" * 110, "c", "d" * 100])
    assert len(test) == 1
    assert sum(map(len, val)) >= 0.025 * 1011
    assert sum(map(len, train)) == 800


@given(st.text())
def test_clean_text_has_no_control_characters_and_is_stable(text):
    once = corpus.clean(text)
    assert corpus.clean(once) == once
    assert "\r" not in once
    assert "\n\n\n" not in once


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"\xff\xfe\x00", "is not UTF-8"), (b"one line", "too little text")],
)
def test_says_what_is_wrong_with_a_file(tmp_path, content, message):
    path = tmp_path / "x.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        corpus.load([str(path)])


def test_markov_source_has_the_entropy_it_claims():
    text = corpus.markov(8, tokens=60_000)
    ids = np.concatenate([text.train, text.val, text.test])
    pairs = np.zeros((8, 8))
    np.add.at(pairs, (ids[:-1], ids[1:]), 1)
    chances = pairs / pairs.sum(1, keepdims=True)
    measured = -(pairs * np.log(chances, where=pairs > 0, out=np.zeros_like(pairs))).sum() / pairs.sum()
    assert measured == pytest.approx(text.entropy_rate, rel=0.01)
    assert 0 < text.entropy_rate < math.log(8)
    assert text.vocabulary.encode(text.vocabulary.decode([3, 1])) == [3, 1]
    with pytest.raises(ValueError, match="at least 2"):
        corpus.markov(1)


def test_less_training_text_on_request():
    assert len(corpus.load([], max_characters=30_000, train_tokens=500).train) == 500


def test_a_part_that_is_too_small_to_measure_on_is_said(tmp_path):
    settings = Settings()
    for lines, said in ((300, True), (3000, False)):
        path = tmp_path / f"{lines}.txt"
        path.write_text("\n".join(f"line {n} of the text" for n in range(lines)))
        text = corpus.load([str(path)])
        fewest = min(len(text.val), len(text.test))
        assert (fewest < results.FEW) == said
        assert (f"{fewest:,} tokens to" in results.about_text(text, settings)) == said
