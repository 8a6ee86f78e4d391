"""Turn text of any size into files of token ids, once: `lmdiag train prepare FILE ... -o tokens`."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from trainers import corpus, options, vocabularies
from trainers.corpus import ABOUT, PARTS
from trainers.vocabularies import Vocabulary

UNIT = 4 << 20  # bytes of text that a process takes at a time: what bounds the memory
FAR = 1 << 20  # bytes within which a blank line is looked for, to cut there
SAMPLE = 16 << 20  # bytes of text that a vocabulary is made from
ROWS = 1024  # of a parquet file at a time
PARAGRAPHS, LINES, JSONL, PARQUET = "paragraphs", "lines", "jsonl", "parquet"  # what stands between two documents
KINDS = {".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET}


@dataclass(frozen=True)
class Unit:
    """What one process reads at a time: a range of bytes of a file, or a whole parquet file."""

    number: int
    path: str
    kind: str
    start: int
    stop: int


@dataclass(frozen=True)
class Work:
    """What every process has to know."""

    folder: Path
    vocabulary: Vocabulary
    field: str
    dtype: str


@click.command(cls=options.Command, help=__doc__, context_settings=options.WIDTH)
@click.argument("files", nargs=-1, required=True, metavar="FILE ...")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="where the token files go; then `--data FOLDER`")
@click.option(
    "--tokenizer", type=click.Choice(["bpe", "char", "word"]), default="bpe", help="what a token is  [default: bpe]"
)
@click.option(
    "--vocab-size",
    type=click.IntRange(2, 1 << 24),
    default=8192,
    metavar="TOKENS",
    help="most tokens of the vocabulary  [default: 8192]",
)
@click.option(
    "--field",
    default="text",
    metavar="NAME",
    help="field or column with the text, of JSONL and parquet files  [default: text]",
)
@click.option("--jobs", type=click.IntRange(0), default=0, metavar="N", help="processes; default: one per processor")
def prepare(files: tuple[str, ...], output: str, tokenizer: str, vocab_size: int, field: str, jobs: int) -> None:
    """Encode files, and say what came out."""
    about = written(files, Path(output), tokenizer, vocab_size, field, jobs or len(os.sched_getaffinity(0)))
    tokens = about["tokens"]
    click.echo(
        f"{about['documents']:,} documents, {about['bytes']:,} bytes of text, {about['vocab_size']:,} {tokenizer} tokens",
        err=True,
    )
    if about["skipped"]:
        click.echo(f"{about['skipped']:,} lines or rows hold no text in {field!r} and were left out", err=True)
    click.echo(
        f"{tokens['train']:,} + {tokens['val']:,} + {tokens['test']:,} tokens to train, validate and test on: --data {output}"
    )


def written(
    paths: Sequence[str], folder: Path, tokenizer: str, vocab_size: int, field: str, jobs: int
) -> dict[str, Any]:
    """Write the token files of some texts into a folder and return what is in them; raises ValueError for what is no text."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the processes are the parallelism
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty. Name another folder with --output.")
    everything = [unit for path in paths for unit in units(path)]
    everything = [Unit(i, unit.path, unit.kind, unit.start, unit.stop) for i, unit in enumerate(everything)]
    vocabulary = vocabularies.TOKENIZERS[tokenizer](list(sampled(everything, field)), vocab_size)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = "uint16" if vocabulary.size <= 1 << 16 else "uint32"
    root = str(Path(__file__).parents[1])
    if root not in sys.path[:1]:  # where a new process looks for this module: before a package of the same name
        sys.path.insert(0, root)
    context = multiprocessing.get_context("spawn")  # polars does not survive a fork
    found: list[dict[str, int]] = []
    with (
        context.Pool(jobs, initializer=begin, initargs=(folder, vocabulary.state(), field, dtype)) as pool,
        click.progressbar(pool.imap(encoded, everything), len(everything), file=sys.stderr, label="tokens") as done,
    ):
        for counts in done:  # in the order of the text
            append(folder, len(found))
            found.append(counts)
    counts = {name: sum(each[name] for each in found) for name in found[0]}
    if not all(counts[part] for part in PARTS):
        for part in PARTS:  # the folder is to be empty for the next try
            corpus.token_file(folder, part).unlink(missing_ok=True)
        left_out = (
            f" {counts['skipped']:,} lines or rows hold no text in {field!r}: --field names another."
            if counts["skipped"]
            else ""
        )
        raise ValueError(f"too little text: each of three parts needs a document. Give more.{left_out}")
    about = {
        "tokenizer": tokenizer,
        "vocab_size": vocabulary.size,
        "dtype": dtype,
        "tokens": {part: counts.pop(part) for part in PARTS},
        **counts,
        "files": list(map(str, paths)),
    }
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary.state(), ensure_ascii=False), encoding="utf-8")
    (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")  # last: all is there
    return about


# --- what is read ------------------------------------------------------------------------------------------------------


def units(path: str) -> Iterator[Unit]:
    """Yield the units of a file; raises ValueError, in words, for one that cannot be read."""
    kind = KINDS.get(Path(path).suffix.lower(), "")
    try:
        size = Path(path).stat().st_size
        if Path(path).is_dir():
            raise ValueError(f"{path} is a folder. Name the files in it: {path.rstrip('/')}/*.txt")
        with open(path, "rb") as file:
            blank = len(re.findall(rb"\n\s*\n", file.read(UNIT)))
            kind = kind or (PARAGRAPHS if blank >= corpus.FEW else LINES)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if not size:
        raise ValueError(f"{path} is empty. Name a file that holds text.")
    edges = [0, size] if kind == PARQUET else [*range(0, size, UNIT), size]
    for start, stop in zip(edges, edges[1:]):
        yield Unit(0, path, kind, start, stop)


def sampled(everything: list[Unit], field: str) -> Iterator[str]:
    """Yield documents from all over the text, about as many as a vocabulary needs."""
    apart = max(1, len(everything) * UNIT // SAMPLE)
    left = SAMPLE
    for unit in everything[::apart]:
        for text in documents(unit, field):
            if text is not None:
                yield text
                left -= len(text)
            if left < 0:
                return


def documents(unit: Unit, field: str) -> Iterator[str | None]:
    """Yield the clean documents of a unit; None for a line or row that has no text."""
    if unit.kind == PARQUET:
        yield from rows(unit.path, field)
        return
    with open(unit.path, "rb") as file:
        start, stop = (cut(file, at, unit.kind) for at in (unit.start, unit.stop))
        file.seek(start)
        content = file.read(stop - start)
    try:
        text = content.decode("utf-8-sig" if start == 0 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{unit.path} is not UTF-8 text (byte {start + error.start}). Convert it to UTF-8 first."
        ) from None
    if unit.kind == JSONL:
        yield from (cleaned(line, field) for line in text.split("\n") if line.strip())
    else:
        texts = corpus.paragraphs(text) if unit.kind == PARAGRAPHS else text.splitlines()
        yield from filter(None, map(corpus.clean, texts))


def cleaned(line: str, field: str) -> str | None:
    """Return the text of a line of JSON, None where it has none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    text = record.get(field) if isinstance(record, dict) else None
    return corpus.clean(text) or None if isinstance(text, str) else None


def rows(path: str, field: str) -> Iterator[str | None]:
    """Yield the texts of a parquet file, a few rows in memory at a time."""
    import polars

    table = polars.scan_parquet(path)
    try:
        columns = table.collect_schema().names()
    except polars.exceptions.PolarsError as error:
        raise ValueError(f"{path} is no parquet file: {error}") from None
    if field not in columns:
        raise ValueError(
            f"{path} has no column {field!r}, but {', '.join(columns)}. Name the one with the text by --field."
        )
    for frame in table.select(field).collect_batches(chunk_size=ROWS):
        for text in frame[field]:
            yield corpus.clean(text) or None if isinstance(text, str) else None


def cut(file: Any, at: int, kind: str) -> int:
    """Return where a text is cut at or after a byte: behind a blank line, else behind a line, else between two characters."""
    if at == 0:
        return 0
    file.seek(at - 1)
    near = file.read(FAR)
    for mark in (rb"\n\s*\n", rb"\n") if kind == PARAGRAPHS else (rb"\n",):
        found = re.search(mark, near)
        if found:
            return int(at - 1 + found.end())
    if kind == JSONL:  # a very long line, which must stay whole
        file.readline()
        return int(file.tell())
    return at + next((i for i, byte in enumerate(near[1:5]) if byte & 0xC0 != 0x80), 0)


# --- what is written ---------------------------------------------------------------------------------------------------

_work: Work | None = None  # of this process


def begin(folder: Path, state: dict[str, Any], field: str, dtype: str) -> None:
    """Tell a new process what all units share."""
    global _work
    _work = Work(folder, vocabularies.restored_vocabulary("", state), field, dtype)


def encoded(unit: Unit) -> dict[str, int]:
    """Write the tokens of a unit to files of its own, and return how much there is of what."""
    assert _work is not None
    end = _work.vocabulary.encode(vocabularies.END)
    ids: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    counts = dict.fromkeys((*PARTS, "documents", "bytes", "characters", "skipped"), 0)
    files = {part: open(piece(_work.folder, part, unit.number), "wb") for part in PARTS}  # noqa: SIM115
    for text in documents(unit, _work.field):
        if text is None:
            counts["skipped"] += 1
            continue
        content = text.encode()
        part = part_of(content)
        ids[part].append(np.array([*_work.vocabulary.encode(text), *end], _work.dtype))
        counts[part] += len(ids[part][-1])
        counts["documents"] += 1
        counts["bytes"] += len(content)
        counts["characters"] += len(text)
        if len(ids[part]) >= ROWS:
            files[part].write(np.concatenate(ids[part]).tobytes())
            ids[part] = []
    for part, file in files.items():
        with file:
            file.write(b"".join(each.tobytes() for each in ids[part]))
    return counts


def part_of(content: bytes) -> str:
    """Return the part of a document: by its content, so that equal documents are never in two."""
    share = zlib.crc32(content) / 2**32
    if share < corpus.TEST:
        return "test"
    return "val" if share < corpus.TEST + corpus.VALIDATION else "train"


def piece(folder: Path, part: str, number: int) -> Path:
    """Return the file of one unit."""
    return folder / f"{part}-{number:08d}.part"


def append(folder: Path, number: int) -> None:
    """Put the tokens of a unit behind those before it."""
    for part in PARTS:
        path = piece(folder, part, number)
        with path.open("rb") as source, corpus.token_file(folder, part).open("ab") as target:
            shutil.copyfileobj(source, target)
        path.unlink()
