"""Aim: a repository with RocksDB databases for each run."""

import shutil
import sys
from pathlib import Path

from aim import Run

from tests.readers.stores.curve import CONFIG, Part, fold, run


def write(folder: Path, part: Part) -> None:
    known = next((path.name for path in (folder / ".aim" / "seqs" / "chunks").glob("*")), None)
    made = Run(
        known, repo=str(folder), system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False
    )
    made.name = "made"
    made["hparams"] = CONFIG
    for step, split, values in part:
        made.track(values, step=step, context={"subset": split})
    made.close()


if __name__ == "__main__":
    run(write)
    for repository in Path(sys.argv[1]).glob("*/.aim"):
        fold(repository / "run_metadata.sqlite")
        shutil.rmtree(repository / "meta" / "index")  # it repeats what the runs hold
        for note in [*repository.rglob("LOG*"), *repository.rglob("OPTIONS-*")]:
            note.unlink()
