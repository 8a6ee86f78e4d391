"""The app in Chromium: serve it, open a page, and wait until it is drawn."""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

from tests.app.conftest import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")
PATIENCE = 60_000  # milliseconds

MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@contextmanager
def serving(*paths: str):
    """Run the app and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    command += ["--", *paths] if paths else []
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str) -> None:
    for _ in range(120):
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(url)


@contextmanager
def opened(samples: str, **options):
    """A page of 1440 by 900 with some samples, in a browser and of an app of its own; `options` are those of Playwright's `new_page`."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with serving() as address, api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900}, **options)
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}?open={samples}")
        yield page
        browser.close()


def charts_drawn(page, at_least: int = 1) -> None:
    count = "document.querySelectorAll('[data-testid=stVegaLiteChart] canvas').length"
    page.wait_for_function(f"{count} >= {at_least}")


def settled(page) -> None:
    """Wait until the page has been drawn: what comes earlier meets a chart that is about to go."""
    page.wait_for_function("!document.querySelector('[data-stale=true]')")
    page.wait_for_timeout(1500)
