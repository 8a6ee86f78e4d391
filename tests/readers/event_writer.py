"""Write TensorBoard event files byte by byte, from the format's definition and not from the code under test."""

import struct


def crc32c(data: bytes) -> int:
    """The checksum, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked(crc32c(length))) + payload + struct.pack("<I", masked(crc32c(payload)))


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def nested(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def event(step: int | None, *values: bytes, time: float = 1000.0) -> bytes:
    """An event with summary values; TensorFlow leaves out a step of 0, tensorboardX writes it."""
    counter = b"" if step is None else b"\x10" + varint(step)
    return record(b"\x09" + struct.pack("<d", time) + counter + nested(5, b"".join(nested(1, v) for v in values)))


def simple(tag: str, value: float) -> bytes:
    return nested(1, tag.encode()) + b"\x15" + struct.pack("<f", value)


def tensor(tag: str, content: bytes, metadata: bytes = b"") -> bytes:
    return nested(1, tag.encode()) + nested(8, content) + (nested(9, metadata) if metadata else b"")


def float_tensor(tag: str, value: float, plugin: str = "") -> bytes:
    """A scalar as TensorFlow 2 writes it: dtype float, no dimension, raw content."""
    content = b"\x08\x01" + nested(2, b"") + nested(4, struct.pack("<f", value))
    return tensor(tag, content, nested(1, nested(1, plugin.encode())) if plugin else b"")


def text(tag: str, words: str) -> bytes:
    content = b"\x08\x07" + nested(2, nested(2, b"\x08\x01")) + nested(8, words.encode())
    return tensor(f"{tag}/text_summary", content, nested(1, nested(1, b"text")))


def histogram(tag: str) -> bytes:
    return nested(1, tag.encode()) + nested(5, b"\x09" + bytes(8))


START = record(b"\x09" + struct.pack("<d", 900.0) + nested(3, b"brain.Event:2"))


def event_file(*events: bytes) -> bytes:
    return START + b"".join(events)


def curve(tag: str, steps: range, value: float = 1.0, time: float = 1000.0) -> list[bytes]:
    return [event(step, simple(tag, value / (1 + step)), time=time + step) for step in steps]
