"""Names of runs that can be told apart at a glance: what all share is left out, and the end of a path is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from lmdiag.reports.phrases import visible

LONGEST, IN_LEGEND = 40, 19  # letters
WORDS, ENDING = re.compile(r".*[-_/ ]"), re.compile(r"\.[A-Za-z]\w*$")
NEARLY_ALL = 0.9  # of the paths: a log from elsewhere shall not make all other names longer


def distinct(names: Sequence[str], sources: Sequence[str] = (), longest: int = LONGEST) -> list[str]:
    """Return a short name for each run that no other has.

    A run that is called like its file, or like another run, is called by the path of its log, of `sources`. The folders that nine of ten
    paths share go first, then the beginning of what is still too long; what is equal after that gets a number.

    >>> distinct(["/data/a/lr0.1.jsonl", "/data/a/lr0.01.jsonl", "/data/b/lr0.1.jsonl"])
    ['a/lr0.1.jsonl', 'a/lr0.01.jsonl', 'b/lr0.1.jsonl']
    >>> distinct(["train.log", "train.log", "lstm"], ["/data/a/train.log", "/data/b/train.log", "/data/c/x.jsonl"])
    ['a/train.log', 'b/train.log', 'lstm']
    >>> distinct([*(f"/data/sweep/lr{i}/log.csv" for i in range(9)), "/data/other.csv"])[-2:]
    ['lr8/log.csv', 'other.csv']
    >>> distinct(["run.jsonl", "run.jsonl"])
    ['run.jsonl', 'run.jsonl (2)']
    """
    shown = [visible(name) or "run" for name in _by_path(names, sources)]
    tails = _without_folders(shown, NEARLY_ALL)
    if len(set(tails)) < len(tails):
        tails = _without_folders(shown, 1.0)
    cut = [tail if len(tail) <= longest else f"…{tail[-(longest - 1) :]}" for tail in tails]
    again = {name for name, count in Counter(cut).items() if count > 1}
    cut = [_both_ends(tail, longest) if name in again else name for name, tail in zip(cut, tails)]
    seen: Counter[str] = Counter()
    unique = []
    for name in cut:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return unique


def told_apart(names: Sequence[str]) -> list[str]:
    """Return the names without the words at the beginning and the ending of a file that all share, where one is too long for a legend.

    >>> told_apart(["gpt-small-lr0.001-seed1.jsonl", "gpt-small-lr0.01-seed1.jsonl"])
    ['lr0.001-seed1', 'lr0.01-seed1']
    >>> told_apart(["lstm", "rnn"])
    ['lstm', 'rnn']
    """
    if len(names) < 2 or max(map(len, names)) <= IN_LEGEND:
        return list(names)
    ending = ENDING.search(_beginning([name[::-1] for name in names])[::-1])
    bare = [name[: len(name) - len(ending[0])] for name in names] if ending else list(names)
    shared = WORDS.match(_beginning(bare))
    cut = [name[shared.end() :] for name in bare] if shared else bare
    return distinct(cut, longest=IN_LEGEND) if all(cut) else list(names)


def _beginning(names: Sequence[str]) -> str:
    """Return the letters with which all names begin."""
    return "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names)))


def _without_folders(names: Sequence[str], share: float) -> list[str]:
    """Return the names without the leading folders that this share of the paths among them have in common."""
    paths = [name.split("/") for name in names]
    within, folders = [path for path in paths if len(path) > 1], list[str]()
    least = max(share * len(within), 1)
    while within:
        folder, members = Counter(path[len(folders)] for path in within).most_common(1)[0]
        within = [path for path in within if path[len(folders)] == folder and len(path) > len(folders) + 2]
        if members < least:
            break
        folders.append(folder)
    return ["/".join(path[_shared(path[:-1], folders) :]) for path in paths]


def _shared(path: Sequence[str], folders: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(path, folders)))


def _by_path(names: Sequence[str], sources: Sequence[str]) -> Sequence[str]:
    """Return the names with the path of the log for those that name nothing but a file, and for those that several runs have."""
    if not sources:
        return names
    counted = Counter(names)
    return [
        source if source and (counted[name] > 1 or name == source.rpartition("/")[2]) else name
        for name, source in zip(names, sources, strict=True)
    ]


def _both_ends(name: str, longest: int) -> str:
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[len(name) - half :]}"
