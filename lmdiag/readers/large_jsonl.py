"""JSON Lines of a size where decoding line by line takes too long: polars reads what is clean, line by line goes the rest.

polars is fast, but one bare NaN or torn line fails the whole read, a key that is not in its schema vanishes, and of a
doubled key it keeps the first. So the log is read in blocks; after each the cells are counted against the colons of the text, and a
line that does not add up, or that polars would not read, is decoded by itself. The result is that of decoding all lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lmdiag.readers.json_lines import Lost, decode
from lmdiag.readers.rows import Rows
from lmdiag.readers.source import as_text

if TYPE_CHECKING:
    import polars

SAMPLED_LINES = 200
FEWEST_LINES = 64  # a piece of fewer lines is not worth another attempt of polars
MOSTLY = 0.5
FEW_WORDS = 1000
NEWLINE, QUOTE, COLON, SPACE, RETURN = b'\n": \r'

Take = Callable[[Rows, int, dict[str, Any] | Lost], None]


def read_blocks(blocks: Iterable[bytes], take: Take, usual: tuple[str, str] = ("", "")) -> Rows:
    """Read blocks of whole lines; `take` adds a record that was decoded by itself to the rows, or notes its loss.

    `usual` is a column and the word that it holds in lines that need no `take`: ("type", "step").
    """
    table = _Table(take, usual)
    for block in blocks:
        table.add(block)
    return table.rows()


class _Table:
    """The blocks read so far: columns of the clean lines, and the rows of those decoded by themselves."""

    def __init__(self, take: Take, usual: tuple[str, str]) -> None:
        self.take, self.usual = take, usual
        self.single = Rows()
        self.single_rows: list[np.ndarray] = []
        self.parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.words: dict[str, tuple[list[int], list[str]]] = {}
        self.lines: list[np.ndarray] = []
        self.n_rows = 0
        self.n_lines = 0
        self.schema: dict[str, Any] = {}

    def add(self, block: bytes) -> None:
        """Read one block as a whole where that gives every cell, else line by line where needed."""
        if not self.schema:
            self._learn(block)
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        frame = self._frame(block)
        if frame is not None and frame.height == n_lines and _every_cell(frame, block) and self._all_usual(frame):
            self._keep(frame, np.arange(self.n_lines + 1, self.n_lines + n_lines + 1))
        else:
            self._add_with_care(block, self.n_lines + 1, learn=True)
        self.n_lines += n_lines

    def _learn(self, block: bytes) -> None:
        """Take the columns and their types from some lines all over the block."""
        lines = block.split(b"\n")
        sampled = lines[:: max(1, len(lines) // SAMPLED_LINES)]
        records = [decode(line.decode("utf-8", "replace")) for line in sampled if line]
        self._learn_from(record for record in records if isinstance(record, dict))

    def _learn_from(self, records: Iterable[dict[str, Any]]) -> None:
        import polars as pl

        seen: dict[str, Counter[str]] = {}
        for record in records:
            for name, value in record.items():
                seen.setdefault(name, Counter())[type(value).__name__] += 1
        types = {"str": pl.String, "bool": pl.Boolean, "float": pl.Float64, "int": pl.Float64}
        for name, kinds in seen.items():
            kind = next((k for k, _ in kinds.most_common() if k in types), None)
            if kind is not None and name not in self.schema:
                self.schema[name] = types[kind]

    def _frame(self, block: bytes) -> polars.DataFrame | None:
        import polars as pl

        if not self.schema:
            return None
        try:
            return pl.read_ndjson(block, schema=self.schema)
        except pl.exceptions.PolarsError:
            return None

    def _all_usual(self, frame: polars.DataFrame) -> bool:
        column, word = self.usual
        return column not in frame.columns or bool((frame[column] == word).fill_null(True).all())

    def _add_with_care(self, block: bytes, first_line: int, learn: bool = False) -> None:
        """Blank out the lines that polars would not read and decode them by themselves."""
        starts, ends = _line_bounds(block)
        odd = _odd_lines(block, starts, ends)
        if len(starts) <= FEWEST_LINES or odd.mean() > MOSTLY:
            self._keep_single(block, starts, ends, np.flatnonzero(~_blank(block, starts, ends)), first_line)
            return
        blanked = bytearray(block)
        for line in np.flatnonzero(odd).tolist():
            blanked[starts[line] : ends[line]] = b" " * (ends[line] - starts[line])
        frame = self._frame(bytes(blanked))
        good = np.flatnonzero(~odd)
        if frame is None or frame.height != len(good):
            middle = len(starts) // 2
            cut = int(starts[middle])
            self._add_with_care(block[:cut], first_line)
            self._add_with_care(block[cut:], first_line + middle)
            return
        known = self._known_rows(frame, block, ends, good)
        if learn and known.mean() < MOSTLY:
            unknown = good[np.flatnonzero(~known)[:SAMPLED_LINES]]
            before = len(self.schema)
            self._learn(b"\n".join(block[starts[line] : ends[line]] for line in unknown.tolist()))
            if len(self.schema) > before:
                self._add_with_care(block, first_line)
                return
        alone = np.sort(np.append(np.flatnonzero(odd & ~_blank(block, starts, ends)), good[~known]))
        self._keep(
            frame if known.all() else frame.filter(known),
            good[known] + first_line,
            (block, starts, ends, alone, first_line),
        )

    def _known_rows(self, frame: polars.DataFrame, block: bytes, ends: np.ndarray, good: np.ndarray) -> np.ndarray:
        """Return the rows of which every cell was read and that are of the usual kind: bool[n]."""
        import polars as pl

        cells = frame.select(pl.sum_horizontal(pl.all().is_not_null().cast(pl.Int32))).to_series().to_numpy()
        known = cells == _cells_of_lines(block, ends)[good]
        column, word = self.usual
        if column in frame.columns:
            known &= (frame[column] == word).fill_null(True).to_numpy()
        return np.asarray(known)

    def _keep_single(
        self, block: bytes, starts: np.ndarray, ends: np.ndarray, chosen: np.ndarray, first_line: int
    ) -> None:
        self._keep(None, np.empty(0, np.int64), (block, starts, ends, chosen, first_line))

    def _keep(
        self,
        frame: polars.DataFrame | None,
        lines: np.ndarray,
        alone: tuple[bytes, np.ndarray, np.ndarray, np.ndarray, int] | None = None,
    ) -> None:
        """Append the rows of a frame and the records of single lines, in the order of their lines."""
        before = len(self.single)
        if alone is not None:
            self._decode(*alone)
        single_lines = np.asarray(self.single.lines[before:], np.int64)
        frame_rows: np.ndarray | None = None
        if len(single_lines):
            frame_rows = np.arange(len(lines)) + np.searchsorted(single_lines, lines) + self.n_rows
            rows = np.arange(len(single_lines)) + np.searchsorted(lines, single_lines, side="right") + self.n_rows
            self.single_rows.append(rows)
            merged = np.empty(len(lines) + len(single_lines), np.int64)
            merged[frame_rows - self.n_rows], merged[rows - self.n_rows] = lines, single_lines
            lines = merged
        if frame is not None:
            self._keep_columns(frame, frame_rows)
        self.lines.append(lines)
        self.n_rows += len(lines)

    def _decode(self, block: bytes, starts: np.ndarray, ends: np.ndarray, chosen: np.ndarray, first_line: int) -> None:
        plain: list[dict[str, Any]] = []
        for line in chosen.tolist():
            found = decode(as_text(block[starts[line] : ends[line]]))
            if isinstance(found, dict) and len(plain) < SAMPLED_LINES:
                plain.append(dict(found))
            for record in [found] if isinstance(found, dict) else found:
                self.take(self.single, first_line + line, record)
        self._learn_from(plain)  # so that rare keys cost only the first block

    def _keep_columns(self, frame: polars.DataFrame, rows: np.ndarray | None) -> None:
        import polars as pl

        rows = np.arange(self.n_rows, self.n_rows + frame.height) if rows is None else rows
        masks: dict[int, np.ndarray] = {}
        for column in frame.iter_columns():
            nulls = column.null_count()
            if nulls == frame.height:
                continue
            kept, at = column, rows
            if nulls:
                kept, at = column.drop_nulls(), rows[column.is_not_null().to_numpy()]
                at = next(
                    (known for known in masks.values() if len(known) == len(at) and np.array_equal(known, at)), at
                )
                masks[id(at)] = at
            if column.dtype == pl.String:
                kept, at = self._numbers_of_words(column.name, kept, at)
            if len(kept):
                self.parts.setdefault(column.name, []).append((at, kept.cast(pl.Float64).to_numpy()))

    def _numbers_of_words(self, name: str, column: polars.Series, rows: np.ndarray) -> tuple[polars.Series, np.ndarray]:
        """Return the words that are plain numbers; the others are read one by one, or dropped where they all differ."""
        import polars as pl

        numbers = column.cast(pl.Float64, strict=False)
        is_number = numbers.is_not_null()
        others = column.filter(~is_number)
        if others.len():
            other_rows = rows[(~is_number).to_numpy()]
            texts = Rows()
            shared: dict[str, str] = {}
            for word in others.to_list():
                texts.add({name: shared.setdefault(word, word)})
            for found, values in texts.numbers.items():
                self.parts.setdefault(found, []).append((other_rows[values[0]], np.asarray(values[1], np.float64)))
            for found, (at, words) in texts.words.items():
                kept = self.words.setdefault(found, ([], []))
                kept[0].extend(other_rows[at].tolist())
                kept[1].extend(words)
        return numbers.drop_nulls(), rows[is_number.to_numpy()]

    def rows(self) -> Rows:
        """Return all rows as if each line had been decoded by itself."""
        at = np.concatenate([*self.single_rows, np.empty(0, np.int64)])
        single = self.single
        for name, (rows, values) in single.numbers.items():
            self.parts.setdefault(name, []).append((at[rows], np.asarray(values, np.float64)))
        for name, (rows, words) in single.words.items():
            kept = self.words.setdefault(name, ([], []))
            kept[0].extend(at[rows].tolist())
            kept[1].extend(words)
        numbers = {name: _joined(self.parts.pop(name)) for name in list(self.parts)}
        numbers = dict(sorted(numbers.items(), key=lambda column: column[1][0][0]))
        ordered = {name: _sorted_words(*found) for name, found in self.words.items()}
        lines = np.concatenate([*self.lines, np.empty(0, np.int64)])
        return Rows(lines, numbers, ordered, single.lists, single.skips, single.more_skips)  # type: ignore[arg-type]


def _every_cell(frame: polars.DataFrame, block: bytes) -> bool:
    cells = frame.height * frame.width - sum(column.null_count() for column in frame.iter_columns())
    keys = block.count(b'":')
    return cells == keys or cells == keys - block.count(b": null") - block.count(b":null")


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.concatenate([rows for rows, _ in parts])
    values = np.concatenate([values for _, values in parts])
    if len(rows) > 1 and np.diff(rows).min() < 0:
        order = np.argsort(rows, kind="stable")
        rows, values = rows[order], values[order]
    return rows, values


def _sorted_words(rows: list[int], words: list[str]) -> tuple[list[int], list[str]]:
    order = np.argsort(rows, kind="stable")
    return np.asarray(rows, np.int64)[order].tolist(), [words[k] for k in order]


def _line_bounds(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return where each line starts and ends (its line end excluded)."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE)
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    return np.append(0, ends[:-1] + 1), ends


def _blank(block: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return which lines hold nothing but white space: bool[n]; only short lines are looked at."""
    blank = ends == starts
    for line in (
        np.flatnonzero((ends - starts > 0) & (ends - starts < 256)).tolist() if (ends - starts).min() < 256 else ()
    ):
        if block[starts[line]] in b" \t\r" and not block[starts[line] : ends[line]].strip():
            blank[line] = True
    return blank


def _keys(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the colons after keys, and the first byte of the values behind them."""
    text = np.frombuffer(block + b"   ", np.uint8)
    colons = np.flatnonzero((text[1:-3] == COLON) & (text[:-4] == QUOTE)) + 1
    first = text[colons + 1]
    return colons, np.where(first == SPACE, text[colons + 2], first)


def _cells_of_lines(block: bytes, ends: np.ndarray) -> np.ndarray:
    """Return how many cells each line holds that are not null."""
    colons, values = _keys(block)
    return np.diff(np.searchsorted(colons[values != ord("n")], ends), prepend=0)


def _odd_lines(block: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return which lines polars may not read, or not rightly: torn, glued, with bare words or with unusual strings: bool[n]."""
    text = np.frombuffer(block, np.uint8)
    last = np.maximum(ends - 1, starts)
    last = np.where((text[np.minimum(last, len(text) - 1)] == RETURN) & (last > starts), last - 1, last)
    inside = np.minimum(starts, len(text) - 1)
    odd = (ends - starts < 2) | (text[inside] != ord("{")) | (text[np.minimum(last, len(text) - 1)] != ord("}"))
    for brace in b"{}":
        odd |= np.diff(np.searchsorted(np.flatnonzero(text == brace), ends), prepend=0) != 1
    colons, values = _keys(block)
    usual = np.zeros(256, bool)
    usual[list(b'-0123456789"ntf')] = True
    bare = ~usual[values]
    nulls = np.flatnonzero(values == ord("n"))
    bare[nulls] = [not block[at + 1 : at + 6].lstrip().startswith(b"null") for at in colons[nulls].tolist()]
    odd[np.minimum(np.searchsorted(ends, colons[bare]), len(ends) - 1)] = True
    strings = np.diff(np.searchsorted(colons[values == QUOTE], ends), prepend=0)
    return np.asarray(odd | (strings != np.bincount(strings).argmax()))
