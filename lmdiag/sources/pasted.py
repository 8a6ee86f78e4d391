"""A log that was pasted into a page or a mail, as it was printed: without the marks and breaks that others put in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby, pairwise

import msgspec

from lmdiag.patterns import lazy
from lmdiag.sources.source import Source
from lmdiag.sources.text import is_text

LONGEST = 1 << 18  # bytes of a text that somebody may have pasted
FEW, MOST, SOME = 3, 0.8, 0.2  # marks of one kind, and shares of the lines
NARROWEST, WRAPPED = 40, 0.25  # columns at which lines are wrapped, and the share of them that are full
WIDEST = 12  # columns of a table of which each cell is a line
MOST_DIGITS = 10  # of a count
LONG = 160  # characters of a line that may hold several
HEADS = (32, 24, 16, 12, 8)  # of its records, in characters
_BREAK = lazy(r"<br\s*/?>\n?", re.IGNORECASE)
_ENTITY = lazy(r"&(?:lt|gt|quot|amp|apos|nbsp|#x?[\dA-Fa-f]{2,4});")
_FENCE = lazy(r"\A\s*(`{3,}|`)(?!\w*\s*\n)(?=\S)")
_COLOUR = lazy(r"\[(?:\d{1,3};)*(?:[01]|[349]\d|10\d)m(?! ?\d+s)|\[m(?!\w)")
_QUOTE = lazy(r"[ \t]{0,3}(?:>[ \t]?)+")
_BULLET = lazy(r"[ \t]*[-*•+] ")
_EMPHASES = ("```", "``", "`", "**", "__")
_NUMBERED = lazy(r"[ \t]*(\d{1,9})(?:[.:)|]?[ \t]+|[.:)|])(?!(?i:epoch|step|iter)\w*(?![\s:=#\[(]*\d))(?=\S)(.*)")
_COUNTER = lazy(
    r"(?:\b|\d)(?:step|iter|iteration|epoch|update)s?\b\W{0,4}(\d+)(?!\.?\d)|(\d+)epoch\b|(?<![\d.])(\d+)/\d|^\[\s*(\d+)\s*[,|]",
    re.IGNORECASE,
)
_WHOLE = lazy(r".*[\])}]\n|.*[\d.:%]\n(?=[A-Za-z\[({])|.*\n(?=\s\s|$)")  # the end of a line, and how another begins
_CELL = lazy(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?%?|nan|inf|No log|N/A|-|\d+:\d\d(?::\d\d)?", re.IGNORECASE)
_COUNTS = lazy(r"(?:global[ _])?(?:step|epoch|iter|iteration)s?", re.IGNORECASE)
_TORN = lazy(
    r".*(?:[=:,/(\[{]\n.|\d\n\d|\n[=:,.)\]}])", re.DOTALL
)  # a break within a token, and none between two lines
_ENDS_WITH_COUNT = lazy(r"\b(?:step|iter|iteration|epoch|batch)\W*\d*\W*$", re.IGNORECASE)
_REMARK = lazy(r"(?<![ \t])[ \t]+(?:<--+|<==+|←)")
_SAID_OF_A_CRASH = lazy(r"error|exception|killed|memory|abort|fault", re.IGNORECASE)
_ROWS = lazy(r"\|[ \t]+(?=\|)")


def as_printed(source: Source) -> tuple[Source, str]:
    """Return a short text as it was before it was pasted, and what was undone, "" for nothing."""
    if source.is_folder or source.tracked or source.packed or source.size > LONGEST or not is_text(source.head):
        return source, ""
    text, undone = without_marks(source.text)
    return (replace(source, content=text.encode("utf-8", "replace")), undone) if undone else (source, "")


def without_marks(text: str) -> tuple[str, str]:
    r"""Return a text without what pasting did to it, and what that was.

    >>> without_marks("> step 1 loss 2.5\n> step 2 loss 2.4\n> step 3 loss 2.3")
    ('step 1 loss 2.5\nstep 2 loss 2.4\nstep 3 loss 2.3', 'marks of quotes')
    >>> without_marks("step 1 loss 2.5<br>step 2 loss 2.4<br>step 3 loss 2.3<br>step 4 loss 2.2")[1]
    'line breaks of HTML'
    >>> without_marks("step 1 loss 2.5\nstep 2 loss 2.4\n")
    ('step 1 loss 2.5\nstep 2 loss 2.4\n', '')
    """
    undone = []
    for what, undo in _UNDO:
        plain = undo(text)
        if plain != text:
            text = plain
            undone.append(what)
    return text, ", ".join(undone)


def _breaks(text: str) -> str:
    """Break a text where HTML does, if it has hardly a line of its own."""
    broken, breaks = _BREAK.subn("\n", text)
    own = _BREAK.sub("", text).strip().count("\n")
    return broken if breaks >= FEW and own <= SOME * breaks else text


def _entities(text: str) -> str:
    if "&" not in text or len(_ENTITY.findall(text)) < FEW:
        return text
    from html import unescape  # few logs need it

    return unescape(text)


def _spaces(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def _escapes(text: str) -> str:
    """Break a text at the `\\n` that a program wrote into a string, but for JSON, whose readers do so."""
    if text.count("\\n") < FEW or text.strip().count("\n"):
        return text
    try:
        msgspec.json.decode(text)
    except RecursionError:
        return text
    except msgspec.DecodeError:
        return text.strip().strip("\"'").replace("\\r", "").replace("\\n", "\n").replace("\\t", "\t")
    return text


def _colours(text: str) -> str:
    torn = text.count("[0m") >= FEW and not any(escape in text for escape in ("\x1b", "x1b[", "u001b["))
    return _COLOUR.sub("", text) if torn else text


def _fences(text: str) -> str:
    """Put the marks of code that stand on lines of the log on their own."""
    found = _FENCE.match(text)
    if not found or not text.rstrip().endswith(found[1]):
        return text
    code = text[found.end() :].rstrip().removesuffix(found[1])
    return text if found[1] in code else code


def _ends(text: str) -> str:
    """Take the backslashes off that end the lines of a command or of a Markdown document."""
    lines = text.split("\n")
    ended = sum(line.endswith("\\") for line in lines)
    return "\n".join(line.removesuffix("\\") for line in lines) if ended >= max(FEW, MOST * (len(lines) - 2)) else text


def _marked(text: str, mark: re.Pattern[str], share: float) -> str:
    """Take a mark off the lines where nearly all carry it."""
    lines = text.split("\n")
    found = [mark.match(line) for line in lines]
    filled = sum(bool(line.strip()) for line in lines)
    if sum(map(bool, found)) < max(FEW, share * filled):
        return text
    return "\n".join(line[match.end() :] if match else line for line, match in zip(lines, found))


def _quotes(text: str) -> str:
    return _marked(text, _QUOTE, MOST) if ">" in text else text


def _bullets(text: str) -> str:
    return _marked(text, _BULLET, 1.0)


def _emphasis(text: str) -> str:
    """Take the marks off that stand around each line."""
    filled = [line for line in text.split("\n") if line.strip()]
    plain = [_plain(line.strip()) for line in filled]
    return "\n".join(plain) if len(plain) >= FEW and all(plain) else text


def _plain(line: str) -> str:
    """Return what stands between the marks of a line, "" where none stand around it."""
    mark = next((mark for mark in _EMPHASES if line.startswith(mark) and line.endswith(mark)), "")
    return line[len(mark) : -len(mark)] if mark and len(line) > 2 * len(mark) else ""


def _numbers(text: str) -> str:
    """Take the numbers of the lines off where each line has one, and what they number counts for itself."""
    filled = [line for line in text.split("\n") if line.strip()]
    first = _NUMBERED.fullmatch(filled[0]) if len(filled) >= 2 * FEW else None
    if not first:
        return text
    rest = []
    for number, line in enumerate(filled, int(first[1])):
        match = _NUMBERED.fullmatch(line)
        if not match or int(match[1]) != number:
            return text
        rest.append(match[2])
    counters = [tuple(_COUNTER.findall(line)) for line in rest]
    counted = len(set(filter(None, counters))) >= max(FEW, SOME * len(rest), sum(map(bool, counters)) / 2)
    headed = not any(map(str.isdigit, rest[0])) and all(line[0].isdigit() or line[0] == "|" for line in rest[2:])
    return "\n".join(rest) if counted or headed else text


def _remarks(text: str) -> str:
    if not ("<-" in text or "<=" in text or "←" in text):
        return text
    return "\n".join(map(_without_remark, text.split("\n")))


def _without_remark(line: str) -> str:
    found = _REMARK.search(line)
    if not found or _SAID_OF_A_CRASH.search(line):
        return line
    remark = line[found.end() :]
    return line if "|" in remark or any(map(str.isdigit, remark)) else line[: found.start()]


def _wraps(text: str) -> str:
    """Join what was wrapped at a width: lines that are full are followed by lines that begin like no record does."""
    lines = text.rstrip("\n").split("\n")
    width = max(map(len, lines))
    full = [len(line) == width for line in lines]
    if width < NARROWEST or sum(full) < max(FEW, WRAPPED * len(lines)):
        return text
    breaks = [f"{line[-WIDEST:]}\n{after[:WIDEST]}" for line, after, wraps in zip(lines, lines[1:], full) if wraps]
    if any(map(_WHOLE.match, breaks)) or not any(map(_TORN.match, breaks)):
        return text
    begun = {_kind(line) for line, before in zip(lines, [False, *full]) if not before}
    further = {_kind(line) for line, before in zip(lines, [False, *full]) if before}
    starts = [wraps for wraps, before in zip(full, [False, *full]) if not before]
    few = len(starts) < FEW or sum(starts) < MOST * len(starts)
    if few or begun & further or len(begun) > len(starts) / 2:
        return text
    return "".join(line if wraps else f"{line}\n" for line, wraps in zip(lines, full))


def _kind(line: str) -> str:
    return re.sub(r"\d+", "0", line)[:12]


def _joined(text: str) -> str:
    """Break a text of one long line before each of the heads that begin its records."""
    filled = [line for line in text.split("\n") if line.strip()]
    if len(filled) != 1:
        return text
    line = filled[0].strip()
    if "|--" in line or "|:-" in line or "---|" in line:
        return _ROWS.sub("|\n", line)
    if len(line) < LONG or line[0] == "{" or line[:2] in ("[{", '["'):
        return text
    starts = max((_starts(line, line[:length]) for length in HEADS), key=len)
    records = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], len(line)])]
    begins_within_one = any(_ENDS_WITH_COUNT.search(record[-HEADS[0] :]) for record in records[:-1])
    return text if begins_within_one or not records else "\n".join(records)


def _starts(line: str, head: str) -> list[int]:
    """Return where a line begins anew, as it began but for the numbers."""
    if not any(map(str.isalpha, line[: 2 * len(head)])) or not any(map(str.isdigit, head)):
        return []
    alike = re.compile(r"(?<!\S)" + re.sub(r"(?:\\ |\s)+", r"\\s+", re.sub(r"\d+", r"\\d+", re.escape(head.strip()))))
    starts = [match.start() for match in alike.finditer(line)]
    return starts if len(starts) >= FEW and not starts[0] else []


def _cells(text: str) -> str:
    """Put the cells of tables that stand one a line, as a copied notebook has them, back in rows."""
    filled = [line.strip() for line in text.split("\n") if line.strip()]
    lines: list[str] = []
    for is_cell, group in groupby(filled, lambda line: _CELL.fullmatch(line) is not None):
        block = list(group)
        width = _width(lines[-WIDEST:], block) if is_cell else 0
        if width:
            rows = [lines[-width:], *(block[k : k + width] for k in range(0, len(block), width))]
            block = list(map("\t".join, rows))
            del lines[-width:]
        lines.extend(block)
    return "\n".join(lines) if len(lines) < len(filled) else text


def _width(before: list[str], cells: list[str]) -> int:
    """Return the columns of a table that has these cells below its names, 0 where they are none."""
    for width in range(2, len(before) + 1):
        names, counts = before[-width:], cells[::width]
        counted = len(cells) >= FEW * width and all(count.isdecimal() and len(count) < MOST_DIGITS for count in counts)
        ascending = counted and all(int(a) < int(b) for a, b in pairwise(counts))
        if ascending and _COUNTS.fullmatch(names[0]) and any("loss" in name.lower() for name in names):
            return width
    return 0


_UNDO: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("escaped line breaks", _escapes),
    ("line breaks of HTML", _breaks),
    ("entities of HTML", _entities),
    ("spaces that do not break", _spaces),
    ("torn colours", _colours),
    ("marks of code", _fences),
    ("backslashes at line ends", _ends),
    ("marks of quotes", _quotes),
    ("marks of lists", _bullets),
    ("marks of emphasis", _emphasis),
    ("numbers of lines", _numbers),
    ("remarks behind lines", _remarks),
    ("wrapped lines", _wraps),
    ("lost line breaks", _joined),
    ("line breaks between cells", _cells),
)
