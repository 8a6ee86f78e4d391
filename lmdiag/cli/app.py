"""`lmdiag app`: the Streamlit app in a process of its own, on this machine only unless asked otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from lmdiag.errors import LmdiagError
from lmdiag.sources.addresses import OF_THIS_MACHINE, is_url

NEEDED = {
    "streamlit": "streamlit",
    "altair": "altair",
    "pandas": "pandas",
    "jinja2": "jinja2",
    "vl_convert": "vl-convert-python",
}
EVERY_ADDRESS = ("0.0.0.0", "::", "")
SETTINGS: dict[str, object] = {  # the same as in .streamlit/config.toml, which `streamlit run app.py` reads
    "server.address": "127.0.0.1",
    "server.maxUploadSize": 200,  # megabytes
    "server.showEmailPrompt": False,
    "server.fileWatcherType": "none",
    "browser.serverAddress": "127.0.0.1",
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "type",  # no traceback for visitors
    "client.toolbarMode": "minimal",
    "theme.light.primaryColor": "#005A8F",
    "theme.dark.primaryColor": "#56B4E9",
}


@click.command(help="Open logs in the browser: curves, findings on them, comparison. Listens on this machine only.")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@click.option("--port", type=int, default=8501, show_default=True, help="Port to listen on.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine's own opens the app to the network.",
)
@click.option("--browser", is_flag=True, help="Open the browser, too.")
def app(paths: tuple[str, ...], port: int, host: str, browser: bool) -> int:
    from lmdiag.cli.streams import say
    from lmdiag.sources.local import named

    missing = [package for name, package in NEEDED.items() if find_spec(name) is None]
    if missing:
        raise LmdiagError(f"the app needs {', '.join(missing)}", f"pip install {' '.join(missing)}")
    for path in paths:
        if path != "-" and not is_url(path) and not os.path.exists(path):
            next(named(path), None)  # raises an error unless it is a pattern that files match
    if host not in OF_THIS_MACHINE:
        say(f"warning: everybody who can reach {host} can read what the app shows")
    line = command(paths, port, host, browser)
    variables = os.environ | {
        "STREAMLIT_LOGGER_LEVEL": "warning",
        "STREAMLIT_SERVER_ALLOWED_HOSTS": " ".join(hosts(host)),
    }
    if os.name != "nt":  # the server takes this process over, so that signals reach it
        os.execve(line[0], line, variables)
    return subprocess.call(line, env=variables)


def hosts(host: str) -> tuple[str, ...]:
    """Return the names under which a browser may ask for the app; any where it listens on every address.

    >>> hosts("127.0.0.1"), hosts("0.0.0.0")
    (('127.0.0.1', 'localhost', '::1'), ('*',))
    """
    return ("*",) if host in EVERY_ADDRESS else tuple(dict.fromkeys((*OF_THIS_MACHINE, host)))


def command(paths: tuple[str, ...], port: int, host: str, browser: bool) -> list[str]:
    """Return the command that serves the app."""
    script = Path(__file__).parents[1] / "app" / "script.py"
    flags = SETTINGS | {
        "server.address": host,
        "server.port": port,
        "server.headless": not browser,
        "browser.serverAddress": "localhost" if host in EVERY_ADDRESS else host,
    }
    options = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in flags.items()]
    absolute = [path if is_url(path) else str(Path(path).resolve()) for path in paths]
    return [sys.executable, "-m", "streamlit", "run", str(script), *options, *(["--", *absolute] if absolute else [])]
