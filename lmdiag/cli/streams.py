"""Standard streams: messages beside the result, and streams that are closed."""

from __future__ import annotations

import os
import sys

import click


def open_what_is_closed() -> None:
    """Replace standard streams the caller has closed with the null device, so that the exit code still arrives."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def say(message: str) -> None:
    """Tell the user something that is not the result."""
    click.echo(f"lmdiag: {message}", err=True)


def ignore_closed_output() -> None:
    """Send further output nowhere, because its reader, such as `head`, has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
