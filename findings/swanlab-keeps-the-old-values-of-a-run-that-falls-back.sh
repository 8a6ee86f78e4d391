#!/usr/bin/env bash
# SwanLab 0.10.3 takes a value whose step is above the last of its metric, and drops any other; only a log at the level of debugging says so.
# A run that diverges, goes back to a checkpoint and logs on keeps the losses of the divergence, and those that it was mended with
# are lost until it has passed the step that it fell back from. So is what is logged a second time at one step.
#
# Seen, offline, for losses of 2.5, 2.25, 9.5 and 11.5 at the steps 0 to 3, then 2.125 and 2.0625 at 2 and 3 again, and 1.875 at 4
#   in the file     2.5, 2.25, 9.5, 11.5, 1.875
#   in the output   nothing of it
#   with the second part at the steps 4, 5 and 6 all seven are in the file
#
# Ends with 1 where SwanLab does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet swanlab==0.10.3
cd "$folder"
cat > log.py <<'PYTHON'
import struct
import sys
from pathlib import Path

import swanlab

first = int(sys.argv[1])
before, behind = [2.5, 2.25, 9.5, 11.5], [2.125, 2.0625, 1.875]
swanlab.init(project="project", mode="offline", logdir="logs")
for step, loss in [*enumerate(before), *enumerate(behind, first)]:
    swanlab.log({"loss": loss}, step=step)
swanlab.finish()
[file] = Path("logs").glob("run-*/*.swanlab")
kept = [loss for loss in before + behind if struct.pack("<d", loss) in file.read_bytes()]
print("kept", kept, f"swanlab {swanlab.__version__}", sep="\n")
PYTHON
venv/bin/python log.py 2 > back.txt 2>&1
rm -r logs
venv/bin/python log.py 4 > on.txt 2>&1
venv/bin/python - <<'PYTHON'
import ast
import sys

found = []
for name, title in (("back.txt", "back to step 2"), ("on.txt", "on at step 4  ")):
    lines = open(name).read().splitlines()
    place = lines.index("kept")
    kept, said = ast.literal_eval(lines[place + 1]), [line for line in lines if "skip" in line or "duplicate" in line or "drop" in line]
    print(lines[-1], title, kept, *said)
    found.append((kept, said))
sound = [2.5, 2.25, 9.5, 11.5]
sys.exit(0 if found == [([*sound, 1.875], []), ([*sound, 2.125, 2.0625, 1.875], [])] else 1)
PYTHON
