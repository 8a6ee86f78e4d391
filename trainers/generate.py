"""Let a saved model write, fill the masks of a text, or label it: `lmdiag train generate MODEL --prompt "The "`."""

from __future__ import annotations

import math

import click

from trainers import finished, options, sampling


@click.command(cls=options.Command, help=__doc__, context_settings=options.WIDTH)
@click.argument("model")
@click.option("--prompt", default="", metavar="TEXT", help="text to go on from; default: a new document")
@click.option("--tokens", default=200, metavar="TOKENS", help="how much to write  [default: 200]")
@click.option("--temperature", default=0.8, metavar="X", help="0 takes the likeliest  [default: 0.8]")
@click.option("--top-k", default=50, metavar="TOKENS", help="among so many; 0: among all  [default: 50]")
@click.option("--seed", default=1, metavar="N", help="the same gives the same text  [default: 1]")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps  [default: auto]")
def generate(model: str, prompt: str, tokens: int, temperature: float, top_k: int, seed: int, device: str) -> None:
    """Print what the model makes of the prompt; MODEL is its folder, or the log of its training."""
    if not 0 <= temperature < math.inf or min(tokens, top_k, seed) < 0:
        raise ValueError("--temperature, --tokens, --top-k and --seed must be numbers of at least 0")
    trained = finished.load(model, device)
    if not isinstance(trained, finished.Finished):
        click.echo(trained.answer(prompt, temperature, top_k, seed))
        return
    written = sampling.write(trained.after(), trained.vocabulary, tokens, temperature, top_k, seed, prompt)
    click.echo(prompt + written)
