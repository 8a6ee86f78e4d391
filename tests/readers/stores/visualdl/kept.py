"""VisualDL keeps values in single precision, and writes them from time to time."""

import struct

ENDS_LOST = ("killed",)


def kept(metric: str, step: int, value: float) -> float:
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single
