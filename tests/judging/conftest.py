"""The logs on disk and the command line that the tests of the command line have."""

from tests.cli.conftest import bad, broken, good, run, spiked

__all__ = ["bad", "broken", "good", "run", "spiked"]
