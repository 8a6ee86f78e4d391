"""ClearML offline: a folder with `metrics.jsonl`, `task.json` and `log.jsonl`, and a zip archive of it at the end."""

import os
import sys
from pathlib import Path

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    os.environ |= {"CLEARML_CACHE_DIR": str(folder), "PATH": ""}  # it finds no git, and so looks through no repository
    from clearml import Task

    Task.set_offline(offline_mode=True)
    task = Task.init("p", "made", auto_connect_frameworks=False, auto_resource_monitoring=False)
    task.connect(dict(CONFIG))
    for step, split, values in part:
        for name, value in values.items():
            task.get_logger().report_scalar(split, name, value, iteration=step)
    task.close()


if __name__ == "__main__":
    run(
        write, cases="whole killed", seconds=12
    )  # it writes every five seconds; offline, a task that goes on is a new one
    for archive in Path(sys.argv[1]).glob("*/offline/*.zip"):
        archive.unlink()  # it holds the same
