"""Write `.wandb` files byte by byte, from the format's definition and not from the code under test."""

import json
import struct
import zlib

from tests.readers.event_writer import nested, varint

BLOCK = 32768
HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)


def wandb_file(*records: bytes, header: bytes = HEADER) -> bytes:
    data = header
    for record in records:
        kinds, rest = (2, 3), record
        first = True
        while True:
            left = BLOCK - len(data) % BLOCK
            if left < 7:
                data += bytes(left)
                continue
            part, rest = rest[: left - 7], rest[left - 7 :]
            if first:
                kind = 2 if rest else 1
            else:
                kind = kinds[1] if rest else 4
            data += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
            if not rest:
                break
    return data


def item(key: str, value: object, nested_key: bool = True) -> bytes:
    parts = key.split(".") if nested_key else [key]
    named = b"".join(nested(2 if nested_key else 1, part.encode()) for part in parts)
    return named + nested(16, json.dumps(value).encode())


def history(step: int, nested_keys: bool = True, **values: object) -> bytes:
    named = {key.replace("__", "/"): value for key, value in values.items()} | {"_step": step}
    items = b"".join(nested(1, item(key, value, nested_keys)) for key, value in named.items())
    return nested(2, items + nested(2, b"\x08" + varint(step)))


def run(run_id: str, name: str = "", config: dict | None = None) -> bytes:
    settings = b"".join(nested(1, item(key, value, False)) for key, value in (config or {}).items())
    return nested(17, nested(1, run_id.encode()) + nested(4, settings) + nested(8, name.encode()))


def exit_record(code: int, runtime: int = 12) -> bytes:
    return nested(18, b"\x08" + varint(code) + b"\x10" + varint(runtime))
