"""Logs of other machines, named by their addresses; they are copied here when they are read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lmdiag.errors import UnreadableLog
from lmdiag.sources.addresses import is_tracked, without_secrets
from lmdiag.sources.log_names import called_like_a_log, matters
from lmdiag.sources.remote_files import matching, mirrored, without_slash
from lmdiag.sources.source import Folder, Source

HERE = "file://"
ENDED = {"neptune": "Neptune's service, which ended on 5 March 2026"}  # https://docs.neptune.ai/transition_hub
OF_THE_HUB = re.compile(
    r"(?i:hf)://(?:(?:datasets|spaces|models|buckets)/|(?!(?:datasets|spaces|models|buckets)/))[^/*?\[]+/[^/*?\[]+"
)


def is_folder(url: str) -> bool:
    """Tell whether an address names a folder, in which the logs are to be found, and not the logs themselves."""
    if is_tracked(url):
        return False
    return url.endswith(("/", "/**")) or (url.startswith(HERE) and os.path.isdir(url.removeprefix(HERE)))


def named(url: str) -> Iterator[Source | Folder]:
    """Yield the files that an address names, and the folder to look into, which is copied to this machine first.

    The runs on the server of a tracker are one source here: who asks the server is above.
    """
    if is_tracked(url):
        yield Source(without_secrets(url), url=url)
        return
    scheme = url.partition("://")[0].lower()
    if scheme in ENDED:
        raise UnreadableLog(
            f"{without_secrets(url)} is an address of {ENDED[scheme]}", "read what the run left on the disk"
        )
    if scheme == "hf" and not OF_THE_HUB.match(url):
        raise UnreadableLog(
            f"{without_secrets(url)} names no repository of the Hugging Face Hub",
            "write hf://USER/REPOSITORY, or hf://datasets/USER/REPOSITORY",
        )
    folder = without_slash(url.removesuffix("**")) if is_folder(url) else url
    if folder == f"{HERE}/":
        raise UnreadableLog(f"{url} is all of this machine", "name a folder of logs")
    found = [] if is_folder(url) else matching(url)
    if found:
        yield from (Source(without_secrets(file), url=file) for file in found)
        return
    copy, urls = mirrored(folder, matters)
    if not urls:
        raise UnreadableLog(
            f"there is no file {without_secrets(url)}",
            "check the address; a folder of logs is named with a / at its end",
        )
    lost = [inside for inside in urls if not (copy / inside).exists() and called_like_a_log(inside)]
    yield from (Source(without_secrets(f"{folder}/{inside}"), url=urls[inside]) for inside in lost)
    if len(lost) < len(urls):
        yield Folder(copy, folder, urls)


@contextmanager
def at_hand(source: Source) -> Iterator[Source]:
    """Give the source with what matters of its remote folder on this machine: the copy made by who found it may lie on another."""
    if not (source.url and source.name.endswith("/") and source.path is not None and not source.path.exists()):
        yield source
        return
    above, _, _ = source.url.rstrip("/").rpartition("/")
    urls = [source.url, *(f"{above}/{path.name}/" for path in source.later)]
    folders = [mirrored(url, matters)[0] for url in urls]
    try:
        yield replace(source, path=folders[0], later=tuple(folders[1:]))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
