"""`lmdiag demo`: train a small model well and badly, and check both logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

from lmdiag.cli.streams import say
from lmdiag.errors import LmdiagError

SMALL = "--recipe small --steps 240 --n-layer 2 --d-model 64 --context 64 --batch-size 8 --max-characters 400000"
SPARING = "--eval-tokens 4096 --layers-every 20 --checkpoint-every 0 --device cpu"
RUNS = {  # name of the log: what it shows, and how it is made
    "healthy": ("the usual recipe", ["--lr", "1e-3"]),
    "too-fast": ("the same, with a learning rate that is far too high", ["--lr", "3e-3", "--fault", "lr-too-high"]),
}


@click.command(help="Train a small model well and badly, and check both logs. Offline; about a minute on a CPU.")
@click.argument("folder", metavar="[DIR]", default="lmdiag-demo", type=click.Path(file_okay=False, path_type=Path))
def demo(folder: Path) -> int:
    from lmdiag.cli.check import check

    if find_spec("torch") is None:
        raise LmdiagError("the demo trains with PyTorch, which is not installed", "pip install torch")
    logs = {folder / f"{name}.jsonl": run for name, run in RUNS.items()}
    for log, (what, options) in logs.items():
        if _is_whole(log):
            say(f"{log} is there already; remove {folder} to train again")
        else:
            _train(log, what, options)
    for log in logs:
        say(f"this is `lmdiag check {log}`:")
        click.echo()
        check.main(["--isolated", "--fail-on", "never", str(log)], prog_name="lmdiag check", standalone_mode=False)
    click.echo(NEXT.format(folder=folder, log=list(logs)[-1]))
    return 0


NEXT = """
What now:
  curves and findings in the browser:  lmdiag app {folder}
  the report as a file:                lmdiag report {log} -o report.html
  what a finding means:                lmdiag explain lr-too-high
  the log you already have:            lmdiag check YOUR_LOG"""


def _is_whole(log: Path) -> bool:
    """Tell whether an earlier demo wrote this log to its end; one that was interrupted is removed."""
    if not log.exists():
        return False
    if b'{"type":"end"' in log.read_bytes():
        return True
    log.unlink()
    return False


def _train(log: Path, what: str, options: list[str]) -> None:
    """Train one run in a process of its own; its progress goes to standard error."""
    say(f"training a small transformer on the text of Python's own documentation: {what}")
    started = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "lmdiag",
        "train",
        "transformer",
        "--log",
        str(log),
        *SMALL.split(),
        *SPARING.split(),
    ]
    # So small a model is trained no faster by several threads, and much slower where other programs need the processor.
    code = subprocess.run([*command, *options], stdout=sys.stderr, env={"OMP_NUM_THREADS": "1"} | os.environ).returncode
    if code:
        raise LmdiagError(
            f"training ended with exit code {code}", f"run it alone: python {' '.join([*command[1:], *options])}"
        )
    say(f"trained in {time.monotonic() - started:.0f} s; the log is {log}")
