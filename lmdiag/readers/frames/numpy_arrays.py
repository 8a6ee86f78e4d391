"""Arrays that NumPy saved: `losses.npy`, and `history.npz` with an array for each name."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np

from lmdiag.errors import NoValues, UnreadableLog
from lmdiag.readers.json.document import named_as_losses, notes_of_lists, rows_of_lists
from lmdiag.readers.rawlog import RawLog
from lmdiag.sources.source import Source
from lmdiag.sources.zipped import first_member, members, names_of

MAGIC = b"\x93NUMPY"
ENDING = ".npy"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the file is an array, or an archive of arrays."""
    return head.startswith(MAGIC) or first_member(head).endswith(ENDING)


def read(source: Source) -> list[RawLog]:
    """Read arrays of one dimension as columns: those of one length belong together, with the one that counts their steps."""
    columns: dict[str, list[float]] = {}
    settings: dict[str, float] = {}
    skipped: list[str] = []
    for member, content in _contents(source):
        array = _array(f"{source.name}: {member}" if member else source.name, content)
        name = member or os.path.basename(source.name).removesuffix(ENDING)
        if array is None:
            skipped.append(f'"{name}" holds words or objects, which are not loaded')
        elif array.ndim == 1:
            columns[name] = array.tolist()
        elif array.ndim == 0:
            settings[name] = float(array)
        elif not member and _steps_and_values(array):
            columns |= {"step": array[:, 0].tolist(), name: array[:, 1].tolist()}
        else:
            skipped.append(f'"{name}" is an array of shape {array.shape}')
    if not any(columns.values()):
        raise NoValues(
            f"{source.name} holds no list of numbers: {'; '.join(skipped) or 'no array'}",
            'save arrays of one dimension, a history of Keras as numpy.savez("h.npz", **history.history)',
        )
    lists = {name: values for name, values in columns.items() if values}
    if not any("loss" in name.lower() for name in lists):
        lists = named_as_losses(lists)
    rows = rows_of_lists(lists)
    for reason in skipped:
        rows.skip(0, reason)
    notes = notes_of_lists(lists)
    return [rows.log("numpy", source.name, source=source.name, settings=settings, notes=notes, spread=bool(notes))]


def _steps_and_values(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.shape[1] == 2 and len(array) > 1 and bool((np.diff(array[:, 0]) > 0).all())


def _contents(source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield the arrays of an archive with their names, or the one array without."""
    if source.data.startswith(MAGIC):
        yield "", source.data
        return
    for member, content in members(source, [name for name in names_of(source) if name.endswith(ENDING)]).items():
        yield member.removesuffix(ENDING), content


def _array(name: str, content: bytes) -> np.ndarray | None:
    """Return a numeric array as float64, None for one of other things; raise UnreadableLog where it is damaged."""
    file = io.BytesIO(content)
    try:
        shape, _, kind = _HEADERS[np.lib.format.read_magic(file)](file)
        if kind.kind not in "iufb":
            return None
        wanted, held = int(np.prod(shape, dtype=np.float64)) * kind.itemsize, len(content) - file.tell()
        if wanted < held:
            raise UnreadableLog(
                f"{name} holds more behind its array: numpy.save was called twice on one file",
                "save each array to a file, or use numpy.savez",
            )
        if wanted > held:
            raise UnreadableLog(
                f"{name} is cut off: it should hold {wanted:,} bytes of numbers and holds {held:,}", "copy it again"
            )
        return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float64)
    except (
        ValueError,
        KeyError,
        EOFError,
        OverflowError,
        SyntaxError,
        TypeError,
        MemoryError,
        RecursionError,
    ) as error:
        raise UnreadableLog(
            f"{name} begins like an array of NumPy but is none: {error}", "save it again with numpy.save"
        ) from error
