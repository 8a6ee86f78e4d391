"""docs/cli.md names every command and every option, and no others."""

import re
from pathlib import Path

import pytest

from lmdiag.cli import COMMANDS, commands
from lmdiag.reports import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def options(name):
    command = commands.get_command(None, name)
    return {long for parameter in command.params for long in parameter.opts if long.startswith("--")}


def test_the_page_lists_exactly_the_commands_there_are():
    listed = re.findall(r"^lmdiag (\w+)", PAGE.partition("```")[2].partition("```")[0], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("option", sorted(options("check") | options("watch")))
def test_every_option_of_check_and_watch_is_explained(option):
    assert re.search(rf"^\| .*`{option}[ `]", PAGE, re.MULTILINE)


def test_the_page_names_no_option_that_does_not_exist():
    known = set().union(*map(options, COMMANDS))
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known


def test_every_format_is_named():
    row = next(line for line in PAGE.splitlines() if "`--format FORMAT`" in line)
    assert set(re.findall(r"`(\w+)`", row)) >= set(FORMATS)
