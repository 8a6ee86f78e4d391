"""Text in, token ids out: clean, tokenise, build the vocabulary, encode, split.

The default text is the documentation that every Python installation carries: the language reference behind `help()` and
the docstrings of the standard library, about 2 MB of English with code. Nothing is downloaded, and no module is
executed: docstrings are read from the syntax tree.
"""

from __future__ import annotations

import ast
import json
import random
import re
import sys
import sysconfig
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from trainers.vocabularies import END, TOKENIZERS, Symbols, Vocabulary, restored_vocabulary

NOT_DOCUMENTATION = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "ensurepip", "pydoc_data"}
VALIDATION = TEST = 0.05  # share of the text
MARKOV_TOKENS = 400_000
FEW = 20  # paragraphs: a text with fewer of them has a document on each line
TESTED = 1_000_000  # most tokens of the test part that a model is measured on
PARTS = ("train", "val", "test")
ABOUT = "about.json"  # in a folder that `prepare` has written


@dataclass(frozen=True)
class Corpus:
    """A text as token ids, int64, or of any width in files that are mapped into memory, in three parts.

    `bytes_per_token` is of the UTF-8 text, 0 where there is no text, `characters` how many of the text are used, and `cut` whether
    there are more; `entropy_rate` (nats per token) is known for a synthetic source only, and no model can have a lower loss in the
    long run.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    vocabulary: Vocabulary
    bytes_per_token: float = 0.0
    entropy_rate: float | None = None
    characters: int = 0
    cut: bool = False


def load(
    data: list[str], tokenizer: str = "char", vocab_size: int = 1024, max_characters: int = 0, train_tokens: int = 0
) -> Corpus:
    """Read and encode a corpus; raises ValueError for a file that is missing, empty or not UTF-8."""
    corpus = _load(tuple(data), tokenizer, vocab_size, max_characters)
    return replace(corpus, train=corpus.train[:train_tokens]) if train_tokens else corpus


def of(settings: Any) -> Corpus:
    """Return the corpus that the settings of a run ask for."""
    s = settings
    return load(s.data, s.tokenizer, s.vocab_size, s.max_characters, s.train_tokens)


@lru_cache(maxsize=4)
def _load(data: tuple[str, ...], tokenizer: str, vocab_size: int, max_characters: int) -> Corpus:
    if len(data) == 1 and data[0].startswith("markov:"):
        symbols = data[0].removeprefix("markov:")
        if not symbols.isdecimal():
            raise ValueError(f"--data {data[0]}: write how many symbols the source has, such as markov:50")
        return markov(int(symbols))
    if is_prepared(data):
        return prepared(Path(data[0]))
    texts, more = documents(data, max_characters)
    parts = split(texts)
    vocabulary = TOKENIZERS[tokenizer](parts[0], vocab_size)
    train, val, test = (encode(part, vocabulary) for part in parts)
    text_bytes = sum(len(text.encode()) for text in texts)
    return Corpus(
        train,
        val,
        test,
        vocabulary,
        text_bytes / (len(train) + len(val) + len(test)),
        characters=sum(map(len, texts)),
        cut=more,
    )


def without_effect(settings: Any) -> list[str]:
    """Return the options that differ from their defaults and change nothing, because the text is one of tokens already."""
    if not is_prepared(settings.data) and not (settings.data and settings.data[0].startswith("markov:")):
        return []
    names = ("tokenizer", "vocab_size", "max_characters")
    defaults = type(settings)()
    return [f"--{name.replace('_', '-')}" for name in names if getattr(settings, name) != getattr(defaults, name)]


def is_prepared(data: Sequence[str]) -> bool:
    """Tell whether the data are token files of `prepare`, whole or not."""
    return len(data) == 1 and any((Path(data[0]) / name).is_file() for name in (ABOUT, "vocabulary.json"))


def prepared(folder: Path) -> Corpus:
    """Return the corpus of a folder that `prepare` has written: nothing of it is read before a batch needs it, but its ends.

    Raises ValueError for a folder that is not whole.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        state = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        vocabulary = restored_vocabulary(about["tokenizer"], state)
        # mode c: the pages are those of the file until somebody writes to them, and what is written stays in memory
        parts = {part: np.memmap(token_file(folder, part), about["dtype"], "c") for part in PARTS}
        for part, ids in parts.items():
            if len(ids) != about["tokens"][part]:
                raise ValueError(f"{part} has {len(ids):,} tokens instead of {about['tokens'][part]:,}")
            if max(ids[:TESTED].max(), ids[-TESTED:].max()) >= vocabulary.size:
                raise ValueError(f"{part} has tokens that the vocabulary lacks")
        per_token = about["bytes"] / sum(about["tokens"].values())
        return Corpus(
            parts["train"], parts["val"], parts["test"], vocabulary, per_token, characters=about["characters"]
        )
    except Exception as error:  # whatever a half-copied folder makes of the libraries
        if isinstance(error, ImportError):
            raise
        told = f"{type(error).__name__} {error}" if isinstance(error, KeyError | TypeError) else str(error)
        raise ValueError(f"--data {folder}: what was prepared there is not whole ({told}). Prepare it again") from error


def token_file(folder: Path, part: str) -> Path:
    """Return the file with the token ids of a part: nothing but the ids, one after the other."""
    return folder / f"{part}.bin"


# --- documents -------------------------------------------------------------------------------------------------------


def documents(paths: tuple[str, ...], max_characters: int = 0) -> tuple[list[str], bool]:
    """Return clean documents, at most `max_characters` in all (0: no limit), from files or Python's documentation, and whether there is more."""
    found = (doc for path in paths for doc in file_documents(path)) if paths else documentation()
    kept, left = [], max_characters or float("inf")
    over = False
    for text in filter(None, map(clean, found)):
        if over := len(text) > left:
            text = text[: int(left)]
        kept += [text] if text else []
        left -= len(text)
        if over:
            break
    if not kept:
        raise ValueError(f"there is no text in {', '.join(paths)}")
    return kept, over


def clean(text: str) -> str:
    """Normalise composed characters, line ends and blank lines; drop control characters."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    text = text.translate(_control_characters())
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \u3000]+\n", "\n", text)).strip()


@lru_cache(maxsize=1)
def _control_characters() -> dict[int, None]:
    """Return what `translate` is to leave out: ten times as fast as a regular expression."""
    every = (i for i in range(sys.maxunicode + 1) if chr(i) != "\n")
    return {i: None for i in every if unicodedata.category(chr(i)) in ("Cc", "Cf")}


def file_documents(path: str) -> list[str]:
    """Cut a file into documents: at blank lines, or at every line where there are hardly any blank ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"--data {path}: no such file") from None
    except IsADirectoryError:
        if is_prepared([path]):
            raise ValueError(f"--data {path} holds prepared tokens, and here text is needed: name its files") from None
        raise ValueError(f"--data {path} is a folder. Name the files in it: --data {path.rstrip('/')}/*.txt") from None
    except OSError as error:
        raise ValueError(f"--data {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"--data {path} is not UTF-8 text (byte {error.start}). Convert it to UTF-8 first.") from None
    if not text.strip():
        raise ValueError(f"--data {path} is empty. Name a file that holds text.")
    found = paragraphs(text)
    return found if len(found) >= FEW else text.splitlines()


def paragraphs(text: str) -> list[str]:
    """Cut a text at blank lines."""
    return re.split(r"\n\s*\n", text.replace("\r\n", "\n"))


def documentation() -> Iterator[str]:
    """Yield Python's documentation: help topics and the docstrings of one module at a time, in a fixed random order.

    Mixed, because a split of the sorted text would train on the language and validate on `zipfile`.
    """
    import pydoc_data.topics

    library = Path(sysconfig.get_paths()["stdlib"])
    modules = [p for p in library.rglob("*.py") if not NOT_DOCUMENTATION & set(p.relative_to(library).parts)]
    sources: list[str | Path] = [*sorted(pydoc_data.topics.topics.values()), *sorted(modules)]
    random.Random(0).shuffle(sources)
    for source in sources:
        yield source if isinstance(source, str) else docstrings(source)


def docstrings(module: Path) -> str:
    """Return all docstrings of a source file, in the order of their definition, without executing it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in other people's sources
        try:
            tree = ast.parse(module.read_bytes())
        except (SyntaxError, ValueError):  # a test file of the parser itself
            return ""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return "\n\n".join(filter(None, (ast.get_docstring(n) for n in ast.walk(tree) if isinstance(n, documented))))


def split(texts: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Cut the documents, in their order, into train, validation and test; no document is in two parts."""
    if len(texts) < 3:
        raise ValueError("too little text: three parts need at least three lines")
    ends = np.cumsum([len(text) for text in texts])
    first, second = (int(np.searchsorted(ends, share * ends[-1])) for share in (1 - VALIDATION - TEST, 1 - TEST))
    first = min(max(first, 1), len(texts) - 2)
    second = min(max(second, first + 1), len(texts) - 1)
    # one long document may reach over all of the validation part: then the one before it is given up for that
    while first > 1 and ends[second - 1] - ends[first - 1] < VALIDATION / 2 * ends[-1]:
        first -= 1
    return texts[:first], texts[first:second], texts[second:]


# --- tokens ----------------------------------------------------------------------------------------------------------


def encode(texts: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """Return the ids of all documents, each closed by the token for its end: int64[n]."""
    end = vocabulary.encode(END)
    return np.concatenate([np.array([*vocabulary.encode(text), *end], np.int64) for text in texts])


# --- a source whose entropy is known ---------------------------------------------------------------------------------


def markov(size: int, tokens: int = MARKOV_TOKENS) -> Corpus:
    """Return a first-order Markov chain of `size` symbols whose entropy rate is known exactly.

    H = -sum_i p_i sum_j P_ij ln P_ij with p the stationary distribution of P (Cover and Thomas, Elements of
    Information Theory, theorem 4.2.4).
    """
    if size < 2:
        raise ValueError(f"markov:{size}: a source needs at least 2 symbols")
    rng = np.random.default_rng(size)
    matrix = rng.dirichlet(np.full(size, 0.5), size)
    values, vectors = np.linalg.eig(matrix.T)
    stationary = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    stationary /= stationary.sum()
    logs = np.log(matrix, out=np.zeros_like(matrix), where=matrix > 0)
    entropy = float(-(stationary[:, None] * matrix * logs).sum())
    cumulative = matrix.cumsum(1)
    cumulative[:, -1] = 1.0
    ids = np.empty(tokens, np.int64)
    state = 0
    for i, chance in enumerate(rng.random(tokens)):
        ids[i] = state = int(cumulative[state].searchsorted(chance, side="right"))
    first, second = int(tokens * (1 - VALIDATION - TEST)), int(tokens * (1 - TEST))
    return Corpus(ids[:first], ids[first:second], ids[second:], Symbols(size), entropy_rate=entropy)
