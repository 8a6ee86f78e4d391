"""Logs of every format, and ways to damage them as disks, people and attackers do."""

import gzip
import random
from functools import cache
from pathlib import Path

from tests.readers.sample_logs import SAMPLES

ROOT = Path(__file__).parents[2]
TOKENS = [
    b"\0" * 64, b"\n" * 100, b"{", b"}", b"[" * 200, b'{"a":' * 300, b'"', b"\\", b",", b"nan", b"NaN", b"1e999", b"-inf",
    b"9" * 400, b"0.0000000000001", b"\xff\xfe", b"\xef\xbb\xbf", b"\xf0\x28\x8c\x28", "损失".encode(), b"\r", b"\r\n", b"\t",
    b"\x1b[31m", b"\x08" * 20, b"step", b"loss", b"epoch 3/", b"=", b": ", b"|" * 50, b"-1", b"18446744073709551616", b"1,234",
    b"<b>", b"%s%n", b"=cmd|' /C calc'!A0", b"../../x", b'{"type": "run", "schema": "lmdiag-log/1", "run_id": "b"}\n',
    b'{"step": -1, "loss": [1, 2]}\n', b'{"step": 9223372036854775808, "loss": 1}\n', b"(" * 1000, b"a" * 9000, b" " * 9000,
]  # fmt: skip


@cache
def corpus() -> list[tuple[str, bytes]]:
    """(name, content) of a log of each format and of each family of printed logs."""
    found = list(SAMPLES.values())
    found += [(path.name, path.read_bytes()[:8000]) for path in sorted((ROOT / "tests/readers/samples/text").iterdir())]
    found += [(path.name, path.read_bytes()[:8000]) for path in sorted((ROOT / "sample_logs").glob("*.jsonl"))]
    return found


def mutated(seed: int) -> tuple[str, bytes]:
    """The log of this number: one of the corpus, damaged once to four times."""
    rng = random.Random(seed)
    name, content = rng.choice(corpus())
    return name, damaged(content, rng)[: 1 << 20]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A log damaged once to four times."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(MUTATIONS)(content, rng)
    return content


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + int(rng.expovariate(1 / 40)) + 1)


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 30])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut_out(content: bytes, rng: random.Random) -> bytes:
    first, stop = _span(content, rng)
    return content[:first] + content[stop:]


def cut_off(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def repeat(content: bytes, rng: random.Random) -> bytes:
    first, stop = _span(content, rng)
    return content[:stop] + content[first:stop] * rng.choice([1, 2, 50, 1000]) + content[stop:]


def insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(TOKENS) + content[at:]


def overwrite(content: bytes, rng: random.Random) -> bytes:
    at, token = rng.randrange(len(content) + 1), rng.choice(TOKENS)
    return content[:at] + token + content[at + len(token) :]


def shuffle_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    for _ in range(rng.choice([1, 5, len(lines)])):
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def replace_number(content: bytes, rng: random.Random) -> bytes:
    places = [k for k, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return content
    at = rng.choice(places)
    return (
        content[:at]
        + rng.choice([b"nan", b"1e308", b"-", b"", b"9" * 30, b"inf", b"0" * 30, b".", b"e"])
        + content[at + 1 :]
    )


def splice(content: bytes, rng: random.Random) -> bytes:
    other = rng.choice(corpus())[1]
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def pack(content: bytes, rng: random.Random) -> bytes:
    return gzip.compress(content, mtime=0)


def recode(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "latin-1"]), "replace")


def end_lines_otherwise(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b" "]))


MUTATIONS = (flip, flip, cut_out, cut_off, repeat, insert, insert, overwrite, shuffle_lines, replace_number, replace_number,
             splice, pack, recode, end_lines_otherwise)  # fmt: skip
