"""The rows of a large table, gathered block by block: frames of words, and between them rows that were read one by one."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from lmdiag.readers.tables.growing_column import GrowingColumn, KnownRows
from lmdiag.readers.tables.rows import Rows

if TYPE_CHECKING:
    import polars


class BlockTable:
    """The `numbers` and `words` of the columns so far, and the `single` rows, which stand at `single_rows` among all."""

    def __init__(self) -> None:
        self.single = Rows()
        self.single_rows: list[np.ndarray] = []
        self.numbers: dict[str, GrowingColumn] = {}
        self.words: dict[str, tuple[list[int], list[str]]] = {}
        self.lines: list[np.ndarray] = []
        self.n_rows = 0

    def keep(self, frame: polars.DataFrame, lines: np.ndarray, n_single: int = 0) -> None:
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
        self._keep_columns(frame, frame_rows)
        self.lines.append(lines)
        self.n_rows += len(lines)

    def _keep_columns(self, frame: polars.DataFrame, rows: np.ndarray) -> None:
        import polars as pl

        given = frame.select(pl.all().is_not_null()).to_numpy()
        shared: dict[tuple[int, bytes], np.ndarray] = {}  # most columns have values in the same rows
        for column, chosen in zip(frame.iter_columns(), given.T):
            if not chosen.any():
                self.single.empty.add(column.name)
            elif column.dtype == pl.String:
                self._keep_words(column.name, column.drop_nulls(), rows[chosen])
            else:
                self._keep_numbers(column, chosen, rows, shared)

    def _keep_numbers(
        self, column: polars.Series, chosen: np.ndarray, rows: np.ndarray, shared: dict[tuple[int, bytes], np.ndarray]
    ) -> None:
        """Append the numbers of a column, chunk by chunk, as polars holds them: the whole would be a copy."""
        start = 0
        for chunk in column.get_chunks():
            values = chunk.to_numpy()
            here = chosen[start : start + len(values)]
            key = start, here.tobytes()
            if key not in shared:
                shared[key] = rows[start : start + len(values)][here]
            if len(shared[key]):
                self._numbers_of(column.name).extend(shared[key], values if here.all() else values[here])
            start += len(values)

    def _keep_words(self, name: str, column: polars.Series, rows: np.ndarray) -> None:
        """Append the words that are plain numbers; each of the others is read once."""
        import polars as pl

        numbers = column.cast(pl.Float64, strict=False)
        is_number = numbers.is_not_null().to_numpy()
        if is_number.any():
            self._numbers_of(name).extend(rows[is_number], numbers.drop_nulls().to_numpy())
        others = column.filter(numbers.is_null())
        if others.len():
            words = others.to_list()
            spelled = {word: _spelled(word) for word in dict.fromkeys(words)}
            self.single.plan(name, words)
            kept = self.words.setdefault(name, ([], []))
            for row, word in zip(rows[~is_number].tolist(), words):
                said = spelled[word]
                if type(said) is float:
                    self._numbers_of(name).add(row, said)
                elif type(said) is str:
                    kept[0].append(row)
                    kept[1].append(said)

    def _numbers_of(self, name: str) -> GrowingColumn:
        return self.numbers.setdefault(name, GrowingColumn())

    def rows(self) -> Rows:
        """Return all rows as if each line had been decoded by itself."""
        at = np.concatenate([*self.single_rows, np.empty(0, np.int64)])
        single = self.single
        for name, column in single.columns.items():
            self._numbers_of(name).extend(at[column.rows], column.values)
        for name, (places, words) in single.words.items():
            kept = self.words.setdefault(name, ([], []))
            kept[0].extend(at[places].tolist())
            kept[1].extend(words)
        known: KnownRows = {}
        firsts = {name: int(column.joined(known)[0][0]) for name, column in self.numbers.items()}
        numbers = {name: self.numbers[name] for name in sorted(firsts, key=firsts.__getitem__)}
        ordered = {name: _sorted_words(*found) for name, found in self.words.items()}
        lines = array("q", np.concatenate([*self.lines, np.empty(0, np.int64)]).tobytes())
        told = (single.lists, single.skips, single.more_skips, single.empty, single.tally)
        return Rows(lines, numbers, ordered, *told, planned=single.planned)


def _spelled(word: str) -> float | str | None:
    """Return the number that a word spells, the word itself if it spells none, None if it says that there is nothing."""
    row = Rows()
    row.add({"": word})
    return row.numbers[""].values[0] if "" in row.numbers else row.words[""][1][0] if "" in row.words else None


def _sorted_words(rows: list[int], words: list[str]) -> tuple[list[int], list[str]]:
    order = np.argsort(rows, kind="stable")
    return np.asarray(rows, np.int64)[order].tolist(), [words[k] for k in order]
