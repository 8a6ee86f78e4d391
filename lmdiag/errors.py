"""Errors a user can fix.

    LmdiagError
    ├── UnreadableLog     a source that cannot be read, or is not the log of a run
    │   └── NoValues      one that was read, and holds nothing that a run logs
    └── BadSetting        a configuration key, rule name or option that does not exist or does not fit

Each message says what is wrong, where, and after ``Hint:`` the next step. They are raised anywhere and caught in
one place per use: ``cli.main``, the app's upload, the caller of the Python API. The writer of logs, which imports nothing
of lmdiag, has ``record.writer.LogInUse`` of its own.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DEBUG = "LMDIAG_DEBUG"  # an environment variable, so that processes started by this one know it, too


class LmdiagError(Exception):
    """Something the user can fix; `hint` says how."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}\nHint: {hint}" if hint else message)


class UnreadableLog(LmdiagError):
    """The source cannot be read, or is not the log of a training run."""


class NoValues(UnreadableLog):
    """The source was read, and holds no values of a run; in a folder of logs, it may be any other data."""


class BadSetting(LmdiagError):
    """A setting, rule or option that does not exist or does not fit."""


@contextmanager
def explained(explain: Callable[[Exception], UnreadableLog]) -> Iterator[None]:
    """Turn what nobody foresaw into an error a user can act on; errors that are one already pass."""
    try:
        yield
    except LmdiagError:
        raise
    except Exception as error:
        raise explain(error) from error


def show_if_debugging(error: Exception) -> None:
    """Write the traceback of an error that is caught to standard error where `lmdiag --debug` asks for it."""
    if os.environ.get(DEBUG):
        import traceback

        traceback.print_exception(error)


def nearest(word: str, known: list[str]) -> str:
    """Return a hint naming the known word closest to `word`, or all of them, near ones first, when none is close.

    >>> nearest("loss-spik", ["loss-spike", "plateau"])
    'did you mean "loss-spike"?'
    >>> nearest("spiking", ["data", "loss-spike", "plateau"])
    'known are: loss-spike, data, plateau'
    """
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    near = get_close_matches(word, set(known), n=5, cutoff=0.4)
    return f"known are: {', '.join([*near, *sorted(set(known) - set(near))])}"
