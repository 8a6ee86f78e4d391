"""The rows of a large table, gathered block by block: frames of words, and between them rows that were read one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmdiag.readers.tables.rows import Rows

if TYPE_CHECKING:
    import polars


class BlockTable:
    """Columns so far, as parts of (rows, values), and the `single` rows, which stand at `single_rows` among all."""

    def __init__(self) -> None:
        self.single = Rows()
        self.single_rows: list[np.ndarray] = []
        self.parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.words: dict[str, tuple[list[int], list[str]]] = {}
        self.lines: list[np.ndarray] = []
        self.n_rows = 0

    def keep(self, frame: polars.DataFrame | None, lines: np.ndarray, n_single: int = 0) -> None:
        """Append a frame, whose rows stand on `lines`, and the last `n_single` of the single rows, in the order of lines."""
        frame_rows = np.arange(self.n_rows, self.n_rows + len(lines))
        if n_single:
            single_lines = np.asarray(self.single.lines[-n_single:], np.int64)
            frame_rows += np.searchsorted(single_lines, lines)
            rows = np.arange(n_single) + np.searchsorted(lines, single_lines, side="right") + self.n_rows
            self.single_rows.append(rows)
            merged = np.empty(len(lines) + n_single, np.int64)
            merged[frame_rows - self.n_rows], merged[rows - self.n_rows] = lines, single_lines
            lines = merged
        if frame is not None:
            self._keep_columns(frame, frame_rows)
        self.lines.append(lines)
        self.n_rows += len(lines)

    def _keep_columns(self, frame: polars.DataFrame, rows: np.ndarray) -> None:
        for column in frame.iter_columns():
            if column.null_count() == frame.height:
                self.single.empty.add(column.name)
                continue
            known, at = column, rows  # columns without a gap share their rows
            if column.null_count():
                known, at = column.drop_nulls(), rows[column.is_not_null().to_numpy()]
            numbers, at = self._numbers_of_words(column.name, known, at)
            if len(at):
                self.parts.setdefault(column.name, []).append((at, numbers.to_numpy()))

    def _numbers_of_words(self, name: str, column: polars.Series, rows: np.ndarray) -> tuple[polars.Series, np.ndarray]:
        """Return the words that are plain numbers, or are numbers already; each of the others is read once."""
        import polars as pl

        numbers = column.cast(pl.Float64, strict=False)
        if not numbers.null_count():
            return numbers, rows
        is_number = numbers.is_not_null()
        others = column.filter(~is_number)
        if others.len():
            other_rows, words = rows[(~is_number).to_numpy()], others.to_list()
            spelled = {word: _spelled(word) for word in dict.fromkeys(words)}
            read = [spelled[word] for word in words]
            self.single.plan(name, words)
            values = [(row, value) for row, value in zip(other_rows.tolist(), read) if type(value) is float]
            if values:
                at, found = zip(*values)
                self.parts.setdefault(name, []).append((np.asarray(at, np.int64), np.asarray(found, np.float64)))
            kept = self.words.setdefault(name, ([], []))
            for row, word in zip(other_rows.tolist(), read):
                if type(word) is str:
                    kept[0].append(row)
                    kept[1].append(word)
        return numbers.drop_nulls(), rows[is_number.to_numpy()]

    def rows(self) -> Rows:
        """Return all rows as if each line had been decoded by itself."""
        at = np.concatenate([*self.single_rows, np.empty(0, np.int64)])
        single = self.single
        for name, (rows, values) in single.numbers.items():
            self.parts.setdefault(name, []).append((at[rows], np.asarray(values, np.float64)))
        for name, (places, words) in single.words.items():
            kept = self.words.setdefault(name, ([], []))
            kept[0].extend(at[places].tolist())
            kept[1].extend(words)
        known: dict[tuple[int, ...], np.ndarray] = {}
        numbers = {name: _joined(parts, known) for name, parts in self.parts.items()}
        numbers = dict(sorted(numbers.items(), key=lambda column: column[1][0][0]))
        ordered = {name: _sorted_words(*found) for name, found in self.words.items()}
        lines = np.concatenate([*self.lines, np.empty(0, np.int64)])
        told = (single.lists, single.skips, single.more_skips, single.empty, single.tally)
        return Rows(lines, numbers, ordered, *told, planned=single.planned)  # type: ignore[arg-type]


def _spelled(word: str) -> float | str | None:
    """Return the number that a word spells, the word itself if it spells none, None if it says that there is nothing."""
    row = Rows()
    row.add({"": word})
    return float(row.numbers[""][1][0]) if "" in row.numbers else row.words[""][1][0] if "" in row.words else None


def _joined(
    parts: list[tuple[np.ndarray, np.ndarray]], known: dict[tuple[int, ...], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Join the parts of a column; columns of the same rows share one array of them, found in `known`."""
    same = tuple(id(rows) for rows, _ in parts)
    values = np.concatenate([values for _, values in parts])
    if same in known:
        return known[same], values
    rows = np.concatenate([rows for rows, _ in parts])
    if len(rows) > 1 and (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows, kind="stable")
        return rows[order], values[order]
    known[same] = rows
    return rows, values


def _sorted_words(rows: list[int], words: list[str]) -> tuple[list[int], list[str]]:
    order = np.argsort(rows, kind="stable")
    return np.asarray(rows, np.int64)[order].tolist(), [words[k] for k in order]
