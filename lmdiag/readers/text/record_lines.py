"""Which records a piece holds: none, one or several, and of which model."""

from __future__ import annotations

import re

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, unwrapped

_PLACE = lazy(r"(?<![A-Za-z_./-])([EeSsIi](?:poch|POCH|tep|TEP|ter(?:ation)?))\s*[:=#\[(]?\s*\d+(?![\d.])(?!\s*m?s\b)")
_NUMBERED = lazy(r"\[\d+\]\s?(?=[A-Za-z])")  # a place that has only brackets around it
_SET_BEFORE = lazy(r"(?:train|training|val|valid|validation|test|eval) $", re.IGNORECASE)
_BEFORE = lazy(r"(?:[\d\]%)'\"]|[|;]\s*|\s{3,}|\t)$")  # what stands between two records
_SET = lazy(r"(?<=[\d%)])(?=(?:Test|Val|Valid|Validation|Eval|Evaluation) set:)")
_NUMBER = lazy(r"\d[\d.]*(?:e[-+]?\d+)?")


def records_in(piece: str) -> list[str]:
    """Return the records of a piece, most often the piece itself.

    >>> records_in("Epoch 1 loss 4.5Epoch 2 loss 4.1"), records_in("step 1 loss 2.5 | step 2 loss 2.4")
    (['Epoch 1 loss 4.5', 'Epoch 2 loss 4.1'], ['step 1 loss 2.5 | ', 'step 2 loss 2.4'])
    >>> records_in("epoch 1 step 2 loss 2.5 (best epoch 1)"), records_in("step 1 loss 2.5 step 2 loss 2.4")
    (['epoch 1 step 2 loss 2.5 (best epoch 1)'], ['step 1 loss 2.5 ', 'step 2 loss 2.4'])
    >>> records_in("[07] loss 2.5 [08] loss 2.4 saved")
    ['[07] loss 2.5 ', '[08] loss 2.4 saved']
    """
    if piece.startswith("[") and len(numbered := [match.start() for match in _NUMBERED.finditer(piece)]) > 1:
        first, second = piece[: numbered[1]], piece[numbered[1] : [*numbered, len(piece)][2]]
        if not numbered[0] and _text(second).startswith(_text(first)):
            return [piece[a:b] for a, b in zip(numbered, [*numbered[1:], len(piece)])]
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


_AFTER_TRAINING = lazy(
    r"^\W*(?:final|quantized|quantised|int\d|prequant|pre-quant|post-quant|sliding|diagnostic|result|end of training"
    r"|best checkpoint|swa_eval|summary|test results at the end|evaluation of)",
    re.IGNORECASE,
)
_TEST_TIME_TRAINING = lazy(r"(?:^|[\s_])ttt(?:$|[\s_:])", re.IGNORECASE)
_TEMPLATE = lazy(r"\{[A-Za-z_](?:[^{}\"':=]|:(?!\s)|=(?=[}:!]))*\}")  # {loss:.4f}, and not {loss: 2.5} or {epoch=1}
_STATEMENT = lazy(
    r"\s*(?:#(?!\d+[\s:,|]+[A-Za-z])|(?:def|class|return|print|assert|import|while|elif)\b|(?:log0?|print0)\(|for\b.* in\b"
    r"|(?:if|with)\b.*:\s*$|from [\w.]+ import\b)"
)
_CALL = lazy(r"\w(?<![nN][aA][nN])\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\):?$")  # and no (2.5) behind `Epoch(train)`
_SAID = lazy(rf"(?=.*\bloss=)\w+\((?:\w+={NUM}(?:, )?)+\)$")  # a record that prints itself: Metrics(step=3, loss=2.5)


def is_code(text: str) -> bool:
    """Tell whether a text is a line of a program; of every line of a log it is asked, so cheap tests come first.

    >>> is_code('print(f"step {step} loss {loss}")'), is_code("step 3 loss 2.5"), is_code("train{epoch=1}: {loss: 2.5}")
    (True, False, False)
    """
    return bool(
        ("{" in text and _TEMPLATE.search(text))
        or _STATEMENT.match(text)
        or (text.endswith((")", "):")) and _CALL.search(unwrapped(text)) and not _SAID.match(text))
    )


def is_after_training(text: str) -> bool:
    """Tell whether a text is a result that was printed when the training was over."""
    plain = text.lower()
    return bool(
        _AFTER_TRAINING.match(text) or "roundtrip" in plain or ("ttt" in plain and _TEST_TIME_TRAINING.search(text))
    )


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
