"""spaCy: the rows that `spacy train` prints, and writes to the `output_file` of its console logger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.sources.local import files_in
from lmdiag.stats.windows import median

_LOSS = re.compile(r"losses/(?P<pipe>.+)|LOSS (?P<PIPE>.+)")
_SCORES = re.compile(r"scores/(?P<score>.+)|(?P<whole>score|SCORE)|(?P<SCORE>[A-Z0-9_]+_[A-Z0-9_]+|SPEED)")
_EMBEDDINGS = ("tok2vec", "transformer")  # their loss is what the others hand down, and none of its own
_CONFIGS = (  # that of a model has what the command line overrode
    *(
        "model-last/config.cfg",
        "model-best/config.cfg",
        "*/model-last/config.cfg",
        "*/model-best/config.cfg",
        "config.cfg",
    ),
)


def tells(log: RawLog) -> bool:
    """Tell whether rows have a loss for each component, and the score of an evaluation."""
    columns = log.columns.keys()
    printed = {"step", "SCORE"} <= columns and any(name.startswith("LOSS ") for name in columns)
    return printed or ({"step", "score"} <= columns and any(name.startswith("losses/") for name in columns))


def understood(log: RawLog) -> RawLog:
    """Return the log with comparable losses: each row has the sum since the row before it, the first row that of one step.

    Such a row is brought to as many steps as the others have. The loss of the only component that learns a task is the loss; embeddings repeat the losses of those.
    """
    losses = {name: match["pipe"] or match["PIPE"].lower() for name in log.columns if (match := _LOSS.fullmatch(name))}
    scores = {name: match for name in log.columns if (match := _SCORES.fullmatch(name))}
    steps = np.full(log.n_rows, np.nan)
    steps[log.columns["step"].rows] = log.columns["step"].values
    updates = np.r_[1.0, np.diff(steps)]
    often = float(median(updates[updates > 0])) if (updates > 0).any() else 1.0
    columns = dict(log.columns)
    for name in losses:
        column = log.columns[name]
        count = updates[column.rows]
        columns[name] = Column(column.rows, column.values * (often / np.where(count > 0, count, often)))
    tasks = [name for name, pipe in losses.items() if not _embeds(pipe)]
    names: dict[str, str | None] = {name: f"loss of {pipe}" for name, pipe in losses.items()}
    names |= {tasks[0]: "loss"} if len(tasks) == 1 else {}
    names |= {name: f"val/{(m['score'] or m['whole'] or m['SCORE']).lower()}" for name, m in scores.items()}
    return replace(
        log,
        columns=columns,
        objective="classification",
        settings={**log.settings, **_settings(Path(log.source))},
        names={**log.names, **names},
        notes=(*log.notes, _note(often)),
    )


def _embeds(pipe: str) -> bool:
    """Tell whether a component learns no task of its own; the heads of printed rows cut its name short.

    >>> _embeds("tok2vec"), _embeds("trans..."), _embeds("textc...")
    (True, True, False)
    """
    short = pipe.removesuffix("...")
    return pipe in _EMBEDDINGS or (short != pipe and any(name.startswith(short) for name in _EMBEDDINGS))


def _note(often: float) -> str:
    return (
        f"spaCy sums its losses from one evaluation to the next, mostly over {often:g} steps; "
        "those of fewer or more, such as the first, were brought to as many."
    )


def _settings(log: Path) -> dict[str, Any]:
    """Return the config that `spacy train` wrote beside its models, or was given, by section."""
    import configparser  # only its logs need it

    found = (files_in(log.parent, name) for name in _CONFIGS)
    path = next((paths[0] for paths in found if len(paths) == 1), None)  # of several models, any may be meant
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8", "replace") if path else "")
    except (configparser.Error, OSError):
        return {}
    return {section: dict(_values(parser[section])) for section in parser.sections()}


def _values(section: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        try:
            yield name, json.loads(value)
        except ValueError:
            yield name, value
