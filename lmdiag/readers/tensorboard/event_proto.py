"""One TensorBoard event, decoded field by field without TensorFlow.

Field numbers are those of event.proto, summary.proto, tensor.proto and the hyperparameter plugin's api.proto.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from msgspec import Struct, field

from lmdiag.readers.tensorboard.wire import BYTES, FIXED32, FIXED64, VARINT, BadWire, fields, signed, varint

STRING, BFLOAT16 = 7, 14
# How one element is stored in `tensor_content`, by the dtype of the tensor.
_ELEMENTS = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", BFLOAT16: "bfloat16", 17: "<u2", 19: "<f2",
    22: "<u4", 23: "<u8",
}  # fmt: skip
_CONTENT, _FLOATS, _DOUBLES, _STRINGS, _HALVES = 4, 5, 6, 8, 13
_INTEGERS = (7, 10, 16, 17)
_SESSION_START_INFO = 3


class Value(Struct, frozen=True):
    """One scalar of a summary. With a `dtype`, its bytes begin at `start` in the data; else it was decoded otherwise."""

    tag: str
    value: float
    start: int = 0
    dtype: str = ""


class Event(Struct):
    """One event: when, at which step, the scalars in it, and the words and settings in it."""

    time: float = 0.0
    step: int = 0
    scalars: list[Value] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    other: bool = False  # holds something else: a graph, an image, a histogram


def parse_event(data: bytes, start: int, end: int) -> Event:
    """Decode data[start:end]; BadWire if that is no event."""
    event = Event()
    for number, kind, a, b in fields(data, start, end):
        if (number, kind) == (1, FIXED64):
            event.time = struct.unpack_from("<d", data, a)[0]
        elif (number, kind) == (2, VARINT):
            event.step = signed(a)
        elif (number, kind) == (5, BYTES):
            for inner, inner_kind, c, d in fields(data, a, b):
                if (inner, inner_kind) == (1, BYTES):
                    _value(data, c, d, event)
        else:
            event.other = True
    return event


def size_of(dtype: str) -> int:
    """Return the bytes one element takes.

    >>> size_of("<f4"), size_of("bfloat16")
    (4, 2)
    """
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def numbers(raw: np.ndarray, dtype: str) -> np.ndarray:
    """Return float64[n] from uint8[n, size_of(dtype)].

    >>> numbers(np.array([[0x80, 0x3F]], np.uint8), "bfloat16").tolist()
    [1.0]
    """
    raw = np.ascontiguousarray(raw)
    if dtype == "bfloat16":  # the upper half of a float32
        return (raw.view("<u2")[:, 0].astype("<u4") << np.uint32(16)).view("<f4").astype(np.float64)
    return raw.view(dtype)[:, 0].astype(np.float64)


def _value(data: bytes, start: int, end: int, event: Event) -> None:
    tag, plugin, content, tensor = "", "", b"", None
    scalar: tuple[float, int, str] | None = None
    for number, kind, a, b in fields(data, start, end):
        if (number, kind) == (1, BYTES):
            tag = data[a:b].decode("utf-8", "replace")
        elif (number, kind) == (2, FIXED32):
            scalar = _element(data, a, "<f4")
        elif (number, kind) == (8, BYTES):
            tensor = (a, b)
        elif (number, kind) == (9, BYTES):
            plugin, content = _plugin(data, a, b)
        else:
            event.other = True
    if plugin == "hparams":
        event.settings |= _hyperparameters(content)
    elif tensor is not None:
        words, scalar = _tensor(data, *tensor)
        if words is not None:
            event.texts[tag] = words
    if scalar is not None and plugin != "hparams":
        event.scalars.append(Value(tag, *scalar))
    else:
        event.other = True


def _element(data: bytes, start: int, dtype: str) -> tuple[float, int, str]:
    raw = np.frombuffer(data, np.uint8, size_of(dtype), start)
    return float(numbers(raw[None, :], dtype)[0]), start, dtype


def _plugin(data: bytes, start: int, end: int) -> tuple[str, bytes]:
    """Return the name of the plugin a summary belongs to, and what it keeps there."""
    name, content = "", b""
    for number, kind, a, b in fields(data, start, end):
        if (number, kind) == (1, BYTES):
            for inner, inner_kind, c, d in fields(data, a, b):
                if (inner, inner_kind) == (1, BYTES):
                    name = data[c:d].decode("utf-8", "replace")
                elif (inner, inner_kind) == (2, BYTES):
                    content = data[c:d]
    return name, content


def _tensor(data: bytes, start: int, end: int) -> tuple[str | None, tuple[float, int, str] | None]:
    """Return the words of a tensor of strings, or the number of a tensor with a single one."""
    dtype, elements = 0, 1
    words: list[str] = []
    found: list[tuple[float, int, str]] = []
    for number, kind, a, b in fields(data, start, end):
        if (number, kind) == (1, VARINT):
            dtype = a
        elif (number, kind) == (2, BYTES):
            elements = _elements(data, a, b)
        elif (number, kind) == (_STRINGS, BYTES):
            words.append(data[a:b].decode("utf-8", "replace"))
        elif kind == BYTES and number in (_CONTENT, _FLOATS, _DOUBLES):
            stored = {_FLOATS: "<f4", _DOUBLES: "<f8"}.get(number) or _ELEMENTS.get(dtype)
            if stored and b - a == size_of(stored):
                found.append(_element(data, a, stored))
        elif number in _INTEGERS or number == _HALVES:
            found += [(_integer(n, number, dtype), 0, "") for n in _varints(data, kind, a, b)]
        elif number in (_FLOATS, _DOUBLES):
            found.append(_element(data, a, "<f4" if kind == FIXED32 else "<f8"))
    if dtype == STRING:
        return "\n".join(words), None
    return None, found[0] if len(found) == 1 and elements == 1 else None


def _elements(data: bytes, start: int, end: int) -> int:
    """Return how many elements a tensor of this shape has."""
    elements = 1
    for number, kind, a, b in fields(data, start, end):
        if (number, kind) == (2, BYTES):
            elements *= sum(c for inner, _, c, _ in fields(data, a, b) if inner == 1)
    return elements


def _varints(data: bytes, kind: int, a: int, b: int) -> list[int]:
    if kind == VARINT:
        return [a]
    if kind != BYTES:
        raise BadWire("a list of whole numbers is stored in an unknown way")
    found = []
    while a < b:
        number, a = varint(data, a)
        found.append(number)
    return found


def _integer(number: int, field_number: int, dtype: int) -> float:
    if field_number != _HALVES:
        return float(signed(number))
    raw = np.array([[number & 0xFF, number >> 8 & 0xFF]], np.uint8)
    return float(numbers(raw, _ELEMENTS.get(dtype, "<f2"))[0])


def _hyperparameters(content: bytes) -> dict[str, Any]:
    """Return the settings in the start record of a hyperparameter session."""
    settings = {}
    for number, kind, a, b in fields(content):
        if (number, kind) == (_SESSION_START_INFO, BYTES):
            for inner, inner_kind, c, d in fields(content, a, b):
                if (inner, inner_kind) == (1, BYTES):
                    name, value = _setting(content, c, d)
                    settings[name] = value
    return settings


def _setting(content: bytes, start: int, end: int) -> tuple[str, Any]:
    name, value = "", None
    for number, kind, a, b in fields(content, start, end):
        if (number, kind) == (1, BYTES):
            name = content[a:b].decode("utf-8", "replace")
        elif (number, kind) == (2, BYTES):
            for inner, inner_kind, c, d in fields(content, a, b):
                if (inner, inner_kind) == (2, FIXED64):
                    value = struct.unpack_from("<d", content, c)[0]
                elif (inner, inner_kind) == (3, BYTES):
                    value = content[c:d].decode("utf-8", "replace")
                elif (inner, inner_kind) == (4, VARINT):
                    value = bool(c)
    return name, value
