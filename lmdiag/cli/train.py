"""`lmdiag train`: a bundled trainer, the same as `python -m trainers`."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import click

TRAINERS = Path(__file__).resolve().parents[2] / "trainers"


@click.command(
    help="Train a bundled model and write its log. The same as `python -m trainers NAME ...`.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", metavar="[NAME ...]", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> int:
    find_ours()
    from trainers.__main__ import run_program

    return run_program(list(arguments), "lmdiag train")


def find_ours() -> None:
    """Let `trainers` be the package beside lmdiag, whatever else has that name in the folder of the caller or on its path."""
    if TRAINERS in [Path(place).resolve() for place in getattr(sys.modules.get("trainers"), "__path__", ())]:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "trainers"]:
        del sys.modules[name]
    spec = spec_from_file_location("trainers", TRAINERS / "__init__.py", submodule_search_locations=[str(TRAINERS)])
    assert spec is not None
    assert spec.loader is not None
    ours = module_from_spec(spec)
    sys.modules["trainers"] = ours
    spec.loader.exec_module(ours)
