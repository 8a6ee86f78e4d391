"""Any text: a printed log of which the first bytes told nothing."""

from __future__ import annotations

from lmdiag.readers.text.fallback import is_program, is_text
from lmdiag.readers.text.recognise import begin, read

__all__ = ["begin", "can_read", "read"]


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the bytes are text; whether it holds records shows only when all of it is read."""
    return not name.endswith("/") and not is_program(name) and is_text(head)
