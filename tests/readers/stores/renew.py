"""Write the samples of stores anew, each with the real library in a small environment of its own: `make stores`.

    python -m tests.readers.stores.renew [NAME ...]

A folder of a store holds `requirements.txt`, `write.py`, what that wrote under `log/`, and `kept.py` where the library does
not keep all that it is given. The environments stay in `.venv/stores` and are built again when the requirements change.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

STORES = Path(__file__).parent
ROOT = STORES.parents[2]
ENVIRONMENTS = ROOT / ".venv" / "stores"
# what libraries note about it, and no reader needs; SwanLab hides its folder from git
OF_THE_MACHINE = {"requirements.txt", "swanlab-metadata.json", ".gitignore"}


def renew(store: Path) -> None:
    """Let a library write all cases of its store, and put them in the place of those that are there."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        home = Path(folder, "home")
        home.mkdir()
        surroundings = {"HOME": str(home), "USER": "user", "LOGNAME": "user", "PATH": os.environ["PATH"]}
        command = [environment(store), "-m", f"tests.readers.stores.{store.name}.write", f"{folder}/log"]
        subprocess.run(command, cwd=ROOT, env=surroundings, check=True)
        for path in sorted(Path(folder, "log").rglob("*")):
            if path.name in OF_THE_MACHINE:
                path.unlink()
            elif path.is_file():
                without_traces(path)
        shutil.rmtree(store / "log", ignore_errors=True)
        shutil.copytree(Path(folder, "log"), store / "log", symlinks=True)


def environment(store: Path) -> Path:
    """Return the Python of the environment that has what a store requires."""
    folder, wanted = ENVIRONMENTS / store.name, (store / "requirements.txt").read_text()
    built = folder / "requirements.txt"
    python = folder / "bin" / "python"
    if not built.exists() or built.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", store / "requirements.txt"], check=True)
        built.write_text(wanted)
    return python


def without_traces(path: Path) -> None:
    """Replace the names of this machine and of its lasting folders in a file; stop where they cannot be replaced."""
    content = replaced = path.read_bytes()
    for real, made in {str(ROOT): "/project", str(Path.home()): "/home/user", socket.gethostname(): "host"}.items():
        replaced = re.sub(rb"\b" * real[0].isalnum() + re.escape(real.encode()) + rb"\b", made.encode(), replaced)
    if replaced != content and b"\0" in content:
        sys.exit(f"{path} is no text and tells of this machine: write.py must see to that")
    path.write_bytes(replaced)
    path.rename(
        path.with_name(path.name.replace(f".{socket.gethostname()}", ".host"))
    )  # event files tell it by their names


def main() -> None:
    """Renew the stores that are named, or all of them."""
    names = sys.argv[1:] or sorted(path.parent.name for path in STORES.glob("*/write.py"))
    for name in names:
        print(name, flush=True)
        renew(STORES / name)


if __name__ == "__main__":
    main()
