"""Which files are logs by their names, as far as a name tells."""

from __future__ import annotations

import os
import re

SUFFIXES = frozenset(
    """
    .jsonl .ndjson .json .ipynb .csv .tsv .log .logs .txt .out .parquet .wandb .db .sqlite .sqlite3 .err
    """.split()
)
PACKED = (".gz", ".zst")
NOT_LOGS = frozenset(
    """
    config.json tokenizer.json tokenizer_config.json special_tokens_map.json generation_config.json vocab.json
    adapter_config.json model.safetensors.index.json pytorch_model.bin.index.json package.json requirements.txt
    all_results.json train_results.json eval_results.json wandb-summary.json wandb-metadata.json debug-internal.log
    debug-core.log expected.toml
    """.split()
)

WITHOUT_ENDING = ("log", "metrics")  # of Sockeye and Chainer
OF_COMET = re.compile(r"[0-9a-f]{32}(?:-\w+)?\.zip")
OF_A_PROCESS = re.compile(r"(?:worker)?log\.\d+")  # its rank stands where others have an ending


def called_like_a_log(name: str) -> bool:
    """Tell whether a file name, without its folder, is one that logs have.

    >>> called_like_a_log("train.jsonl.gz"), called_like_a_log("config.json")
    (True, False)
    """
    lowered = name.lower()
    for suffix in PACKED:
        lowered = lowered.removesuffix(suffix)
    named = (
        lowered in WITHOUT_ENDING
        or "tfevents" in lowered
        or os.path.splitext(lowered)[1] in SUFFIXES
        or OF_A_PROCESS.fullmatch(lowered)
        or OF_COMET.fullmatch(lowered)
    )
    return lowered not in NOT_LOGS and bool(named)


def matters(path: str) -> bool:
    """Tell whether a file of a folder may be a log or part of one: of MLflow's store, most have no ending."""
    *above, name = path.split("/")
    return (
        called_like_a_log(name)
        or name.endswith((".yaml", ".yml"))
        or not {"metrics", "params", "tags"}.isdisjoint(above)
    )
