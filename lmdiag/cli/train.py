"""`lmdiag train`: a bundled trainer, the same as `python -m trainers`."""

from __future__ import annotations

import click


@click.command(
    help="Train a bundled model and write its log: the same as `python -m trainers NAME ...`.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", metavar="[NAME ...]", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> int:
    from trainers.__main__ import main

    try:
        return main(list(arguments))
    except SystemExit as done:  # argparse ends so after --help and on wrong use
        return done.code if isinstance(done.code, int) else 2
