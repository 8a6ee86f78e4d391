"""Tell whether a run that is resumed goes on with the model and the text it was begun with.

Most of what differs fits all the same: weights know nothing of the text, and another one with as many tokens, or as many heads in
the same width, would be trained on without a word.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from typing import Any

import numpy as np

# Settings that weights depend on
FIXED = ("tokenizer", "n_layer", "n_head", "d_model", "positions", "context", "optimizer")
READ = 1_000_000  # tokens at either end of a text: a token file may be larger than memory


def begun(settings: Any, vocabulary: Any, *ids: Any) -> dict[str, Any]:
    """Return what a checkpoint keeps of its run: settings, and fingerprints of the vocabulary and of the text.

    `vocabulary` is what JSON can hold, or bytes; `ids` are arrays.
    """
    told = vocabulary if isinstance(vocabulary, bytes) else json.dumps(vocabulary, sort_keys=True).encode()
    text = 0
    for each in map(np.asarray, ids):
        for part in (each[:READ], each[-READ:], np.array(each.shape)):
            text = zlib.crc32(np.ascontiguousarray(part, np.int64).tobytes(), text)
    values = dataclasses.asdict(settings)
    return {
        "settings": {name: values[name] for name in FIXED if name in values},
        "vocabulary": zlib.crc32(told),
        "text": text,
    }


def check_steps(made: int, asked: int) -> None:
    """Raise ValueError where a run has made more steps than are asked for.

    >>> check_steps(8, 4)
    Traceback (most recent call last):
    ValueError: --resume: the run has made 8 steps, more than --steps 4. Ask for more of them, or name another --log for a new run
    """
    if made > asked:
        raise ValueError(
            f"--resume: the run has made {made} steps, more than --steps {asked}. "
            "Ask for more of them, or name another --log for a new run"
        )


def other_text(kept: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Return what to say where the text is another one, "" where it is not or an older checkpoint does not tell.

    Raises ValueError where the model is another one, or where its tokens have another meaning.

    >>> before = {"settings": {"d_model": 16}, "vocabulary": 1, "text": 2}
    >>> other_text(before, {"settings": {"d_model": 24}, "vocabulary": 1, "text": 2})
    Traceback (most recent call last):
    ValueError: --resume: the run was begun with --d-model 16, not 24. Give the settings that it was begun with
    """
    if not kept:
        return ""
    for name, value in now["settings"].items():
        before = kept["settings"].get(name, value)
        if before != value:
            raise ValueError(
                f"--resume: the run was begun with --{name.replace('_', '-')} {before}, not {value}. "
                "Give the settings that it was begun with"
            )
    if kept["vocabulary"] != now["vocabulary"]:
        raise ValueError(
            "--resume: this is another vocabulary, or another model to go on from, than the run was begun with. "
            "Give its --data or --pretrained, or another --log for a new run"
        )
    return (
        ""
        if kept["text"] == now["text"]
        else "the text is not the one that the run was begun with; going on with this one"
    )
