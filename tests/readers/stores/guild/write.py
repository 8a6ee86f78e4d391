"""Guild AI: a script whose printed values Guild takes for scalars."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.readers.stores.curve import CONFIG, Part, run

KEPT = ("opref", "output", "flags", "exit_status")


def write(folder: Path, part: Part) -> None:
    lines = [f"{name} = {value}" for name, value in CONFIG.items()]
    for step, split, values in part:
        lines.append(f'print("step: {step}")')
        lines += [f'print("{split}_{name}: {value}")' for name, value in values.items()]
    (folder / "train.py").write_text("\n".join(lines) + "\n")
    guild = Path(sys.executable).with_name("guild")
    (folder / ".guild").mkdir()
    subprocess.run([guild, "-H", folder / ".guild", "run", "train.py", "--yes"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / ".guild" / "cache", ignore_errors=True)
    for path in list((folder / ".guild").rglob("*")):
        if "tfevents" in path.name:
            path.rename(path.with_name(path.name.replace(socket.gethostname(), "host")))
        elif path.is_file() and path.name not in KEPT:
            path.unlink()


if __name__ == "__main__":
    run(write, cases="whole")
    for script in Path(sys.argv[1]).glob("*/train.py"):
        script.unlink()
