"""Guild AI: a script whose printed values Guild takes for scalars."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.readers.stores.curve import CONFIG, Part, run

KEPT = ("opref", "output", "flags", "exit_status")


def write(folder: Path, part: Part) -> None:
    lines = [f"{name} = {value}" for name, value in CONFIG.items()]
    for step, split, values in replace(part, killed=False):  # it is the script that is killed
        lines.append(f'print("step: {step}")')
        lines += [f'print("{split}_{name}: {value}")' for name, value in values.items()]
    if part.killed:
        lines += ["import os, time", f"time.sleep({part.seconds})", f"os.kill(os.getpid(), {int(signal.SIGKILL)})"]
    home = folder / ".guild"
    home.mkdir(exist_ok=True)
    known = list((home / "runs").glob("*"))
    script = Path(*known[:1], "train.py")  # a run that goes on has a copy of its own
    script.write_text("\n".join(lines) + "\n")
    what = ["--restart", known[0].name] if part.resumes else ["train.py"]
    guild = Path(sys.executable).with_name("guild")
    subprocess.run([guild, "-H", home, "run", *what, "--yes"], check=not part.killed, stdout=subprocess.DEVNULL)
    if part.killed:
        os.kill(os.getpid(), signal.SIGKILL)


def without_the_rest(home: Path) -> None:
    """Leave what tells of the run, without what Guild notes about the machine."""
    shutil.rmtree(home / "cache", ignore_errors=True)
    for path in list(home.rglob("*")):
        if "tfevents" in path.name:
            path.rename(path.with_name(path.name.replace(socket.gethostname(), "host")))
        elif path.is_file() and path.name not in KEPT:
            path.unlink()


if __name__ == "__main__":
    run(write)
    for folder in Path(sys.argv[1]).iterdir():
        for script in folder.rglob("train.py"):
            script.unlink()
        without_the_rest(folder / ".guild")
