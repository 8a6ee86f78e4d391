"""Measure a saved model on a text: `lmdiag train evaluate MODEL --data my-text.txt`."""

from __future__ import annotations

import math

import click
import numpy as np

from trainers import corpus, finished, options, results


@click.command(cls=options.Command, help=__doc__, context_settings=options.WIDTH)
@click.argument("model")
@click.option(
    "--data",
    multiple=True,
    metavar="FILE ...",
    help="UTF-8 text files, of a classifier one per class; default: the test part of what it was trained on",
)
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps  [default: auto]")
def evaluate(model: str, data: tuple[str, ...], device: str) -> None:
    """Print the loss and the perplexity of the model, and what of the text it does not know."""
    trained = finished.load(model, device)
    if not isinstance(trained, finished.Finished):
        click.echo(trained.measured(data))
        return
    s = trained.settings
    if not data and s.data and (s.data[0].startswith("markov:") or corpus.is_prepared(s.data)):
        ids, size = corpus.of(s).test[: corpus.TESTED], 0
    else:
        texts, _ = corpus.documents(data or tuple(s.data), 0 if data else s.max_characters)
        if not data:  # the same part as then, in the model's own vocabulary, whatever the text holds by now
            _, _, texts = corpus.split(texts)
        ids, size = corpus.encode(texts, trained.vocabulary), sum(len(text.encode()) for text in texts)
    loss, tokens = trained.loss(ids)
    print(results.about_losses({"its" if data else "test": loss}, {}))
    print(f"{tokens:,} tokens", end="")
    unknown = int(np.sum(ids == trained.vocabulary.unknown))
    if unknown:  # counted: 0.0% would look like none
        print(f", {unknown:,} of them unknown", end="")
    elif size:
        print(f", {loss / math.log(2) * len(ids) / size:.3f} bits per byte", end="")
    print()
