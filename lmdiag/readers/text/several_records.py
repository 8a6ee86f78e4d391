"""Lines that hold several records, because a program printed no line break, or more than one record on purpose."""

from __future__ import annotations

import re

from lmdiag.readers.text.patterns import lazy

_PLACE = lazy(r"(?<![A-Za-z_./-])([EeSsIi](?:poch|POCH|tep|TEP|ter(?:ation)?))\s*[:=#\[(]?\s*\d+(?![\d.])(?!\s*m?s\b)")
_SET_BEFORE = lazy(r"(?:train|training|val|valid|validation|test|eval) $", re.IGNORECASE)
_BEFORE = lazy(r"(?:[\d\]%)'\"]|[|;]\s*|\s{3,}|\t)$")  # what stands between two records
_SET = lazy(r"(?<=[\d%)])(?=(?:Test|Val|Valid|Validation|Eval|Evaluation) set:)")
_NUMBER = lazy(r"\d[\d.]*(?:e[-+]?\d+)?")
_BAR = lazy(r"(?<=.)(?=Epoch \d+(?:: +\d+%\||, global step))")


def records_in(piece: str) -> list[str]:
    """Return the records of a piece, most often the piece itself.

    >>> records_in("Epoch 1 loss 4.5Epoch 2 loss 4.1"), records_in("step 1 loss 2.5 | step 2 loss 2.4")
    (['Epoch 1 loss 4.5', 'Epoch 2 loss 4.1'], ['step 1 loss 2.5 | ', 'step 2 loss 2.4'])
    >>> records_in("epoch 1 step 2 loss 2.5 (best epoch 1)"), records_in("step 1 loss 2.5 step 2 loss 2.4")
    (['epoch 1 step 2 loss 2.5 (best epoch 1)'], ['step 1 loss 2.5 ', 'step 2 loss 2.4'])
    """
    if piece.count("poch") < 2 and piece.count("tep") < 2 and piece.count("ter") < 2 and " set:" not in piece:
        return [piece]
    cuts = {match.start() for match in _SET.finditer(piece)}
    places = list(_PLACE.finditer(piece))
    alike = [place.start() for place in places if place[1] == places[0][1]]
    if len(alike) > 1 and _text(piece[alike[0] : alike[1]]) == _text(piece[alike[1] : [*alike, len(piece)][2]]):
        cuts.update(alike[1:])  # the same text again and again
    for match in places[1:]:
        if match[1].lower() == places[0][1].lower():
            of_set = _SET_BEFORE.search(piece, max(places[0].end(), match.start() - 12), match.start())
            start = of_set.start() if of_set else match.start()
            if _BEFORE.search(piece, max(places[0].end(), start - 8), start):
                cuts.add(start)
    return [piece[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(piece)])]


def _text(record: str) -> str:
    return _NUMBER.sub("0", record).strip()


def bars_in(piece: str) -> list[str]:
    """Return the states of a progress bar that a piece holds: messages and redraws often stand on the line of the bar."""
    return _BAR.split(piece) if piece.count("Epoch ") > 1 else [piece]
