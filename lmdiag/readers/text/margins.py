"""Lines that rich's `RichHandler` wrapped at the width of a terminal: joined again, without the file at the right margin.

[07:35:33] INFO     step=1 loss=10.2158 lr=1.500e-05          train.py:7
                    grad_norm=1.195 gpu_mem=3.21GB
"""

from __future__ import annotations

import re

from lmdiag.patterns import lazy

_MARGIN = lazy(
    r"^(?P<before>(?:\[[^\]\n]*\])? *(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +)(?P<said>\S.*?) +(?P<file>[\w.-]+\.py:\d+) *$",
    re.MULTILINE,
)
NEAR = 4  # lines that another process may have printed in between


def without_margins(lines: list[str]) -> list[str]:
    """Join what was wrapped to the line it began on; a blank line is left where it stood, so that lines keep their numbers.

    A further line that would have had room on the line above is one of the message itself, and stays.

    >>> without_margins(["INFO     step=1 loss=2.5   a.py:7", "         grad_norm=0.25", "done"])
    ['INFO     step=1 loss=2.5 grad_norm=0.25', '', 'done']
    """
    joined = list(lines)
    first, last, column, width, above = -1, 0, 0, 0, ""
    for k, line in enumerate(lines):
        if ".py:" in line and (found := _MARGIN.match(line)):
            first, last, column, above = k, k, found.end("before"), found["said"]
            width = found.start("file") - 1 - column
            joined[k] = found["before"] + above
            continue
        part = line[column:].rstrip()
        if first < 0 or not part or part[0].isspace() or not line[:column].isspace():
            first = first if k - last < NEAR else -1
            continue
        room = width - len(above) - 1
        if len(part.partition(" ")[0]) > room:
            broken = len(above) == width and " " not in above  # a word that is longer than a line
            joined[first] += part if broken else f" {part}"
            joined[k] = ""
        else:
            first = k
        above, last = part, k
    return joined


_BROKEN = (",\n '", ",\n  '", ", \n '", ", \n  '")
_OPENS = lazy(r"\{\s*'[\w/ .-]+':[^{}]*,\s*$")
_GOES_ON = lazy(r"\s+'[^']+':[^{}]*(?:,|\})\s*$")


def has_broken_dictionaries(text: str) -> bool:
    """Tell whether a text may hold dictionaries that `pprint` wrote a line for each name."""
    return any(sign in text for sign in _BROKEN)


def with_whole_dictionaries(lines: list[str]) -> list[str]:
    """Join the lines of a dictionary; a blank line is left where it stood, so that lines keep their numbers.

    >>> with_whole_dictionaries(["{'loss': 2.5,", " 'step': 3}", "done"])
    ["{'loss': 2.5, 'step': 3}", '', 'done']
    """
    joined = list(lines)
    first = -1
    for k, line in enumerate(lines):
        if first >= 0 and _GOES_ON.match(line):
            joined[first] = f"{joined[first].rstrip()} {line.strip()}"
            joined[k] = ""
            first = first if line.rstrip().endswith(",") else -1
        else:
            first = k if "{" in line and _OPENS.search(line) else -1
    return joined


def has_margins(text: str) -> bool:
    """Tell whether lines of a text end with a file at the right margin."""
    return ".py:" in text and _MARGIN.search(text) is not None
