"""Let a saved model write: `lmdiag train generate MODEL --prompt "The "`."""

from __future__ import annotations

import argparse
import math

from trainers import finished, sampling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be asked."""
    parser.add_argument("model", metavar="MODEL", help="folder of the model, or the log of its training")
    parser.add_argument("--prompt", default="", help="text to go on from; default: a new document")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="tokens to write (default: 200)")
    parser.add_argument(
        "--temperature", type=float, default=0.8, metavar="X", help="0 takes the likeliest (default: 0.8)"
    )
    parser.add_argument("--top-k", type=int, default=50, metavar="N", help="among so many; 0: among all (default: 50)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same gives the same text (default: 1)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, mps (default: auto)")


def run(given: argparse.Namespace) -> None:
    """Print the prompt and what the model writes to it."""
    if not 0 <= given.temperature < math.inf or min(given.tokens, given.top_k, given.seed) < 0:
        raise ValueError("--temperature, --tokens, --top-k and --seed must be numbers of at least 0")
    model = finished.load(given.model, given.device)
    asked = (given.tokens, given.temperature, given.top_k, given.seed, given.prompt)
    print(given.prompt + sampling.write(model.after(), model.vocabulary, *asked))
