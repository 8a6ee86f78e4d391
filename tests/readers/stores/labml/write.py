"""labml: a folder for each run, with `log.jsonl`, the configurations, and what became of it."""

from pathlib import Path

from labml import experiment, lab, tracker

from tests.readers.stores.curve import CONFIG, Part, run


def write(folder: Path, part: Part) -> None:
    (folder / ".labml.yaml").write_text("web_api: ''\ncheck_repo_dirty: false\n")
    lab.configure({"experiments_path": str(folder)})
    experiment.create(name="made", writers={"file"}, disable_screen=True)
    experiment.configs(CONFIG)
    with experiment.start():
        for step, split, values in part:
            for name, value in values.items():
                tracker.add(name if split == "train" else f"{name}.valid", value)
            tracker.save(step)


if __name__ == "__main__":
    run(write, "whole")  # a killed run leaves no values, and a resumed one has a folder of its own
