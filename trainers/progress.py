"""A progress bar with loss and time left on a terminal, one line per evaluation elsewhere; always on stderr."""

from __future__ import annotations

import sys
from typing import Any, Self


class Progress:
    """Show how far a run is; `step` and `evaluation` are told by the loop."""

    def __init__(self, steps: int, first: int = 0, quiet: bool = False) -> None:
        self._steps, self._first, self._quiet = steps, first, quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            from rich import progress
            from rich.console import Console

            columns = ("[progress.description]{task.description}", progress.BarColumn(), progress.MofNCompleteColumn())
            self._bar = progress.Progress(*columns, progress.TimeRemainingColumn(), console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("loss -", total=self._steps, completed=self._first)
        return self

    def __exit__(self, *failure: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        """Move the bar on."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=f"loss {loss:.3f}")

    def evaluation(self, step: int, value: float, name: str = "validation loss") -> None:
        """Say what an evaluation found."""
        if self._bar is None and not self._quiet:
            print(f"step {step}/{self._steps}: {name} {value:.4f}", file=sys.stderr)
