"""Logs of several models one after the other, each of which says its name before the epoch: `lstm_2 Epoch 1: loss 3.1`."""

from __future__ import annotations

import re

from lmdiag.readers.text.patterns import lazy

_MODEL = lazy(r"\W*(?=\w*[\d_])([A-Za-z][\w.-]*)[\s:|\])-]+epoch\b", re.IGNORECASE)
_SAME_MODEL = lazy(r"(?:train|val|valid|eval|test|dev|stage|phase|rank|gpu|cuda|step|iter|node)", re.IGNORECASE)


def names_model(text: str) -> bool:
    """Tell whether a record says which model it is of.

    >>> names_model("lstm_2 Epoch 1: loss 3.1"), names_model("val_2 epoch 1: loss 3.1")
    (True, False)
    """
    found = _MODEL.match(text)
    return found is not None and not _SAME_MODEL.match(found[1])


class ModelNames:
    """Follows which model a record says it is of."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, int]] = []  # name, and the line that it is first read at

    def see(self, text: str, line: int) -> None:
        """Look at the text of a record that says its model and its epoch."""
        found = _MODEL.match(text)
        if found and (not self._blocks or self._blocks[-1][0] != found[1]):
            self._blocks.append((found[1], line))

    def starts(self) -> list[int]:
        """Return the lines at which another model begins; none where the names alternate."""
        names = [name for name, _ in self._blocks]
        return [line for _, line in self._blocks[1:]] if len(set(names)) == len(names) else []
