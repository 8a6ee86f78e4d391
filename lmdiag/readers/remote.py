"""Remote files and folders, through fsspec: `s3://`, `gs://`, `https://`, `memory://` and whatever else it knows.

A file is copied to this machine once, when it is first read, so that every reader finds a file on disk; of a folder, the
files that can matter to a log.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lmdiag.errors import UnreadableLog

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
PACKAGES |= {"az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "hf": "huggingface_hub"}
MAGIC = re.compile(r"[*?\[]")
MOST_FILES = 10_000


def is_url(path: str) -> bool:
    """Tell whether a path names something on another machine.

    >>> is_url("s3://bucket/run.jsonl"), is_url("runs/a.jsonl"), is_url("C:/a.jsonl")
    (True, False, False)
    """
    return URL.match(path) is not None


def fetched(url: str) -> IO[bytes]:
    """Return a copy of a remote file on this machine; it is gone when the object is."""
    copy = tempfile.NamedTemporaryFile(prefix="lmdiag-")  # noqa: SIM115  (its holder closes it)
    with _said_to_the_user(url):
        system, path = _opened(url)
        system.get_file(path, copy.name)
    return copy


def matches(url: str) -> list[str]:
    """Return the files that a URL names: itself, or those that fit its pattern; none for a folder and what is not there."""
    with _said_to_the_user(url):
        system, path = _opened(url)
        if _is_pattern(url):
            found = system.glob(path, detail=True)
            return [system.unstrip_protocol(name) for name, about in sorted(found.items()) if about["type"] == "file"]
        return [url] if system.isfile(path) else []


def mirrored(url: str, matters: Callable[[str], bool]) -> tuple[Path, dict[str, str]]:
    """Copy the files of a remote folder that matter, by their path in it, to a folder that lasts as long as the program.

    Return the folder, and {path in it: URL}; both empty where there is no such folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="lmdiag-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _said_to_the_user(url):
        system, root = _opened(url.rstrip("/"))
        inside = {name[len(root) :].lstrip("/"): name for name in system.find(root) if name.startswith(root)}
        inside = {path: name for path, name in inside.items() if matters(path)}
        if len(inside) > MOST_FILES:
            raise UnreadableLog(f"{url} holds more than {MOST_FILES:,} files", "name those to read with a pattern")
        for path, name in inside.items():
            copy = folder / path
            if copy.resolve().is_relative_to(folder.resolve()):
                copy.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(name, str(copy))
    return folder, {path: system.unstrip_protocol(name) for path, name in inside.items()}


def _is_pattern(url: str) -> bool:
    return MAGIC.search(url.partition("?")[0] if url.startswith("http") else url) is not None


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UnreadableLog(f"reading {url} needs fsspec", _install("fsspec", url)) from error
    system, path = url_to_fs(url)
    return system, path


def _install(package: str, url: str) -> str:
    wanted = dict.fromkeys([package, PACKAGES.get(url.partition("://")[0].lower(), package)])
    return f"pip install {' '.join(wanted)}"


@contextmanager
def _said_to_the_user(url: str) -> Iterator[None]:
    """Turn what a file system raises, each in errors of its own, into an error a user can act on."""
    try:
        yield
    except UnreadableLog:
        raise
    except ImportError as error:
        package = PACKAGES.get(url.partition("://")[0].lower(), "")
        hint = f"pip install {package}" if package else "install the package that the message names"
        raise UnreadableLog(f"reading {url} needs a package that is not installed: {error}", hint) from error
    except FileNotFoundError as error:
        raise UnreadableLog(f"there is no file {url}", "check the path, and that you may list it") from error
    except Exception as error:
        raise UnreadableLog(
            f"cannot read {url}: {type(error).__name__}: {' '.join(str(error).split())}",
            "check the address, the network and your credentials",
        ) from error
