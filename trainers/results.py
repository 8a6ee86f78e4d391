"""What a trainer says on the screen: what it trains on, and what came out, beside what counting reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers import corpus

if TYPE_CHECKING:
    from trainers.corpus import Corpus

LOOKED_AT = 1_000_000  # tokens, to see how many are unknown
FEW = 1000  # tokens: a loss over fewer is that of one passage, not of the text
COUNTED = 5  # tokens of the n-grams that a network is held against


def about_text(text: Corpus, settings: Any) -> str:
    """Return what there is to train on: characters, tokens of the three parts, vocabulary, unknown tokens.

    That a text was cut is said, and how to use all of it; and which settings a text that has tokens already leaves without effect.
    """
    parts = f"{len(text.train):,} + {len(text.val):,} + {len(text.test):,} tokens to train, validate and test on"
    said = f"text: {f'{text.characters:,} characters, ' if text.characters else ''}{parts}"
    said += f"; {text.vocabulary.size:,} {text.vocabulary.units}"
    if text.vocabulary.unknown is not None and len(text.val):
        said += f", {np.mean(text.val[:LOOKED_AT] == text.vocabulary.unknown):.1%} of the validation text unknown"
    if text.cut:
        said += "\ntext: there is more of it; --max-characters 0 uses all"
    if (fewest := min(len(text.val), len(text.test))) < FEW:
        said += f"\ntext: {fewest:,} tokens to {'validate' if fewest == len(text.val) else 'test'} on say little (documents stay whole): give it more text"
    if unused := corpus.without_effect(settings):
        said += f"\ntext: it has its tokens already, so that {' and '.join(unused)} {'has' if len(unused) == 1 else 'have'} no effect"
    return said


def about_losses(losses: Mapping[str, float], references: Mapping[str, float], kind: str = "perplexity") -> str:
    """Return loss and perplexity of each part of the text, and what counting reaches on the last of them.

    That is the test part, which is measured whole: of a long validation part only the beginning is.

    >>> print(about_losses({"validation": 2.0, "test": 2.1}, {"unigram": 3.0, "bigram": 2.4}))
    validation loss 2.000, perplexity 7.39
    test loss 2.100, perplexity 8.17
    counting reaches on the test part: unigram 3.000, bigram 2.400
    """
    lines = [f"{part} loss {loss:.3f}, {kind} {_exp(loss):.4g}" for part, loss in losses.items()]
    names = {"ngram": f"{COUNTED}-gram"}
    known = ", ".join(f"{names.get(name, name)} {loss:.3f}" for name, loss in references.items() if name != "uniform")
    return "\n".join([*lines, f"counting reaches on the {list(losses)[-1]} part: {known}"] if known else lines)


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf
