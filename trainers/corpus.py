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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

UNKNOWN, END = "<unk>", "<end>"  # a token the vocabulary lacks; the end of a document
NOT_DOCUMENTATION = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "ensurepip", "pydoc_data"}
VALIDATION = TEST = 0.05  # share of the text
MARKOV_TOKENS = 400_000
FEW = 20  # paragraphs: a text with fewer of them has a document on each line
TESTED = 1_000_000  # most tokens of the test part that a model is measured on
PARTS = ("train", "val", "test")
ABOUT = "about.json"  # in a folder that `prepare` has written


class Vocabulary(Protocol):
    """Text to ids and back; `unknown` is the id of what it lacks, None where it lacks nothing, `end` that of a document's end."""

    size: int
    unknown: int | None
    end: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def state(self) -> dict[str, Any]: ...


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


def is_prepared(data: Sequence[str]) -> bool:
    """Tell whether the data are token files that `prepare` has written."""
    return len(data) == 1 and (Path(data[0]) / ABOUT).is_file()


def prepared(folder: Path) -> Corpus:
    """Return the corpus of a folder that `prepare` has written: nothing of it is read before a batch needs it."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    state = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    # mode c: the pages are those of the file until somebody writes to them, and what is written stays in memory
    train, val, test = (np.memmap(token_file(folder, part), about["dtype"], "c") for part in PARTS)
    per_token = about["bytes"] / sum(about["tokens"].values())
    vocabulary = restored_vocabulary(about["tokenizer"], state)
    return Corpus(train, val, test, vocabulary, per_token, characters=about["characters"])


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
    text = _control_characters().sub("", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \u3000]+\n", "\n", text)).strip()


@lru_cache(maxsize=1)
def _control_characters() -> re.Pattern[str]:
    every = (chr(i) for i in range(sys.maxunicode + 1) if chr(i) != "\n")
    return re.compile(f"[{''.join(re.escape(c) for c in every if unicodedata.category(c) in ('Cc', 'Cf'))}]")


def file_documents(path: str) -> list[str]:
    """Cut a file into documents: at blank lines, or at every line where there are hardly any blank ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"--data {path}: no such file") from None
    except IsADirectoryError:
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
    return texts[:first], texts[first:second], texts[second:]


# --- tokens ----------------------------------------------------------------------------------------------------------


def encode(texts: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """Return the ids of all documents, each closed by the token for its end: int64[n]."""
    end = vocabulary.encode(END)
    return np.concatenate([np.array([*vocabulary.encode(text), *end], np.int64) for text in texts])


class TokenVocabulary:
    """A list of the commonest tokens; all others are the unknown token.

    >>> v = TokenVocabulary(["the cat", "the dog"], words, " ", 4)
    >>> v.tokens, v.encode("The bird"), v.decode([2, 0])
    (['<unk>', '<end>', 'the', 'cat'], [2, 0], 'the <unk>')
    """

    unknown: int | None = 0
    end = 1

    def __init__(self, texts: list[str], cut: Callable[[str], list[str]], glue: str, size: int) -> None:
        counts = Counter(token for text in texts for token in cut(text))
        commonest = sorted(counts, key=lambda token: (-counts[token], token))
        self._cut, self._glue = cut, glue
        self._take([UNKNOWN, END, *commonest[: max(size - 2, 0)]])

    def _take(self, tokens: list[str]) -> None:
        self.tokens, self.size = tokens, len(tokens)
        self._ids = {token: i for i, token in enumerate(tokens)}

    def encode(self, text: str) -> list[int]:
        return [self._ids[END]] if text == END else [self._ids.get(token, 0) for token in self._cut(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return self._glue.join("\n\n" if i == 1 else self.tokens[i] for i in ids)

    def state(self) -> dict[str, Any]:
        return {"tokenizer": "char" if self._cut is list else "word", "tokens": self.tokens}

    def load_state(self, state: dict[str, Any]) -> None:
        self._take(state["tokens"])


def words(text: str) -> list[str]:
    """Cut into lower-case words and single signs; scripts without blanks are cut into characters.

    >>> words("Don't stop: 你好 x_1")
    ['don', "'", 't', 'stop', ':', '你', '好', 'x_1']
    """
    return re.findall(
        r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W\u2e80-\u9fff\uac00-\ud7af]+|[^\w\s]", text.lower()
    )


class BytePairVocabulary:
    """Byte-pair encoding of UTF-8 bytes, trained on the text: every text can be encoded, nothing is unknown."""

    unknown: int | None = None
    end = 0  # the only special token comes first

    def __init__(self, texts: list[str], size: int) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        self._tokenizer = Tokenizer(models.BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
        )
        self._tokenizer.train_from_iterator(texts, trainer)
        self.size = self._tokenizer.get_vocab_size()

    def state(self) -> dict[str, Any]:
        return {"tokenizer": "bpe", "bpe": json.loads(self._tokenizer.to_str())}

    def load_state(self, state: dict[str, Any]) -> None:
        self._tokenizer = type(self._tokenizer).from_str(json.dumps(state.get("bpe", state)))
        self.size = self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(list(ids))


TOKENIZERS: dict[str, Callable[[list[str], int], Vocabulary]] = {
    "char": lambda texts, size: TokenVocabulary(texts, list, "", 1 << 20),  # every character of the training text
    "word": lambda texts, size: TokenVocabulary(texts, words, " ", size),
    "bpe": BytePairVocabulary,
}


def restored_vocabulary(tokenizer: str, state: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary whose `state` was kept; it says itself of which tokenizer it is, but for the oldest ones."""
    if "symbols" in state:
        return Symbols(state["symbols"])
    vocabulary: Any = TOKENIZERS[state.get("tokenizer", tokenizer)]([], 300)
    vocabulary.load_state(state)
    return vocabulary


# --- a source whose entropy is known ---------------------------------------------------------------------------------


class Symbols:
    """The K symbols of a synthetic source, written as characters; its documents have no end."""

    unknown: int | None = None
    end = 0

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, text: str) -> list[int]:
        return [ord(c) - 0x4E00 for c in text]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(chr(0x4E00 + i) for i in ids)

    def state(self) -> dict[str, Any]:
        return {"symbols": self.size}


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
