"""`python -m lmdiag` is `lmdiag`."""

import gc
import sys

COLLECTED = 100_000, 10, 50  # new objects before garbage is looked for: modules and rows stay, and little is garbage


def run() -> None:
    """Run the command line as a process of its own, which ends with its exit code."""
    gc.set_threshold(*COLLECTED)  # before the imports, which make most of the objects
    from lmdiag.cli import main

    code = main()
    gc.freeze()  # else Python would look for garbage among all that ends with the process: a sixth of the check of a small log
    sys.exit(code)


if __name__ == "__main__":
    run()
