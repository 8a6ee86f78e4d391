"""Which format a printed log has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from lmdiag.errors import UnreadableLog
from lmdiag.readers.growing import Growing
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text.aligned_table import ALIGNED_TABLE, may_hold_tables, tables_in, with_tables
from lmdiag.readers.text.blocks import COMPOSER, OLMO
from lmdiag.readers.text.deepspeed import DEEPSPEED
from lmdiag.readers.text.fairseq import FAIRSEQ
from lmdiag.readers.text.fallback import GENERIC, is_program, is_text
from lmdiag.readers.text.growing_text import GrowingText
from lmdiag.readers.text.hand_written import EPOCHS, MINIMIND, TUTORIAL, WORD_LANGUAGE_MODEL
from lmdiag.readers.text.hf_console import HF_CONSOLE
from lmdiag.readers.text.keras_console import KERAS_CONSOLE
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.litgpt import LITGPT
from lmdiag.readers.text.maxtext import MAXTEXT, VERL
from lmdiag.readers.text.megatron import MEGATRON, NANOTRON, NEMO
from lmdiag.readers.text.mllog import MLLOG
from lmdiag.readers.text.nanogpt import FORMATS as SMALL_TRAINERS
from lmdiag.readers.text.pieces import pieces, text_of, without_colours
from lmdiag.readers.text.progress_bar import PROGRESS_BAR
from lmdiag.readers.text.speedruns import SPEEDRUN
from lmdiag.readers.text.torchtitan import TORCHTITAN, TORCHTUNE
from lmdiag.readers.text.translation import JOEYNMT, SOCKEYE
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

FORMATS: dict[str, LineFormat] = {
    line_format.name: line_format
    for line_format in (
        HF_CONSOLE,
        MLLOG,
        NEMO,
        NANOTRON,
        MEGATRON,
        TORCHTITAN,
        TORCHTUNE,
        LITGPT,
        MAXTEXT,
        VERL,
        *SMALL_TRAINERS,
        SPEEDRUN,
        FAIRSEQ,
        SOCKEYE,
        JOEYNMT,
        OLMO,
        COMPOSER,
        DEEPSPEED,
        KERAS_CONSOLE,
        WORD_LANGUAGE_MODEL,
        MINIMIND,
        TUTORIAL,
        PROGRESS_BAR,
        ALIGNED_TABLE,
        EPOCHS,
        GENERIC,
    )
}
"""All formats by name, in the order in which they are preferred where several fit equally well."""

WHOLE = 1 << 20  # characters of a text that is looked at as a whole
SAMPLE = 1 << 16  # of a larger one the start, and windows of a quarter of it from further on
WINDOWS = 8
FEW_HITS = 3
_ANY_DIGIT = str.maketrans("123456789", "000000000")


def sample_of(text: str) -> str:
    """Return the start of a text and windows spread over the rest, cut at line ends."""
    if len(text) <= WHOLE:
        return text
    parts, width = [text[:SAMPLE]], SAMPLE // 4
    for k in range(1, WINDOWS + 1):
        at = SAMPLE + (len(text) - SAMPLE - width) * k // WINDOWS
        parts.append(text[text.find("\n", at, at + width) + 1 : at + width])
    return "\n".join(parts)


def hits(text: str) -> dict[str, int]:
    """Count for every format how many pieces of a text only it prints; formats without any are left out.

    >>> hits("iter 0: loss 4.2133, time 901.22ms, mfu -100.00%")
    {'nanogpt': 1}
    """
    return _look(text)[0]


def _look(text: str) -> tuple[dict[str, int], list[str]]:
    """Return what `hits` returns, and the pieces of the sample that are no part of a table."""
    part = sample_of(text)
    formats = [f for f in FORMATS.values() if any(hint in part for hint, _ in f.marks)]
    hints = tuple({hint for line_format in formats for hint, _ in line_format.marks})
    whole = list(pieces(part))
    sample = [piece for _, piece in whole if any(hint in piece for hint in hints)]
    examples = {piece.translate(_ANY_DIGIT): piece for piece in sample}  # one of those that differ in their digits
    often = Counter(piece.translate(_ANY_DIGIT) for piece in sample)
    counts = {f.name: sum(often[kind] for kind, piece in examples.items() if f.marked(piece)) for f in formats}
    rest = [piece for _, piece in whole]
    if may_hold_tables(part):
        counts[ALIGNED_TABLE.name], rest = tables_in(whole)
    return {name: counts[name] for name in FORMATS if counts.get(name)}, rest


def format_of(text: str) -> LineFormat:
    """Return the format with the most lines; the more specific one where two have about as many.

    A handful of such lines among many others of named numbers is no reason to leave those out. Tables that stand among
    the lines of another format are read beside them.
    """
    found, rest = _look(text)
    tables = found.pop(ALIGNED_TABLE.name, 0)
    others = _of_lines(found, rest)
    if not tables:
        return others
    if (GENERIC.hits(rest) if others is GENERIC else found[others.name]) < FEW_HITS:
        return ALIGNED_TABLE
    return replace(others, scanner=with_tables(others.scanner), linewise=False)


def _of_lines(found: dict[str, int], sample: Iterable[str]) -> LineFormat:
    if not found:
        return GENERIC
    most = max(found.values())
    best = FORMATS[next(name for name, count in found.items() if count >= 0.5 * most)]
    if most >= FEW_HITS:
        return best
    return best if most * 4 >= GENERIC.hits(sample) else GENERIC


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the first bytes are text that holds a line of a known format."""
    return (
        not name.endswith("/") and not is_program(name) and is_text(head) and bool(hits(without_colours(as_text(head))))
    )


def read(source: Source) -> list[RawLog]:
    """Read a printed log of any format; raise `UnreadableLog` where no line looks like a training record."""
    raw = text_of(source)
    line_format = format_of(without_colours(raw))
    try:
        return line_format.read_text(source.name, raw)
    except UnreadableLog:
        if line_format is GENERIC:
            raise
        return GENERIC.read_text(source.name, raw)


def begin(name: str, start: str) -> Growing:
    """Return a reading of a log that lines can be added to; its beginning tells the format."""
    return GrowingText(format_of(without_colours(start)), name, start)
