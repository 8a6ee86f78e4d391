"""Read and judge many damaged logs: `python -m tests.fuzz --logs 10000`; exit code 1 if one of them breaks a promise."""

import argparse
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.trial import command_faults, faults

SHOWN = 3  # faults of one kind


def main() -> int:
    """Run the trials, print what is wrong with the seeds that show it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--logs", type=int, default=10_000)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--command-every", type=int, default=20, help="give one in so many to the command line, too")
    said = arguments.parse_args()
    kinds: Counter[str] = Counter()
    started, slowest = time.monotonic(), (0.0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(said.first, said.first + said.logs):
            name, content = mutated(seed)
            before = time.process_time()
            wrong = list(faults(name, content))
            if seed % said.command_every == 0:
                path = Path(folder, name)
                path.write_bytes(content)
                wrong += command_faults(["check", str(path), "--isolated"])
            slowest = max(slowest, (time.process_time() - before, seed))
            for fault in wrong:
                kind = re.sub(r"/\S+|\d+", "", fault)[:60]
                kinds[kind] += 1
                if kinds[kind] <= SHOWN:
                    print(f"seed {seed} ({name}, {len(content)} bytes): {fault[:300]}", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{said.logs} logs in {time.monotonic() - started:.0f} s; slowest {slowest[0]:.1f} s of CPU (seed {slowest[1]}); "
        f"memory {memory:.0f} MiB; {sum(kinds.values())} broken promises"
    )
    return int(bool(kinds))


if __name__ == "__main__":
    sys.exit(main())
