#!/usr/bin/env bash
# polars 2.1.0 takes the columns of JSON Lines from the first 100 records, DuckDB 2.0.1 from the first 20,480. A key that comes
# later, such as the loss of an evaluation every thousand steps, is no column: its values are left out without a word, and the
# rows that held them are rows of nulls. `infer_schema_length=None` and `sample_size=-1` see them.
#
# Seen, for a file in which the 30 evaluations begin behind the record that is named:
#   polars, evaluations from record 1,001 on        ['step', 'loss']
#   polars, infer_schema_length=None                ['step', 'loss', 'eval_loss']
#   DuckDB, evaluations from record 1,001 on        ['step', 'loss', 'eval_loss']
#   DuckDB, evaluations from record 25,001 on       ['step', 'loss']
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0 duckdb==2.0.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
import sys

import duckdb
import polars


def write(every, name):
    """Write the losses of 30 times so many steps, with an evaluation behind each of these times."""
    with open(name, "w") as file:
        for step in range(1, 30 * every + 1):
            file.write(json.dumps({"step": step, "loss": 2.5}) + "\n")
            if step % every == 0:
                file.write(json.dumps({"step": step, "eval_loss": 2.0}) + "\n")


write(1_000, "often.jsonl")
write(25_000, "rarely.jsonl")
found = {
    "polars, evaluations from record 1,001 on": polars.read_ndjson("often.jsonl").columns,
    "polars, infer_schema_length=None": polars.read_ndjson("often.jsonl", infer_schema_length=None).columns,
    "DuckDB, evaluations from record 1,001 on": duckdb.read_json("often.jsonl").columns,
    "DuckDB, evaluations from record 25,001 on": duckdb.read_json("rarely.jsonl").columns,
}
print("polars", polars.__version__, "duckdb", duckdb.__version__)
for name, columns in found.items():
    print(f"{name:45}  {columns}")
two, three = ["step", "loss"], ["step", "loss", "eval_loss"]
sys.exit(0 if list(found.values()) == [two, three, three, two] else 1)
PYTHON
