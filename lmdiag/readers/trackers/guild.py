"""Guild AI: the folder of a run, whose hidden `.guild/` has event files of its output, its flags, and how it ended."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from lmdiag.patterns import lazy
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard import reader as tensorboard
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Event
from lmdiag.sources.local import files_in

FORMAT = "guild"
OWNS_SUBFOLDERS = True
_NO_NUMBER = lazy(r"^[^:\n]+:\s+[-+]?(?:nan|inf(?:inity)?)\s*$", re.IGNORECASE | re.MULTILINE)
_ENDS = {"0": "completed", "-15": "killed", "-9": "killed"}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder is the run of an operation with scalars."""
    return name.endswith("/") and b"\n.guild/opref\n" in head and b"\n.guild/events.out.tfevents." in head


def read(source: Source) -> list[RawLog]:
    """Read the scalars of a run; event files that its script wrote itself stand beside those of its output."""
    assert source.path is not None
    attributes = source.path / ".guild" / "attrs"
    flags = plain_yaml(_text(attributes / "flags"))
    status = _text(attributes / "exit_status").strip()
    ended = _ENDS.get(status, "crashed") if status else ""
    lost = len(_NO_NUMBER.findall(_text(source.path / ".guild" / "output")))
    said = f"NaN or infinite in .guild/output, and not kept by Guild: {lost:,} of the values printed. Check that file, too."
    told = (said,) if lost else ()  # findings/guild-takes-no-nan-from-the-output.sh
    logs = []
    for folder in sorted({path.parent for path in files_in(source.path, "**/*tfevents*")}):
        for log in tensorboard.read(Source(f"{folder.as_posix()}/", folder)):
            end = (Event("end", message=f"exit status {status}", fields={"status": ended}),) if ended else ()
            settings = {**flags, **log.settings}
            facts = {"settings": settings, "events": (*log.events, *end), "notes": (*log.notes, *told)}
            logs.append(replace(log, format=FORMAT, name=source.path.name, **facts))
    return logs


def _text(path: Path) -> str:
    return Source(path.as_posix(), path).text if path.is_file() else ""
