#!/usr/bin/env bash
# Guild AI 0.9.0 takes scalars from what a script prints, such as `loss: 2.5`; a printed `nan` is none. The run has no value
# for that step, as if nothing had been printed, and ends well: its last loss is the last that was a number.
#
# Seen, with a script that prints losses of 2.5, 2.0, nan, nan at the steps 1 to 4:
#   scalars kept   [(1, 2.5), (2, 2.0)]
#   exit status    0
#
# Ends with 1 where Guild does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet guildai==0.9.0 'setuptools<81'
mkdir "$folder/work"
cd "$folder/work"
for line in 'step: 1' 'loss: 2.5' 'step: 2' 'loss: 2.0' 'step: 3' 'loss: nan' 'step: 4' 'loss: nan'; do
    echo "print('$line')"
done > train.py
mkdir "$folder/home"
PATH="$folder/venv/bin:$PATH" guild -H "$folder/home" run train.py --yes > /dev/null
../venv/bin/python - <<'PYTHON'
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

(path,) = Path("../home/runs").glob("*/.guild/events*")
events = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
kept = [(event.step, round(value.simple_value, 3)) for event in events for value in event.summary.value if value.tag == "loss"]
status = (path.parent / "attrs" / "exit_status").read_text().strip()
print("scalars kept  ", kept)
print("exit status   ", status)
sys.exit(0 if kept == [(1, 2.5), (2, 2.0)] and status == "0" else 1)
PYTHON
