"""`lmdiag demo`: train a small model well and badly, and check both logs."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

from lmdiag.cli import say
from lmdiag.errors import LmdiagError

SMALL = (
    "--steps 240 --n-layer 2 --d-model 64 --context 64 --batch-size 8 --lr 3e-3 --eval-tokens 4096 --layers-every 20"
)
RUNS = {  # name of the log: what it shows, and how it is made
    "healthy": ("the usual recipe", []),
    "too-fast": ("the same, with a learning rate that is far too high", ["--fault", "lr-too-high"]),
}


@click.command(help="Train a small model well and badly (offline, about a minute on a CPU), and check both logs.")
@click.argument("folder", metavar="[DIR]", default="lmdiag-demo", type=click.Path(file_okay=False, path_type=Path))
def demo(folder: Path) -> int:
    from lmdiag.cli import main

    if find_spec("torch") is None:
        raise LmdiagError("the demo trains with PyTorch, which is not installed", "pip install torch")
    logs = [folder / f"{name}.jsonl" for name in RUNS]
    _refuse_to_overwrite(logs)
    for log, (what, options) in zip(logs, RUNS.values(), strict=True):
        _train(log, what, options)
    say("checking both logs: lmdiag check " + " ".join(map(str, logs)))
    main(["check", "--isolated", "--fail-on", "never", *map(str, logs)])
    _next_steps(folder, logs)
    return 0


def _refuse_to_overwrite(logs: list[Path]) -> None:
    there = [log for log in logs if log.exists()]
    if there:
        raise LmdiagError(
            f"{there[0]} exists already", f"remove {there[0].parent}, or name another folder: lmdiag demo DIR"
        )


def _train(log: Path, what: str, options: list[str]) -> None:
    """Train one run in a process of its own; its progress goes to standard error."""
    say(f"training a small transformer on the text of Python's own documentation: {what}")
    started = time.monotonic()
    command = [sys.executable, "-m", "trainers", "transformer", "--log", str(log), *SMALL.split(), *options]
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code:
        raise LmdiagError(f"training ended with exit code {code}", f"run it alone to see more: {' '.join(command)}")
    say(f"trained in {time.monotonic() - started:.0f} s; the log is {log}")


def _next_steps(folder: Path, logs: list[Path]) -> None:
    click.echo(
        "\n".join(
            (
                "",
                "What now:",
                f"  lmdiag app {folder}{' ' * 24}see the curves and the findings in the browser",
            )
        ),
        err=True,
    )
