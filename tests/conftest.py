"""Where the tests find the real logs that may lie beside the checkout."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is; the same examples each time, so that a failure is the change's.
# `python -m tests.fuzz` looks for new ones.
settings.register_profile("lmdiag", deadline=None, derandomize=True)
settings.load_profile("lmdiag")


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """The folder of real logs beside the checkout; a test that asks for it is skipped where there is none."""
    named = os.environ.get("LMDIAG_REAL_LOGS")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "real_logs"
    if not folder.is_dir():
        pytest.skip("no real logs beside the checkout")
    return folder
