"""Lines that hold named numbers and are no records: programs that print their own source, and results after training."""

from __future__ import annotations

import re

from lmdiag.readers.numbers import NUM, unwrapped
from lmdiag.readers.text.patterns import lazy

_AFTER_TRAINING = lazy(
    r"^\W*(?:final|quantized|quantised|int\d|prequant|pre-quant|post-quant|sliding|diagnostic|result|end of training"
    r"|best checkpoint|swa_eval|summary|test results at the end|evaluation of)",
    re.IGNORECASE,
)
_TEST_TIME_TRAINING = lazy(r"(?:^|[\s_])ttt(?:$|[\s_:])", re.IGNORECASE)
_TEMPLATE = lazy(r"\{[A-Za-z_][^{}\"']*\}")
_STATEMENT = lazy(
    r"\s*(?:#|(?:def|class|return|print|assert|import|while|elif)\b|(?:log0?|print0)\(|for\b.* in\b"
    r"|(?:if|with)\b.*:\s*$|from [\w.]+ import\b)"
)
_CALL = lazy(r"\w\(.*\):?$")
_SAID = lazy(rf"(?=.*\bloss=)\w+\((?:\w+={NUM}(?:, )?)+\)$")  # a record that prints itself: Metrics(step=3, loss=2.5)


def is_code(text: str) -> bool:
    """Tell whether a text is a line of a program; of every line of a log it is asked, so cheap tests come first.

    >>> is_code('print(f"step {step} loss {loss}")'), is_code("step 3 loss 2.5")
    (True, False)
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
