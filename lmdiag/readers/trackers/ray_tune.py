"""Ray Tune: what it adds to the values that a trial reports, in `result.json`, `progress.csv` and event files."""

from __future__ import annotations

from msgspec.structs import replace

from lmdiag.naming import is_step_name
from lmdiag.readers.rawlog import RawLog

FORMATS = {"jsonl": "ray-tune", "csv": "ray-tune-csv"}
PREFIX = "ray/tune/"  # of the tags of event files
_REPORTS = "training_iteration"
_MARKS = {"time_this_iter_s", "time_since_restore", "iterations_since_restore"}
_OF_RAY = (
    *("done", "pid", "hostname", "node_ip", "date", "trial_id", "checkpoint_dir_name", "time_this_iter_s"),
    *("time_since_restore", "iterations_since_restore", _REPORTS, "should_checkpoint", "timesteps_total"),
)
_CONFIG = "config/"


def tells(log: RawLog) -> bool:
    """Tell whether Ray Tune added its counters and times to the columns."""
    return log.columns.keys() >= _MARKS


def understood(log: RawLog) -> RawLog:
    """Return the log of a trial without what is of Ray: its configuration as settings, and its reports counted where it counts nothing."""
    own = next((name for name in log.columns if is_step_name(name) and name != log.step_column), "")
    own = own or log.step_column or _REPORTS
    settings = {name: column.values[0].item() for name, column in log.columns.items()} | {
        name: words[0] for name, (_, words) in log.texts.items()
    }
    settings = {name.removeprefix(_CONFIG): value for name, value in settings.items() if name.startswith(_CONFIG)}
    of_ray = [
        name for name in (*_OF_RAY, log.step_column) if name != own and (name in log.columns or name in log.texts)
    ]
    dropped = {
        **dict.fromkeys(of_ray, "Ray Tune adds it"),
        **{f"{_CONFIG}{name}": "it is a setting" for name in settings},
    }
    names = {name: None for name in dropped if name in log.columns}
    return replace(
        log,
        format=FORMATS.get(log.format, log.format),
        names={**log.names, **names, "time_total_s": "elapsed_s"},
        settings={**log.settings, **settings},
        step_column=own,
        unused={**log.unused, **dropped},
    )
