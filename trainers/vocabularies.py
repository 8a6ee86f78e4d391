"""Text to token ids and back: characters, words, byte pairs, and the symbols of a synthetic source."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol

# A run of characters with the blanks before it: byte-pair encoding never joins what a blank parts. Python alone takes four control
# characters for blanks.
PIECES = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+")
LONG = 20  # characters: a text of longer pieces on average has few that come again
UNKNOWN, END = "<unk>", "<end>"  # a token the vocabulary lacks; the end of a document


class Vocabulary(Protocol):
    """Text to ids and back; `unknown` is the id of what it lacks, None where it lacks nothing, `end` that of a document's end.

    `units` is what it is made of, in words.
    """

    size: int
    units: str
    unknown: int | None
    end: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def state(self) -> dict[str, Any]: ...


class Symbols:
    """The K symbols of a synthetic source, written as characters; its documents have no end."""

    unknown: int | None = None
    end = 0
    units = "symbols"

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, text: str) -> list[int]:
        return [ord(c) - 0x4E00 for c in text]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(chr(0x4E00 + i) for i in ids)

    def state(self) -> dict[str, Any]:
        return {"symbols": self.size}


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
        self.units = "char tokens" if cut is list else "word tokens"
        self._take([UNKNOWN, END, *commonest[: max(size - 2, 0)]])

    def _take(self, tokens: list[str]) -> None:
        self.tokens, self.size = tokens, len(tokens)
        self._ids = {token: i for i, token in enumerate(tokens)}

    def encode(self, text: str) -> list[int]:
        return [self._ids[END]] if text == END else [self._ids.get(token, 0) for token in self._cut(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return self._glue.join("\n\n" if i == 1 else self.tokens[i] for i in ids)

    def state(self) -> dict[str, Any]:
        return {"tokenizer": self.units.partition(" ")[0], "tokens": self.tokens}

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
    units = "bpe tokens"

    def __init__(self, texts: list[str], size: int) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        self._take(tokenizer)

    def _take(self, tokenizer: Any) -> None:
        self._tokenizer, self.size = tokenizer, tokenizer.get_vocab_size()
        # most of a text are words that were met before: they are looked up, not encoded again
        self._ids = lru_cache(maxsize=1 << 17)(lambda piece: tokenizer.encode(piece).ids)

    def state(self) -> dict[str, Any]:
        return {"tokenizer": "bpe", "bpe": json.loads(self._tokenizer.to_str())}

    def load_state(self, state: dict[str, Any]) -> None:
        self._take(type(self._tokenizer).from_str(json.dumps(state.get("bpe", state))))

    def encode(self, text: str) -> list[int]:
        pieces = PIECES.findall(text)
        if len(text) > LONG * len(pieces):
            ids: list[int] = self._tokenizer.encode(text).ids
            return ids
        return list(chain.from_iterable(map(self._ids, pieces)))

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
