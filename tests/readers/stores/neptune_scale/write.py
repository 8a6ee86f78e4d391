"""Neptune Scale offline: a folder with a SQLite database for each process."""

import sys
from pathlib import Path

from neptune_scale import Run

from tests.readers.stores.curve import CONFIG, Part, fold, run


def write(folder: Path, part: Part) -> None:
    made = Run(project="w/p", experiment_name="made", run_id="made-1", mode="offline", log_directory=str(folder))
    made.log_configs(CONFIG)
    for step, split, values in part:
        made.log_metrics({f"{split}/{name}": value for name, value in values.items()}, step=step)
    made.close()


if __name__ == "__main__":
    run(write)
    for database in Path(sys.argv[1]).glob("*/*/*.sqlite3"):
        fold(database)
