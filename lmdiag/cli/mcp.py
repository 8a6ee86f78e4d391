"""`lmdiag mcp`: let agents ask about logs over the Model Context Protocol."""

from __future__ import annotations

import os
from importlib.util import find_spec

import click

from lmdiag.errors import LmdiagError


@click.command(
    help="Let agents ask about logs, by the Model Context Protocol. It serves check, explain, compare and curve on standard input and "
    "output. Only the logs named here are read, and nothing is written."
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
def mcp(paths: tuple[str, ...]) -> int:
    if find_spec("mcp") is None:
        raise LmdiagError("lmdiag mcp needs the package mcp", "pip install mcp")
    paths = tuple(map(_local, paths))
    missing = [path for path in paths if "://" not in path and not os.path.exists(path)]
    if missing:
        raise LmdiagError(f"there is no file or folder {missing[0]}", "name the folder of the logs")
    from lmdiag.agents.server import server
    from lmdiag.cli.catalogue import entry
    from lmdiag.rules import RULES

    server(paths, RULES, entry).run()
    return 0


def _local(path: str) -> str:
    """Return the path of a file:// address, so that links out of it are seen; any other as it is."""
    if not path.startswith("file://"):
        return path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return url2pathname(urlsplit(path).path)
