"""The same short run as each reader would meet it: six losses, one of them NaN. Printed formats have samples of their own."""

import io
import json
import math
import sqlite3
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tests.readers import event_writer, wandb_writer

STEPS = [10, 20, 30, 40, 50, 60]
LOSSES = [6.5, 5.25, float("nan"), 3.75, 3.5, 3.125]
ROWS = list(zip(STEPS, LOSSES, strict=True))


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def table(header, rows):
    return (header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)).encode()


def parquet():
    import polars as pl

    buffer = io.BytesIO()
    pl.DataFrame({"step": STEPS, "loss": LOSSES}).write_parquet(buffer)
    return buffer.getvalue()


def arrays(**named):
    buffer = io.BytesIO()
    np.savez(buffer, **named)
    return buffer.getvalue()


def database():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.db")
        connection = sqlite3.connect(path)
        connection.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        for step, loss in ROWS:
            said = json.dumps({"loss": "NaN" if np.isnan(loss) else loss}).encode()
            connection.execute(
                "INSERT INTO metrics VALUES (?, '2026-01-02T03:04:05+00:00', 'a', ?, ?)", (step, step, said)
            )
        connection.commit()
        connection.close()
        return path.read_bytes()


def swanlab():
    time = b"\x08" + event_writer.varint(1_700_000_000)

    def value(step, loss):
        said = event_writer.nested(1, b"train/loss") + b"\x10" + event_writer.varint(step) + b"\x18\x01"
        number = event_writer.nested(5, b"\x09" + struct.pack("<d", loss))
        return b"\x08\x01" + event_writer.nested(2, time) + event_writer.nested(13, said + event_writer.nested(4, time) + number)  # fmt: skip

    start = event_writer.nested(10, event_writer.nested(10, b"a"))
    return wandb_writer.wandb_file(start, *(value(*row) for row in ROWS), header=struct.pack("<4sHB", b":SWL", 0xE1D6, 2))  # fmt: skip


def visualdl():
    def record(*values):
        content = b"".join(event_writer.nested(1, value) for value in values)
        return struct.pack("<Q", len(content)) + content

    def value(step, loss):
        said = (
            b"\x08" + event_writer.varint(step) + event_writer.nested(2, b"loss") + b"\x18" + event_writer.varint(1000)
        )
        return said + b"\x25" + struct.pack("<f", loss)

    begin = (
        event_writer.nested(2, b"meta_data_tag") + b"\x18" + event_writer.varint(1000) + event_writer.nested(10, b"")
    )
    return record(begin) + b"".join(record(value(*row)) for row in ROWS)


def zipped(experiment, messages):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("experiment.json", json.dumps(experiment))
        archive.writestr("messages.json", lines(messages))
    return buffer.getvalue()


HEADER = {"type": "run", "schema": "lmdiag-log/1", "run_id": "a"}
RECORDS = [{"step": s, "loss": v, "learning_rate": 0.1} for s, v in ROWS]

SAMPLES = {
    "lmdiag-jsonl": ("a.jsonl", lines([HEADER, *({"type": "step", "step": s, "loss": v} for s, v in ROWS)])),
    "hf-trainer-state": (
        "trainer_state.json",
        json.dumps({"epoch": 1.0, "global_step": 60, "log_history": RECORDS}, indent=2).encode(),
    ),
    "jupyter": (
        "a.ipynb",
        json.dumps(
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "outputs": [
                            {"output_type": "stream", "text": [f"step={s} loss={v}\n" for s, v in ROWS]},
                        ],
                    }
                ],
                "nbformat": 4,
            },
            indent=1,
        ).encode(),
    ),
    "keras-history": ("history.json", json.dumps({"loss": LOSSES, "val_loss": LOSSES}).encode()),
    "clearml": (
        "metrics.jsonl",
        lines(
            [
                {
                    "timestamp": 1000 * s,
                    "type": "training_stats_scalar",
                    "iter": s,
                    "metric": "loss",
                    "variant": "train",
                }
                | {"value": 0.0 if math.isnan(v) else v}
            ]
            for s, v in ROWS
        ),
    ),
    "comet": (
        f"{'a' * 32}.zip",
        zipped(
            experiment={"start_time": 1000},
            messages=[
                {
                    "payload": {
                        "local_timestamp": 1000 * s,
                        "metric": {"metricName": "loss", "metricValue": v, "step": s},
                    }
                }
                | {"type": "metric_msg"}
                for s, v in ((s, "NaN" if math.isnan(v) else v) for s, v in ROWS)
            ],
        ),
    ),
    "sacred": (
        "metrics.json",
        json.dumps(
            {"loss": {"steps": STEPS, "timestamps": ["2026-01-02T03:04:05.5"] * len(STEPS), "values": LOSSES}}, indent=2
        ).encode(),
    ),
    "visualdl": ("vdlrecords.1.log", visualdl()),
    "json-document": ("a.json", json.dumps({"config": {"x": 1}, "history": RECORDS}, indent=1).encode()),
    "jsonl": ("a.jsonl", lines(RECORDS)),
    "tensorboard": (
        "events.out.tfevents.1.host",
        event_writer.event_file(*(event_writer.event(s, event_writer.simple("train/loss", v)) for s, v in ROWS)),
    ),
    "wandb": (
        "run-a.wandb",
        wandb_writer.wandb_file(wandb_writer.run("a"), *(wandb_writer.history(s, loss=v) for s, v in ROWS)),
    ),
    "swanlab": ("run-a.swanlab", swanlab()),
    "sqlite-log": ("p.db", database()),
    "parquet": ("a.parquet", parquet()),
    "numpy": ("a.npz", arrays(step=STEPS, loss=LOSSES)),
    "wandb-export": ("a.csv", table("_step,_runtime,loss", [(s, s / 10, v) for s, v in ROWS])),
    "lightning-csv": ("metrics.csv", table("epoch,loss,step", [(0, v, s - 1) for s, v in ROWS])),
    "keras-csv": ("log.csv", table("epoch,loss,val_loss", [(e, v, v) for e, v in enumerate(LOSSES)])),
    "text": ("out.log", "".join(f"iter {s}: loss {v:.4f}, time 12.00ms, mfu 9.00%\n" for s, v in ROWS).encode()),
    "labml": ("log.jsonl", lines([{"track": {"loss.train": [[s, [v]] for s, v in ROWS]}}])),
    "composer-file": (
        "logs-rank0.txt",
        "".join(f"[metric][batch={s - 1}]: loss/train/total: {v:.4f} \n" for s, v in ROWS).encode(),
    ),
    "sockeye": (
        "metrics",
        "".join(
            f"{k}\tepoch=0\tperplexity-train={math.exp(v)!r}\ttime-elapsed={k}.5\n" for k, (_, v) in enumerate(ROWS, 1)
        ).encode(),
    ),
    "csv-table": ("a.csv", table("step,loss,lr", [(s, v, 0.1) for s, v in ROWS])),
    "generic-pairs": ("out.log", "".join(f"after {s} things at step={s} my loss={v}\n" for s, v in ROWS).encode()),
}
PAGES = {
    "lmdiag-jsonl": "lmdiag-log",
    "hf-trainer-state": "huggingface-trainer-state",
    "jupyter": "jupyter",
    "keras-history": "keras",
    "json-document": "json",
    "jsonl": "jsonl",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "sqlite-log": "mlflow",
    "mlflow": "mlflow",
    "dvclive": "dvclive",
    "guild": "guild",
    "polyaxon": "polyaxon",
    "sacred": "sacred",
    "visualdl": "visualdl",
    "aim": "aim",
    "neptune": "neptune",
    "comet": "comet",
    "clearml": "clearml",
    "swanlab": "swanlab",
    "mmengine": "mmengine",
    "composer-file": "recipes",
    "labml": "labml",
    "parquet": "parquet",
    "numpy": "numpy",
    "wandb-export": "wandb",
    "lightning-csv": "lightning",
    "keras-csv": "keras",
    "text": "text",
    "sockeye": "translation",
    "csv-table": "csv",
    "generic-pairs": "key-value",
}
UNNAMED = {"generic-pairs": len(ROWS)}  # numbers that no known name stands before: after 10 things
FOLDERS = {
    "mlflow",
    "dvclive",
    "mmengine",
    "neptune",
    "aim",
    "polyaxon",
    "guild",
}  # read from a folder only; their own tests have one
