"""`lmdiag report`: the diagnosis of logs in a file to keep or to send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmdiag.cli.options import CONFIGURING, FILTERING, LOG_PATH, READING, with_options
from lmdiag.errors import BadSetting

FORMAT_OF = {
    ".html": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".jsonl": "jsonl",
    ".txt": "text",
}


@click.command(help="Write the report on logs to a file. HTML, Markdown, JSON, JSON lines or text, as its suffix says.")
@click.argument("paths", metavar="PATH...", type=LOG_PATH, nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File to write; its suffix is one of {', '.join(FORMAT_OF)}.",
)
@with_options(CONFIGURING, READING, FILTERING)
def report(paths: tuple[str, ...], output: Path, **options: Any) -> int:
    from lmdiag.cli.judging import judge_paths, say_unread
    from lmdiag.cli.output import check_files, write_file
    from lmdiag.cli.streams import say
    from lmdiag.judging.exit_codes import TROUBLE
    from lmdiag.reports import render
    from lmdiag.reports.phrases import WORDS, count

    if output.suffix not in FORMAT_OF:
        raise BadSetting(f"cannot tell the format of {output}", f"end its name with one of {', '.join(FORMAT_OF)}")
    check_files([output], paths)
    found = judge_paths(paths, options, charts=FORMAT_OF[output.suffix] == "html")
    say_unread(found)
    write_file(output, render(found, FORMAT_OF[output.suffix]))
    say(f"{output}: {count(len(found.diagnoses), 'run')}, {WORDS[found.verdict]}")
    return TROUBLE if found.unreadable else 0
