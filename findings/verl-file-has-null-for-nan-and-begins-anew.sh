#!/usr/bin/env bash
# verl 0.9.1: the `file` logger writes JSON Lines with orjson, which has null for NaN and infinities, and opens its file for
# writing: a run that is resumed under the same name empties what was logged before.
#
# Seen, for a loss of NaN at step 2, and a process that goes on at step 3:
#   after the first process    [{"step":1,"data":{"loss":2.5}}, {"step":2,"data":{"loss":null}}]
#   after the second process   [{"step":3,"data":{"loss":2.0}}]
#
# Ends with 1 where verl does otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps verl==0.9.1 orjson==3.13.0 packaging==26.3  # its module of loggers needs no more
cd "$folder"
cat > train.py <<'PYTHON'
import importlib.util
import json
import sys
from pathlib import Path

package = importlib.util.find_spec("verl").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("tracking", Path(package, "utils", "tracking.py"))
tracking = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tracking)

logger = tracking.FileLogger("project", "run")
for step, loss in json.loads(sys.argv[1]):
    logger.log({"loss": loss}, step=step)
logger.finish()
PYTHON
venv/bin/python train.py '[[1, 2.5], [2, NaN]]' > /dev/null
first=$(cat project/run.jsonl)
venv/bin/python train.py '[[3, 2.0]]' > /dev/null
second=$(cat project/run.jsonl)
echo "after the first process    [${first//$'\n'/, }]"
echo "after the second process   [${second//$'\n'/, }]"
[ "$first" = '{"step":1,"data":{"loss":2.5}}'$'\n''{"step":2,"data":{"loss":null}}' ] && [ "$second" = '{"step":3,"data":{"loss":2.0}}' ]
