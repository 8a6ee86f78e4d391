"""Measure a saved model on a text: `lmdiag train evaluate MODEL --data my-text.txt`."""

from __future__ import annotations

import argparse
import math

import numpy as np

from trainers import corpus, finished, results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be asked."""
    parser.add_argument("model", metavar="MODEL", help="folder of the model, or the log of its training")
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="FILE",
        help="UTF-8 text files; default: the test part of what it was trained on",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: auto)")


def run(given: argparse.Namespace) -> None:
    """Print the loss and the perplexity of the model, and what of the text it does not know."""
    model = finished.load(given.model, given.device)
    s = model.settings
    if not given.data and s.data and s.data[0].startswith("markov:"):
        ids, size = corpus.load(s.data).test, 0
    else:
        texts, _ = corpus.documents(tuple(given.data or s.data), 0 if given.data else s.max_characters)
        if not given.data:  # the same part as then, in the model's own vocabulary, whatever the text holds by now
            _, _, texts = corpus.split(texts)
        ids, size = corpus.encode(texts, model.vocabulary), sum(len(text.encode()) for text in texts)
    loss, tokens = model.loss(ids)
    print(results.about_losses({"its" if given.data else "test": loss}, {}))
    print(f"{tokens:,} tokens", end="")
    unknown = float(np.mean(ids == model.vocabulary.unknown))
    if unknown:
        print(f", {unknown:.1%} of them unknown", end="")
    elif size:
        print(f", {loss / math.log(2) * len(ids) / size:.3f} bits per byte", end="")
    print()
