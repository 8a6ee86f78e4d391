"""Prints of tutorials and small projects that thousands of programs copied; read as named numbers."""

from __future__ import annotations

from lmdiag.readers.numbers import NUM
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.named_numbers import paired
from lmdiag.readers.text.patterns import lazy

_LOSS = lazy(rf"[Ll]oss\W{{0,4}}{NUM}")

WORD_LANGUAGE_MODEL = LineFormat(
    "word-language-model",
    "word_language_model, awd-lstm-lm",
    paired(),
    (("batches |", lazy(r"^\|? ?epoch\s+\d+ \|\s+\d+/\s*\d+ batches \|")),),
    reductions={"loss": "window_mean"},
)
MINIMIND = LineFormat(
    "minimind",
    "minimind",
    paired(),
    (("poch:[", lazy(r"Epoch:\s?\[\d+/\d+\]\(\d+/\d+\),? ?loss:")),),
    names={"epoch_Time": None, "epoch_time": None},
)
TUTORIAL = LineFormat(
    "tutorial",
    "Tutorials: steps within epochs",
    paired(),
    (
        (
            "poch",
            lazy(
                rf"\b[Ee]poch\W*\d+\s*/\s*\d+\W*(?:[Ss]tep|[Bb]atch|[Ii]ter(?:ation)?)\W*\d+\s*/\s*\d+\W.*{_LOSS.pattern}"
            ),
        ),
        ("Train Epoch", lazy(rf"Train Epoch: \d+ \[\d+/\d+ \(\d+%\)\]\s*{_LOSS.pattern}")),
        ("poch", lazy(r"\bEpoch: \[\d+\]\[\s*\d+/\d+\]\t")),
    ),
)
MMENGINE = LineFormat(
    "mmengine",
    "mmcv, mmengine",
    paired(),
    (("memory: ", lazy(r"\b(?:Epoch|Iter)(?:\(train\))? *\[ *\d+(?:\]\[ *\d+)?/\d+\].*\bmemory: \d")),),
    names={"time": "step_time_s"},
    units={"memory": "MB"},
)
EPOCHS = LineFormat(
    "epoch-print",
    "Tutorials: a line an epoch",
    paired(),
    (("poch", lazy(rf"\b[Ee]poch\W*\d+(?:\s*/\s*\d+)?\W(?!.*(?:step|iter|batch)\W*\d).*{_LOSS.pattern}")),),
)
