"""Where the tests find the real logs that may lie beside the checkout, and a project in which commands run as in a shell."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.cli.conftest import curve, falling, write_log

ROOT = Path(__file__).parents[1]

# How long an example takes says how busy the machine is; the same examples each time, so that a failure is the change's.
# `python -m tests.fuzz` looks for new ones.
settings.register_profile("lmdiag", deadline=None, derandomize=True)
settings.load_profile("lmdiag")

# Comet's client, once imported, would write an archive of each MLflow run of the same process into the working folder.
os.environ["COMET_AUTO_LOG_DISABLE"] = "1"


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """The folder of real logs beside the checkout; a test that asks for it is skipped where there is none."""
    named = os.environ.get("LMDIAG_REAL_LOGS")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "real_logs"
    if not folder.is_dir():
        pytest.skip("no real logs beside the checkout")
    return folder


@pytest.fixture
def bin_folder(tmp_path):
    """A folder with an `lmdiag` command that is this checkout, as an installation would have it."""
    folder = tmp_path / "tools" / "lmdiag" / "bin"
    folder.mkdir(parents=True)
    command = folder / "lmdiag"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m lmdiag "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    write_log(folder / "runs" / "candidate.jsonl", falling())
    write_log(folder / "runs" / "tiny.jsonl", falling(350))
    for seed in (1, 2, 3):
        losses = curve(np.arange(1, 401)) + np.random.default_rng(seed + 4).normal(0, 0.02, 400)
        write_log(folder / "golden" / f"seed-{seed}.jsonl", losses)
    return folder


def bash(script, folder, bin_folder, **variables):
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
