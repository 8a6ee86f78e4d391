"""Sacred: a folder with a number for each run, of its file storage."""

import shutil
import sys
from pathlib import Path

from sacred import Experiment
from sacred.observers import FileStorageObserver

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    experiment = Experiment("made", save_git_info=False)
    experiment.observers.append(FileStorageObserver(folder))
    experiment.add_config(CONFIG)

    @experiment.main
    def main(_run):
        for step, split, values in part:
            for name, value in values.items():
                _run.log_scalar(f"{split}/{name}", value, step)

    experiment.run()


if __name__ == "__main__":
    run(write, cases="whole killed", seconds=12)  # it writes every ten seconds, and a resumed run is another one
    for sources in Path(sys.argv[1]).glob("*/_sources"):
        shutil.rmtree(sources)
