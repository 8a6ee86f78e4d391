"""`lmdiag convert`: a log in any format that can be read -> the standard log, or a parquet table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmdiag.cli.options import LOG_PATH, READING, reading_options, with_options
from lmdiag.config import load
from lmdiag.errors import BadSetting, LmdiagError

if TYPE_CHECKING:
    from lmdiag.run import Run


STDOUT = Path("-")


@click.command(
    help="Convert logs to the standard log or a table. FILE.jsonl is the standard log, FILE.parquet has one row per step, - prints the log."
)
@click.argument("paths", metavar="PATH...", type=LOG_PATH, nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.",
)
@with_options(READING)
def convert(paths: tuple[str, ...], output: Path, **options: Any) -> int:
    from lmdiag.cli.output import check_files
    from lmdiag.cli.progress import Progress
    from lmdiag.cli.streams import say
    from lmdiag.judging.exit_codes import TROUBLE
    from lmdiag.judging.judged import unreadable
    from lmdiag.judging.reading import read_runs
    from lmdiag.reports.phrases import count

    if output != STDOUT:
        if output.suffix not in (".jsonl", ".parquet"):
            raise BadSetting(f"cannot tell the format of {output}", "end its name with .jsonl or .parquet")
        check_files([output], paths)
    with Progress("logs read") as progress:
        runs, problems = read_runs(paths, reading_options(options), progress.tell, load(Path.cwd()))
    for problem in problems:
        failed = unreadable(*problem)
        say(f"not read: {failed.source}: {failed.error}")
    if not runs:
        raise LmdiagError("there is nothing to convert", "give a file that `lmdiag check` can read")
    _write(runs, output)
    values = sum(len(s) for run in runs for s in run.series.values())
    skipped = [s for run in runs for s in run.skipped]
    lost = {
        unit: sum(s.count for s in skipped if (s.unit == "value") == (unit == "value")) for unit in ("record", "value")
    }
    left_out = " and ".join(count(number, unit) for unit, number in lost.items() if number) or "nothing"
    written = "standard output" if output == STDOUT else output
    say(f"{written}: {count(len(runs), 'run')}, {count(values, 'value')}, {left_out} skipped")
    return TROUBLE if problems else 0


def _write(runs: list[Run], output: Path) -> None:
    from lmdiag.cli.output import print_result, write_bytes, write_file
    from lmdiag.convert import lines, parquet

    if output.suffix == ".parquet":
        write_bytes(output, parquet(runs))
        return
    log = "\n".join(line for run in runs for line in lines(run))
    print_result(log) if output == STDOUT else write_file(output, log)
