#!/usr/bin/env bash
# Aim 3.29.1: a run that was logged and closed has no settings and no metrics for Aim's own client, and `get_run` returns None,
# until `aim up` (or `aim storage reindex`) has made an index of its repository: the client lists the run all the same.
#
# Seen, for one closed run with 20 values:
#   before the index   listed 1, got None
#   after the index    listed 1, got 20 values, lr 0.1
#
# Ends with 1 where Aim does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aim==3.29.1
cd "$folder"
cat > log.py <<'PYTHON'
from aim import Run

run = Run(repo=".", system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False)
run["hparams"] = {"lr": 0.1}
for step in range(20):
    run.track(3 - step / 10, name="loss", step=step)
run.close()
PYTHON
cat > look.py <<'PYTHON'
from aim import Repo

repo = Repo(".")
keys = repo.list_all_runs()
run = repo.get_run(keys[0])
if run is None:
    print(f"listed {len(keys)}, got None")
else:
    values = [len(metric.values.sparse_list()[1]) for metric in run.metrics()]
    print(f"listed {len(keys)}, got {sum(values)} values, lr {run['hparams']['lr']}")
PYTHON
venv/bin/python log.py > /dev/null 2>&1
before=$(venv/bin/python look.py 2> /dev/null)
venv/bin/aim storage --repo . reindex -y > /dev/null 2>&1
after=$(venv/bin/python look.py 2> /dev/null)
echo "before the index   $before"
echo "after the index    $after"
[ "$before" = "listed 1, got None" ] && [ "$after" = "listed 1, got 20 values, lr 0.1" ]
