"""`python -m lmdiag` is `lmdiag`."""

import sys

from lmdiag.cli import main

if __name__ == "__main__":
    sys.exit(main())
