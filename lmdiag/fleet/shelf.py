"""What is kept of many logs until the report is written: on disk, for most of it is never asked for."""

from __future__ import annotations

import os
import pickle
from collections.abc import ItemsView, Iterator, Mapping
from functools import cached_property
from io import FileIO
from tempfile import TemporaryFile
from typing import Any, TypeVar

Value = TypeVar("Value")


class Shelf:
    """A temporary file of mappings, which is gone with the last of these.

    >>> kept = Shelf().put({"loss": 2.5})
    >>> kept["loss"], dict(kept)
    (2.5, {'loss': 2.5})
    """

    @cached_property
    def _file(self) -> FileIO:
        return TemporaryFile(prefix="lmdiag-", buffering=0)

    def put(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return what reads these values from the file each time it is asked, the values themselves where there is no room for them."""
        content = pickle.dumps(dict(values), pickle.HIGHEST_PROTOCOL)
        try:
            place = self._file.seek(0, os.SEEK_END)
            written = self._file.write(content)
        except OSError:
            return values
        return _OnShelf(self, place, len(content)) if written == len(content) else values

    def read(self, place: int, length: int) -> Any:
        """Return the mapping that stands in a place of the file."""
        self._file.seek(place)
        return pickle.loads(self._file.read(length))


class _OnShelf(Mapping[str, Value]):
    __slots__ = ("_length", "_place", "_shelf")

    def __init__(self, shelf: Shelf, place: int, length: int) -> None:
        self._shelf, self._place, self._length = shelf, place, length

    def _values(self) -> dict[str, Value]:
        found: dict[str, Value] = self._shelf.read(self._place, self._length)
        return found

    def __getitem__(self, name: str) -> Value:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def items(self) -> ItemsView[str, Value]:
        return self._values().items()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._values(),)
