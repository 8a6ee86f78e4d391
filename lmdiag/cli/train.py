"""`lmdiag train`: a bundled trainer, the same as `python -m trainers`."""

from __future__ import annotations

import click

from lmdiag.errors import LmdiagError


@click.command(
    help="Train a bundled model and write its log. The same as `python -m trainers NAME ...`.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", metavar="[NAME ...]", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> int:
    try:
        from trainers.__main__ import run_program
    except ImportError as error:
        import trainers

        where = getattr(trainers, "__file__", None) or next(iter(trainers.__path__))
        raise LmdiagError(
            f"another package named trainers, {where}, hides the one of lmdiag",
            "rename it, take it off PYTHONPATH, or call `lmdiag train` in another folder",
        ) from error
    try:
        return run_program(list(arguments), "lmdiag train")
    except SystemExit as done:  # argparse ends so after --help and on wrong use
        return done.code if isinstance(done.code, int) else 2
