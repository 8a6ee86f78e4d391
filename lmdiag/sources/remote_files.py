"""Files and folders of other machines, through fsspec: `s3://`, `gs://`, `https://`, `memory://` and whatever else it knows.

A file is copied to this machine once, when it is first read, so that every reader finds a file on disk; of a folder, the
files that can matter to a log.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

from lmdiag.errors import UnreadableLog, explained
from lmdiag.sources.addresses import without_secrets

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
PACKAGES |= {"az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "hf": "huggingface_hub"}
MAGIC = re.compile(r"[*?\[]")
MOST_FILES = 10_000
CHATTY = ("gcsfs", "s3fs", "aiobotocore", "botocore", "asyncio")  # log warnings with tracebacks


def fetched(url: str) -> IO[bytes]:
    """Return a copy of a remote file on this machine; it is gone when the object is."""
    copy = tempfile.NamedTemporaryFile(prefix="lmdiag-")  # noqa: SIM115  (its holder closes it)
    with _as_unreadable(url):
        system, path = _opened(url)
        system.get_file(path, copy.name)
    return copy


def matching(url: str) -> list[str]:
    """Return the files that a URL names: itself, or those that fit its pattern; none for a folder and what is not there."""
    with _as_unreadable(url):
        system, path = _opened(url)
        if _is_pattern(url):
            found = system.glob(path, detail=True)
            return [system.unstrip_protocol(name) for name, about in sorted(found.items()) if about["type"] == "file"]
        return [url] if _is_file(system, path) else []


def identity_of(url: str) -> str:
    """Return what stays the same however an address is written; of a file of this machine, its path."""
    with _as_unreadable(url):
        system, path = _opened(url)
        local = "file" in ([system.protocol] if isinstance(system.protocol, str) else system.protocol)
        return os.path.realpath(path) if local else f"{hash(system)} {path.rstrip('/')}"


def without_slash(url: str) -> str:
    """Return the address of a folder without the slashes at its end; those of its protocol stay.

    >>> without_slash("s3://bucket/runs/"), without_slash("memory://"), without_slash("file:///")
    ('s3://bucket/runs', 'memory://', 'file:///')
    """
    protocol, mark, path = url.partition("://")
    return f"{protocol}{mark}{path.rstrip('/') or path[:1]}"


def _is_file(system: Any, path: str) -> bool:
    """Tell whether there is a file at the path; raise what kept the file system from knowing."""
    try:
        return bool(system.info(path)["type"] == "file")
    except FileNotFoundError as error:  # of HTTP, whatever went wrong
        if path.startswith("http") and error.__cause__ is not None and not _is_absence(error.__cause__):
            raise error.__cause__ from None
        return False


def _is_absence(cause: BaseException) -> bool:
    return isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) == 404


def mirrored(url: str, matters: Callable[[str], bool]) -> tuple[Path, dict[str, str]]:
    """Copy the files of a remote folder that matter, by their path in it, to a folder that lasts as long as the program.

    Return the folder, and {path in it: URL}; both empty where there is no such folder. A file that cannot be copied is
    among the URLs only, so that it is said when it is read and hides no other.
    """
    folder = Path(tempfile.mkdtemp(prefix="lmdiag-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _as_unreadable(url):
        system, root = _opened(without_slash(url))
        inside = {name[len(root) :].lstrip("/"): name for name in system.find(root) if name.startswith(root)}
        if not inside:
            _is_file(system, root)  # which raises what is in the way
        inside = {path: name for path, name in inside.items() if matters(path)}
        if len(inside) > MOST_FILES:
            raise UnreadableLog(
                f"{without_secrets(url)} holds more than {MOST_FILES:,} files", "name those to read with a pattern"
            )
        for path, name in inside.items():
            copy = folder / path
            if copy.resolve().is_relative_to(folder.resolve()):
                _copied(system, name, copy)
    return folder, {path: system.unstrip_protocol(name) for path, name in inside.items()}


def _copied(system: Any, name: str, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        system.get_file(name, str(copy))
    except Exception:
        copy.unlink(missing_ok=True)


def _is_pattern(url: str) -> bool:
    return MAGIC.search(url.partition("?")[0] if url.startswith("http") else url) is not None


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it."""
    import logging  # what only logs on this machine need starts without it

    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UnreadableLog(f"reading {without_secrets(url)} needs fsspec", _install("fsspec", url)) from error
    if _scheme(url) == "hf":  # the client would tell the Hub which programs are installed, and who uses it
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for library in map(logging.getLogger, CHATTY):  # what goes wrong is raised, too
        if not library.handlers:
            library.addHandler(logging.NullHandler())
    system, path = url_to_fs(url)
    return system, path


def _install(package: str, url: str) -> str:
    wanted = dict.fromkeys([package, PACKAGES.get(_scheme(url), package)])
    return f"pip install {' '.join(wanted)}"


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _as_unreadable(url: str) -> AbstractContextManager[None]:
    """Turn what a file system raises, each in errors of its own, into an error a user can act on."""
    return explained(partial(_explanation, url))


def _explanation(url: str, error: Exception) -> UnreadableLog:
    shown, said = without_secrets(url), without_secrets(" ".join(str(error).split()))
    if isinstance(error, ImportError):
        package = PACKAGES.get(_scheme(url), "")
        hint = f"pip install {package}" if package else "install the package that the message names"
        return UnreadableLog(f"reading {shown} needs a package that is not installed: {error}", hint)
    if isinstance(error, FileNotFoundError):
        what = f"{shown}: {said}" if "bucket does not exist" in said else f"there is no file {shown}"
        token = "; a private repository wants the variable HF_TOKEN, or `hf auth login`"
        return UnreadableLog(what, f"check the path, and that you may list it{token if _scheme(url) == 'hf' else ''}")
    if isinstance(error, ValueError) and said.startswith("Protocol not known"):
        hint = "files of other machines are at https://, s3:// or gs://, runs of trackers at mlflow://, wandb://, …"
        return UnreadableLog(f"{_scheme(url)}:// is no kind of address that lmdiag or fsspec knows", hint)
    hint = "check the address, the network and your credentials"
    return UnreadableLog(f"cannot read {shown}: {type(error).__name__}: {said}", hint)
