#!/usr/bin/env bash
# DuckDB 2.0.1 takes the type of a column of JSON Lines from the first 20,480 records. Where these hold whole numbers, such as a
# learning rate of 0 while a part is frozen or the loss scale of mixed precision, later fractions are rounded to whole numbers,
# without an error or a warning. CSV files are read so, too. With `sample_size=-1` the numbers are those of the file.
#
# Seen, with 30,000 records of a learning rate of 0 and then 10,000 of 0.7, and of a loss scale of 65536 and then 0.25:
#   json                   lr [0, 1]      scale [0, 65536]
#   csv                    lr [0, 1]      scale [0, 65536]
#   json, sample_size=-1   lr [0.0, 0.7]  scale [0.25, 65536.0]
#
# Ends with 1 where DuckDB does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
import sys

import duckdb

rows = [{"step": s, "lr": 0 if s <= 30_000 else 0.7, "scale": 65536 if s <= 30_000 else 0.25} for s in range(1, 40_001)]
open("log.jsonl", "w").write("".join(json.dumps(row) + "\n" for row in rows))
open("log.csv", "w").write("step,lr,scale\n" + "".join(f"{r['step']},{r['lr']},{r['scale']}\n" for r in rows))


def ends(table):
    return duckdb.sql(f"SELECT min(lr), max(lr), min(scale), max(scale) FROM {table}").fetchall()[0]


found = [ends("'log.jsonl'"), ends("'log.csv'"), ends("read_json('log.jsonl', sample_size=-1)")]
print("duckdb", duckdb.__version__)
for name, (a, b, c, d) in zip(("json", "csv", "json, sample_size=-1"), found):
    print(f"{name:20}   lr [{a}, {b}]  scale [{c}, {d}]")
sys.exit(0 if found == [(0, 1, 0, 65536)] * 2 + [(0.0, 0.7, 0.25, 65536.0)] else 1)
PYTHON
