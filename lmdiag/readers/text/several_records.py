"""Lines that hold several records, because a program printed no line break, or more than one record on purpose."""

from __future__ import annotations

import re

from lmdiag.readers.text.patterns import lazy

_PLACE = lazy(r"(?<![A-Za-z_./-])([EeSsIi](?:poch|POCH|tep|TEP|ter(?:ation)?))\s*[:=#\[(]?\s*\d+(?![\d.])(?!\s*m?s\b)")
_SET_BEFORE = lazy(r"(?:train|training|val|valid|validation|test|eval) $", re.IGNORECASE)
_BEFORE = lazy(r"(?:[\d\]%)'\"]|[|;]\s*|\s{3,}|\t)$")  # what stands between two records
_SET = lazy(r"(?<=[\d%)])(?=(?:Test|Val|Valid|Validation|Eval|Evaluation) set:)")


def records_in(piece: str) -> list[str]:
    """Return the records of a piece, most often the piece itself.

    >>> records_in("Epoch 1 loss 4.5Epoch 2 loss 4.1"), records_in("step 1 loss 2.5 | step 2 loss 2.4")
    (['Epoch 1 loss 4.5', 'Epoch 2 loss 4.1'], ['step 1 loss 2.5 | ', 'step 2 loss 2.4'])
    >>> records_in("epoch 1 step 2 loss 2.5 (best epoch 1)")
    ['epoch 1 step 2 loss 2.5 (best epoch 1)']
    """
    if piece.count("poch") < 2 and piece.count("tep") < 2 and piece.count("ter") < 2 and " set:" not in piece:
        return [piece]
    cuts = {match.start() for match in _SET.finditer(piece)}
    first = None
    for match in _PLACE.finditer(piece):
        if first is None:
            first = match
        elif match[1].lower() == first[1].lower():
            of_set = _SET_BEFORE.search(piece, first.end(), match.start())
            start = of_set.start() if of_set else match.start()
            if _BEFORE.search(piece, first.end(), start):
                cuts.add(start)
    return [piece[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(piece)])]
