"""Which logs of a folder one training may have written beside each other, as far as their names tell.

    exp/train.jsonl, exp/valid.jsonl, exp/logs/console.log, exp/events.out.tfevents.…      the stores of one trainer
    exp/metrics/train/loss.tsv, exp/metrics/lr.tsv                                           one file for each metric
    exp/rank_0.log, exp/rank_1.log                                                           one file for each process
    wandb/run-…-abc/, mlflow.db, out/runs/Nov30_…/, out/checkpoint-90/trainer_state.json     what several trackers keep of it

Whether they are one run is for their values to decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from msgspec import Struct

from lmdiag.naming import SPLITS, spelling
from lmdiag.sources.folder import WANDB_RUN
from lmdiag.sources.source import Source

STORE_FOLDERS = frozenset("csv csv_logger files log logs metrics mlruns plots scalars tb tensorboard vis_data".split())
PLAIN_WORDS = frozenset(
    """
    console csv events history json jsonl log logger logs metric metrics mlflow nohup out output progress record records
    scalars state stats stderr stdout tb tensorboard trainer training
    """.split()
)
_ENDING = re.compile(r"(\.(?:gz|zst|jsonl|ndjson|json|csv|tsv|logs?|txt|out|err|parquet|wandb|db|sqlite))+$")
_RANK = re.compile(r"(?<![a-z])(?:local_?|global_?)?rank[_-]?(\d+)")
_RANK_FILE = re.compile(r"(?:worker)?log\.(\d+)")
EVALUATOR = re.compile(
    r".+(?:_evaluation|evaluator)(?:_(?P<name>.+?))?_results(?:_@\d+)?\.csv"
)  # of sentence-transformers
_ATTEMPT = re.compile(r"attempt_\d+")  # a folder of torchrun's, with one for each rank below it
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_DATED = re.compile(r"[a-z]{3}\d{2}_\d{2}-\d{2}-\d{2}_.+")  # a folder of TensorBoard's SummaryWriter
_NAMED_BY_TRACKERS = (_DATED, WANDB_RUN)
_OF_THE_WORKING_FOLDER = re.compile(r"(?:.*/)?(?:wandb/.+|mlruns/|mlflow\.db)")  # wherever the output goes


class Place(Struct, frozen=True):
    """What the name of a log tells: the folder of its training, what is particular of its name, its evaluation set and its rank.

    >>> place("exp/metrics/valid/loss.tsv"), place("exp/run1_rank_3.log")
    (Place(folder='exp', key='', split='val', rank=None), Place(folder='exp', key='run1', split='', rank=3))
    """

    folder: str
    key: str
    split: str = ""
    rank: int | None = None


def place(name: str) -> Place:
    """Take the name of a log apart."""
    *folders, file = name.split("/")
    words, keys, ranks = [], [], []
    while folders and _is_part(folders):
        last = folders.pop().lower()
        words.append(last)
        ranks += _RANK.findall(last) or ([last] if last.isdigit() else [])
        if any(pattern.fullmatch(last) for pattern in _NAMED_BY_TRACKERS):
            keys.append(last)
            folders.pop()
    file = file.lower()
    stem = "" if "tfevents" in file or _RANK_FILE.fullmatch(file) else _ENDING.sub("", file)
    stem = "evaluation" if EVALUATOR.fullmatch(file) else stem
    ranks += _RANK.findall(stem) + _RANK_FILE.findall(file)
    if folders and stem == folders[-1].lower():
        stem = ""
    tokens = [word for word in re.split(r"[\W_]+", _RANK.sub("", stem)) if word and word not in PLAIN_WORDS]
    words += tokens
    own = "_".join(word for word in tokens if word not in SPLITS)
    keys += [own] if own and not spelling(own).known else []
    split = next((SPLITS[word] for word in words if SPLITS.get(word)), "")
    return Place("/".join(folders), "_".join(keys), split, int(ranks[-1]) if ranks else None)


def _is_part(folders: Sequence[str]) -> bool:
    """Tell whether the last folder holds a part of the logs of the training above it."""
    *above, last = (folder.lower() for folder in folders[-2:])
    if last.isdigit():
        return bool(above) and bool(_ATTEMPT.fullmatch(above[0]))
    if _DATED.fullmatch(last) or WANDB_RUN.fullmatch(last):
        return above == ["runs" if _DATED.fullmatch(last) else "wandb"]
    return (
        last in STORE_FOLDERS or last in SPLITS or any(kind.fullmatch(last) for kind in (_RANK, _ATTEMPT, _CHECKPOINT))
    )


def together(sources: Sequence[Source]) -> list[Source]:
    """Return the sources, those that one training may have written as one: the first of them, with the others `beside` it."""
    groups = _by_key([(place(source.name), source) for source in sources])
    of_folder: dict[str, list[str]] = {}
    for folder, key in groups:
        of_folder.setdefault(folder, []).append(key)
    for folder, keys in of_folder.items():
        kinds = [_kind(key) for key in keys]
        if len(keys) > 1 and len(set(kinds)) == len(kinds):  # one name of each kind
            groups[folder, ""] = [source for key in keys for source in groups.pop((folder, key))]
    _put_above(groups)
    number = {id(source): k for k, source in enumerate(sources)}
    ordered = [sorted(group, key=lambda source: number[id(source)]) for group in groups.values()]
    return [
        replace(first, beside=tuple(others)) if others else first
        for first, *others in sorted(ordered, key=lambda group: number[id(group[0])])
    ]


def _kind(key: str) -> int:
    """Tell who gave a log its name: nobody, the trackers, or the program."""
    named = (k for k, pattern in enumerate(_NAMED_BY_TRACKERS, 1) if pattern.fullmatch(key))
    return next(named, -1 if key else 0)


def _put_above(groups: dict[tuple[str, str], list[Source]]) -> None:
    """Join what trackers left in the working folder to the training below it, where there is no other."""
    if len(groups) != 2:
        return
    above, below = sorted(groups)
    inside = not above[0] or below[0].startswith(f"{above[0]}/")
    if inside and all(_OF_THE_WORKING_FOLDER.fullmatch(source.name) for source in groups[above]):
        groups[above] += groups.pop(below)


def _by_key(placed: list[tuple[Place, Source]]) -> dict[tuple[str, str], list[Source]]:
    """Group sources by folder and name; numbers that are not 0, 1, … are no ranks of processes, but perhaps those of adapters."""
    ranks: dict[tuple[str, str], set[int]] = {}
    for where, _ in placed:
        if where.rank is not None:
            ranks.setdefault((where.folder, where.key), set()).add(where.rank)
    groups: dict[tuple[str, str], list[Source]] = {}
    for where, source in placed:
        key = where.key
        if where.rank is not None:
            numbers = ranks[where.folder, where.key]
            key += "" if len(numbers) > 1 and numbers == set(range(len(numbers))) else f" rank {where.rank}"
        groups.setdefault((where.folder, key), []).append(source)
    return groups
