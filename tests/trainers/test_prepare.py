"""Token files: every document once, in one part, in bounded memory, and read without a copy."""

import json

import numpy as np
import pytest

from trainers import batches, corpus, prepare
from trainers.__main__ import main

DOCUMENTS = [f"document {n} says:\nthe number is {n * n}" for n in range(3000)]


@pytest.fixture(params=["text", "jsonl", "parquet", "all"])
def files(request, tmp_path):
    """Return files that hold the documents."""
    third = len(DOCUMENTS) // 3
    parts = {"text": DOCUMENTS, "jsonl": DOCUMENTS, "parquet": DOCUMENTS}
    if request.param == "all":
        parts = dict(zip(parts, (DOCUMENTS[:third], DOCUMENTS[third : 2 * third], DOCUMENTS[2 * third :])))
    else:
        parts = {request.param: DOCUMENTS}
    return [str(write(kind, documents, tmp_path)) for kind, documents in parts.items()]


def write(kind, documents, folder):
    path = folder / f"a.{kind.replace('text', 'txt')}"
    if kind == "text":
        path.write_text("\n\n".join(documents))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in documents))
    else:
        import polars

        polars.DataFrame({"text": documents}).write_parquet(path, row_group_size=500)
    return path


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_every_document_is_there_once_and_in_one_part(files, tokenizer, tmp_path, monkeypatch, capsys):
    if tokenizer == "bpe":
        pytest.importorskip("tokenizers")
    monkeypatch.setattr(prepare, "UNIT", 5000)  # many units, whose edges lie within documents
    folder = tmp_path / "tokens"
    options = ["--tokenizer", tokenizer, "--vocab-size", "400", "--jobs", "2", "-o", str(folder)]
    assert main(["prepare", *files, *options]) == 0
    assert f"--data {folder}" in capsys.readouterr().out
    text = corpus.load([str(folder)])
    found = [part_texts(getattr(text, part), text.vocabulary) for part in corpus.PARTS]
    assert sorted(document for part in found for document in part) == sorted(DOCUMENTS)
    shares = [len(part) / len(DOCUMENTS) for part in found]
    assert shares == pytest.approx([0.9, 0.05, 0.05], abs=0.02)
    assert text.train.dtype == np.uint16
    assert text.bytes_per_token == pytest.approx(
        sum(map(len, DOCUMENTS)) / sum(len(getattr(text, part)) for part in corpus.PARTS)
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json", "test.bin", "train.bin", "val.bin", "vocabulary.json",
    ]  # fmt: skip


def part_texts(ids, vocabulary):
    ends = np.flatnonzero(ids == vocabulary.end)
    return [vocabulary.decode(piece[:-1].tolist()) for piece in np.split(ids, ends + 1)[:-1]]


def test_token_files_are_mapped_and_never_read_whole(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(DOCUMENTS))
    prepare.written([str(tmp_path / "a.txt")], tmp_path / "tokens", "char", 0, "text", 1)
    text = corpus.load([str(tmp_path / "tokens")])
    for source in (batches.Windows(text.train, 4, 16, 1), batches.Streams(text.train, 4, 16, 1)):
        held = source.ids if isinstance(source, batches.Windows) else source.streams
        assert np.shares_memory(held, text.train)
        inputs, targets = source.next()
        assert (inputs.shape, targets.shape, str(inputs.dtype)) == ((4, 16), (4, 16), "torch.int64")
        assert (inputs[:, 1:] == targets[:, :-1]).all()


@pytest.mark.parametrize("name", ["transformer", "rnn", "ngram"])
def test_a_model_is_trained_on_token_files_and_measured_again(name, tmp_path, monkeypatch, capsys):
    if name != "ngram":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("\n\n".join(DOCUMENTS))
    assert main(["prepare", "a.txt", "-o", "tokens", "--tokenizer", "word", "--vocab-size", "300"]) == 0
    small = ["--d-model", "8", "--context", "8", "--recipe", "small", "--device", "cpu"] if name != "ngram" else []
    assert main([name, "--data", "tokens", "--steps", "3", "--log", "a.jsonl", *small]) == 0
    capsys.readouterr()
    header, *records = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert header["reference_loss"]["bigram"] < header["reference_loss"]["unigram"]
    (tested,) = [r["loss"] for r in records if r.get("split") == "test"]
    assert main(["evaluate", "a.jsonl"]) == 0
    assert f"test loss {tested:.3f}" in capsys.readouterr().out


def test_what_has_no_text_is_counted_and_what_cannot_be_read_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"body": text}) for text in DOCUMENTS]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{torn", '{"body": 3}', "[1]"]))
    assert main(["prepare", "a.jsonl", "-o", "tokens", "--field", "body", "--tokenizer", "char"]) == 0
    assert "3 lines or rows hold no text in 'body' and were left out" in capsys.readouterr().err
    write("parquet", DOCUMENTS, tmp_path)
    (tmp_path / "no.parquet").write_text("text")
    (tmp_path / "latin.txt").write_bytes("né ".encode("latin-1") * 100)
    for arguments, said in (
        (["nowhere.txt", "-o", "b"], "nowhere.txt cannot be read: No such file"),
        ([".", "-o", "b"], ". is a folder. Name the files in it"),
        (["a.jsonl", "-o", "tokens"], "tokens is not empty"),
        (["a.parquet", "-o", "c", "--field", "body"], "has no column 'body', but text"),
        (["latin.txt", "-o", "d", "--tokenizer", "char"], "latin.txt is not UTF-8 text (byte 1)"),
        (["no.parquet", "-o", "e"], "no.parquet is no parquet file"),
        (["a.jsonl", "-o", "f", "--vocab-size", "0"], "0 is not in the range"),
    ):
        assert main(["prepare", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_equal_documents_are_never_in_two_parts(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(DOCUMENTS * 2))
    prepare.written([str(tmp_path / "a.txt")], tmp_path / "tokens", "char", 0, "text", 1)
    text = corpus.load([str(tmp_path / "tokens")])
    parts = [set(part_texts(getattr(text, part), text.vocabulary)) for part in corpus.PARTS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(DOCUMENTS)


@pytest.mark.parametrize("content", ["x" * 5000, "é" * 4000, "\n" * 3000, "a b\n" * 2000])
def test_units_of_text_without_blank_lines_lose_nothing(content, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "UNIT", 777)
    monkeypatch.setattr(prepare, "FAR", 100)
    path = tmp_path / "a.txt"
    path.write_text(content)
    read = [text for unit in prepare.units(str(path)) for text in prepare.documents(unit, "text")]
    assert "".join(read).replace("\n", "") == content.replace("\n", "")


@pytest.fixture
def tokens(tmp_path, monkeypatch):
    """A prepared folder, in the working folder."""
    monkeypatch.chdir(tmp_path)
    corpus._load.cache_clear()  # which may know a folder of that name from another test
    write("text", DOCUMENTS, tmp_path)
    assert main(["prepare", "a.txt", "-o", "tokens", "--tokenizer", "char", "--jobs", "1"]) == 0
    return tmp_path / "tokens"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("about.json", None, "No such file or directory: 'tokens/about.json'"),
        ("about.json", b"{}", "KeyError 'tokenizer'"),
        ("about.json", b'{"tok', "char"),
        ("vocabulary.json", None, "No such file or directory: 'tokens/vocabulary.json'"),
        ("vocabulary.json", b"[]", "attribute 'get'"),
        ("train.bin", None, "No such file or directory: 'tokens/train.bin'"),
        ("train.bin", b"", "empty"),
        ("train.bin", bytes(1000), "train has 500 tokens instead of "),
        ("val.bin", None, "val.bin"),
    ],
)
def test_a_damaged_folder_is_said_to_be_one(tokens, capsys, file, content, said):
    (tokens / file).unlink()
    if content is not None:
        (tokens / file).write_bytes(content)
    assert main(["ngram", "--data", "tokens"]) == 2
    message = capsys.readouterr().err
    assert "error: --data tokens: what was prepared there is not whole (" in message
    assert said in message
    assert message.endswith("Prepare it again\n")


def test_tokens_that_the_vocabulary_lacks_are_refused(tokens, capsys):
    ids = np.fromfile(tokens / "test.bin", np.uint16)
    ids[-1] = 60_000
    ids.tofile(tokens / "test.bin")
    assert main(["ngram", "--data", "tokens"]) == 2
    assert "test has tokens that the vocabulary lacks" in capsys.readouterr().err


def test_settings_without_effect_are_named(tokens, capsys):
    assert main(["ngram", "--data", "tokens", "--tokenizer", "bpe", "--vocab-size", "500", "--sample", "0"]) == 0
    said = capsys.readouterr().err
    assert "char tokens" in said
    assert "it has its tokens already, so that --tokenizer and --vocab-size have no effect" in said
    assert main(["ngram", "--data", "tokens", "--sample", "0", "--log", "b.jsonl"]) == 0
    assert "no effect" not in capsys.readouterr().err


def test_prepared_tokens_are_no_text(tokens, capsys):
    assert main(["ngram", "--data", "tokens", "a.txt"]) == 2
    assert "--data tokens holds prepared tokens, and here text is needed" in capsys.readouterr().err
