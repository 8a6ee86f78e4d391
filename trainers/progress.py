"""How far a run is: a bar on a terminal, one line per evaluation elsewhere, on standard error; what a model writes, on standard output."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lmdiag.record.writer import RunLogger

LARGEST = 100.0  # nats; nobody reads the perplexity of more


class Progress:
    """Show how far a run is; `step` and `evaluation` are told by the loop."""

    def __init__(self, steps: int, first: int = 0, quiet: bool = False) -> None:
        self._steps, self._first, self._quiet = steps, first, quiet
        self._bar: Any = None
        self._task: Any = None
        self._evaluated = ""
        self._speed = 0.0
        self._started = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            from rich import progress
            from rich.console import Console

            columns = ("[progress.description]{task.description}", progress.BarColumn(), progress.MofNCompleteColumn())
            times = (progress.TimeElapsedColumn(), progress.TimeRemainingColumn())
            self._bar = progress.Progress(*columns, *times, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("loss -", total=self._steps, completed=self._first)
        self._started = time.monotonic()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, loss: float, tokens_per_s: float = 0.0) -> None:
        """Move the bar on."""
        self._speed = tokens_per_s
        if self._bar is not None:
            speed = f", {tokens_per_s:,.0f} tokens/s" if tokens_per_s else ""
            self._bar.update(self._task, completed=step, description=f"loss {loss:.3f}{self._evaluated}{speed}")

    def evaluation(self, step: int, value: float, name: str = "validation loss", also: str = "perplexity") -> None:
        """Say what an evaluation found; of a loss in nats per token its perplexity as well, else what is to be said `also`."""
        self._evaluated = f", {name} {value:.4f}"
        if "perplexity" in also and value < LARGEST:
            also = f"{also} {math.exp(value):.4g}"
        self._evaluated += f" ({also})" if also else ""
        if self._bar is None and not self._quiet:
            speed = f", {self._speed:,.0f} tokens/s" if self._speed else ""
            seconds = time.monotonic() - self._started
            left = seconds / max(step - self._first, 1) * (self._steps - step)
            times = f", {seconds:.0f} s, {left:.0f} s left" if step > self._first else ""
            print(f"step {step}/{self._steps}{self._evaluated}{speed}{times}", file=sys.stderr)

    def say(self, text: str) -> None:
        """Say something about the run, above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        elif not self._quiet:
            print(text, file=sys.stderr)

    def text(self, written: str) -> None:
        """Show what the model wrote."""
        if not self._quiet:
            print(f"\n{written}\n")


@contextlib.contextmanager
def not_fatal(what: str, step: int, log: RunLogger, progress: Progress) -> Iterator[None]:
    """Say that something could not be written, and let the run go on."""
    try:
        yield
    except OSError as error:  # the disk is full, or may no longer be written to
        log.event("not_saved", step, f"the {what} of step {step} could not be written: {error}")
        progress.say(f"the {what} of step {step} could not be written ({error}); training goes on")
