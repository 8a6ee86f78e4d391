"""Options that several commands share, and the settings they add up to."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from lmdiag.config import FAIL_ON, Settings, load, override, read
from lmdiag.errors import BadSetting
from lmdiag.patterns import lazy

if TYPE_CHECKING:
    from lmdiag.readers.options import ReadOptions


def complete_rules(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the rules and the families whose names begin as typed so far."""
    from lmdiag.finding import FAMILIES
    from lmdiag.rules import RULES

    return [name for name in (*(rule.name for rule in RULES), *FAMILIES) if name.startswith(incomplete)]


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
WIDTH_WITHOUT_TERMINAL = 100
NEXT_PAIR = lazy(r',(?=[^,="]+=)(?=(?:[^"]*"[^"]*")*[^"]*$)')  # a comma outside quotes, with KEY= behind it
LOG_PATH = click.Path(readable=False)  # shells complete it; what cannot be read is said when it is read

READING: tuple[Decorator, ...] = (
    click.option("--reader", metavar="NAME", help="Read every log with this reader instead of recognising its format."),
    click.option(
        "--map",
        "mapping",
        metavar="METRIC=COLUMN",
        multiple=True,
        help="Take a metric from this column; separate pairs by commas, or repeat the option.",
    ),
    click.option(
        "--pattern",
        metavar="REGEX",
        help="Read text lines with this regular expression: named groups are metrics.",
    ),
)
CONFIGURING: tuple[Decorator, ...] = (
    click.option(
        "--select",
        metavar="NAMES",
        multiple=True,
        shell_complete=complete_rules,
        help="Rules or families to run, separated by commas.",
    ),
    click.option(
        "--extend-select",
        metavar="NAMES",
        multiple=True,
        shell_complete=complete_rules,
        help="Like --select, in addition to what the settings file selects.",
    ),
    click.option(
        "--ignore",
        metavar="NAMES",
        multiple=True,
        shell_complete=complete_rules,
        help="Rules or families to leave out.",
    ),
    click.option(
        "--config", metavar="KEY=VALUE|FILE", multiple=True, help="Override one setting, or read this file instead."
    ),
    click.option("--isolated", is_flag=True, help="Ignore pyproject.toml and lmdiag.toml."),
)
FAILING: tuple[Decorator, ...] = (
    click.option(
        "--fail-on", type=click.Choice(FAIL_ON), help="Lowest severity that gives exit code 1; default: error."
    ),
    click.option("--baseline", metavar="FILE", help="Findings in this file are known and do not count."),
    click.option("--exit-zero", is_flag=True, help="The same as --fail-on never."),
)
MANY: tuple[Decorator, ...] = (
    click.option(
        "--jobs",
        "-j",
        metavar="N",
        type=click.IntRange(min=1),
        help="Number of logs to check in parallel; default: one per processor, up to 8, where that pays.",
    ),
    click.option("--scheduler", metavar="ADDRESS", help="Check the logs on the Dask cluster of this scheduler."),
    click.option(
        "--cache",
        metavar="[=content]",
        type=click.Choice(["times", "content"]),
        help="Keep results, and read only logs that have changed since, by size, times, head and tail or, with "
        "--cache=content, by all of their bytes.",
    ),
)
FILTERING: tuple[Decorator, ...] = (  # as the address itself may say behind a `?`
    click.option("--limit", metavar="N", help="Of the runs on a tracker's server, take the N begun last."),
    click.option("--state", metavar="STATES", help="Take only those that are running, finished, failed or killed."),
    click.option(
        "--tag", metavar="NAME[=VALUE]", multiple=True, help="Take only those with this tag; may be repeated."
    ),
    click.option("--since", metavar="TIME", help="Take only those begun since a date, or in the last 12h, 7d or 4w."),
    click.option("--until", metavar="TIME", help="Take only those begun before."),
)
COLOR = click.option(
    "--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="When to colour the text."
)


def with_options(*groups: Sequence[Decorator] | Decorator) -> Decorator:
    """Return a decorator that adds the options in the order given."""
    flat = [option for group in groups for option in (group if isinstance(group, tuple) else (group,))]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(flat):
            command = option(command)
        return command

    return decorate


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Return the settings of the project's files, overridden by `--config` and then by the options."""
    files = [text for text in options["config"] if "=" not in text]
    if options["isolated"]:
        settings = Settings()
    else:
        settings = _file(files[-1]) if files else load(Path.cwd())
    assignments = [text for text in options["config"] if "=" in text]
    if assignments:
        from lmdiag.judging.policy import check_settings

        check_settings(override(Settings(source="--config"), assignments))  # a mistake in it is not the file's
    settings = override(settings, assignments)
    given: dict[str, Any] = {key: names(options[key]) for key in ("select", "extend_select", "ignore")}
    given["baseline"] = options.get("baseline")
    given["fail_on"] = "never" if options.get("exit_zero") else options.get("fail_on")
    return replace(settings, **{key: value for key, value in given.items() if value})


def _file(name: str) -> Settings:
    settings = read(Path(name))
    if settings is None:
        lacks = f"{name} has no [tool.lmdiag]" if Path(name).exists() else f"there is no file {name}"
        raise BadSetting(f"--config: {lacks}", "give KEY=VALUE, or a file with settings")
    return settings


def names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the names given by an option that may be repeated and may hold commas.

    >>> names(["numerics,spikes", "plateau"])
    ('numerics', 'spikes', 'plateau')
    """
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


def pairs(given: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Return what an option of a form such as KEY=VALUE holds.

    >>> pairs(["loss=train cost"], "--map", "METRIC=COLUMN")
    {'loss': 'train cost'}
    """
    for text in given:
        if "=" not in text:
            raise BadSetting(f"{option} {text!r}: there is no '=' in it", f"write {option} {form}")
    return {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in given)}


def columns(given: Sequence[str]) -> dict[str, str]:
    """Return {metric: column} as `--map` gives it, whose columns may hold commas: where no `=` follows, or in quotes.

    >>> columns(["loss=cost, train,step=it"]), columns(['loss="a,b=c"'])
    ({'loss': 'cost, train', 'step': 'it'}, {'loss': 'a,b=c'})
    """
    written = [pair for text in given for pair in NEXT_PAIR.split(text)]
    found = pairs(written, "--map", "METRIC=COLUMN")
    return {metric: re.sub('^"(.*)"$', r"\1", column) for metric, column in found.items()}


def wants_color(choice: str) -> bool:
    """Tell whether to colour standard output: as asked, else NO_COLOR, FORCE_COLOR, and whether it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def width() -> int:
    """Return the columns of the terminal, or of the environment variable COLUMNS, or 100."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or WIDTH_WITHOUT_TERMINAL  # type: ignore[union-attr]
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # none, closed or redirected; as shutil does, with which come all compressions
        return WIDTH_WITHOUT_TERMINAL


def reading_options(options: Mapping[str, Any]) -> ReadOptions:
    """Return how the user wants logs read; a reader that does not exist is an error before anything is read."""
    from lmdiag.readers import reader_named
    from lmdiag.readers.options import ReadOptions

    if options["reader"]:
        reader_named(options["reader"])
    return ReadOptions(options["reader"] or "", columns(options["mapping"]), options["pattern"] or "")
