"""`lmdiag rules`, `lmdiag explain`, `lmdiag schema` and `lmdiag help`: what lmdiag knows, for people and for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from lmdiag.cli.options import COLOR, complete_rules, wants_color, width, with_options
from lmdiag.strict_json import dumps

if TYPE_CHECKING:
    from lmdiag.finding import Rule

SHAPE = click.option(
    "--format", "-f", "shape", type=click.Choice(["text", "json"]), default="text", help="What to print."
)


@click.command(help="List every rule: family, usual severity, and what it finds.")
@SHAPE
def rules(shape: str) -> None:
    from lmdiag.cli.output import print_result
    from lmdiag.rules import RULES

    print_result(dumps([entry(rule) for rule in RULES], indent=2) if shape == "json" else listing(RULES))


@click.command(
    help="Show the page of a rule, or list a family. The page says what it looks for, how it decides, and what to try."
)
@click.argument("name", metavar="RULE|FAMILY", shell_complete=complete_rules)
@with_options(SHAPE, COLOR)
def explain(name: str, shape: str, color: str) -> None:
    from lmdiag.cli.output import print_result
    from lmdiag.errors import BadSetting, nearest
    from lmdiag.rules import RULES

    found = {rule.name: rule for rule in RULES}
    family = tuple(rule for rule in RULES if rule.family == name)
    if family and name not in found:
        print_result(dumps([entry(rule) for rule in family], indent=2) if shape == "json" else listing(family))
        return
    if name not in found:
        families = dict.fromkeys(rule.family for rule in RULES)
        raise BadSetting(f"there is no rule or family {name!r}", nearest(name, [*found, *families]))
    print_result(
        dumps(entry(found[name]), indent=2) if shape == "json" else page(found[name], wants_color(color), width())
    )


@click.command(
    help="Print the JSON Schema of the standard log, or of the report. The report is what `check -f json` prints."
)
@click.argument("what", type=click.Choice(["log", "report"]), default="log")
def schema(what: str) -> None:
    from lmdiag.cli.output import print_result

    if what == "log":
        from lmdiag.record.schema import json_schema
    else:
        from lmdiag.reports.schema import json_schema
    print_result(dumps(json_schema(), indent=2))


@click.command(help="Show the help of lmdiag, or of one command.")
@click.argument("command", required=False)
@click.pass_context
def help(ctx: click.Context, command: str | None) -> None:
    arguments = [*([command] if command else []), "--help"]
    ctx.find_root().command.main(arguments, prog_name="lmdiag", standalone_mode=False)


def entry(rule: Rule) -> dict[str, Any]:
    """Return everything known about a rule as plain data."""
    return {
        "rule": rule.name,
        "family": rule.family,
        "severity": rule.severity.label,
        "title": rule.title,
        "needs": list(rule.needs),
        "min_points": rule.min_points,
        "settings": rule.settings,
        "page": rule.page,
    }


def listing(rules: tuple[Rule, ...]) -> str:
    """Return one line per rule, under its family."""
    from lmdiag.finding import FAMILIES

    wide = max((len(rule.name) for rule in rules), default=0)
    lines: list[str] = []
    for family in FAMILIES:
        members = [rule for rule in rules if rule.family == family]
        if members:
            lines += ["", family] if lines else [family]
        lines += [f"  {rule.name:{wide}}  {rule.severity.label:7}  {rule.title}" for rule in members]
    return "\n".join([*lines, "", "`lmdiag explain RULE` shows the page of a rule."])


def page(rule: Rule, color: bool, columns: int) -> str:
    """Return the page of a rule with its facts in front, drawn for a terminal."""
    from io import StringIO

    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(
        file=StringIO(), width=min(columns, 100), force_terminal=color, no_color=not color, legacy_windows=False
    )
    console.print(Markdown(f"# {rule.name}\n\n{with_values(rule)}\n\n## Facts\n\n{facts(rule)}"))
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def with_values(rule: Rule) -> str:
    """Return the page of a rule with the value of each setting behind its name, where the page does not give it."""
    values = {f"`{name}`": value for name, value in rule.settings.items()}
    return re.sub(
        r"`\w+`(?! \()", lambda named: f"{named[0]} ({values[named[0]]})" if named[0] in values else named[0], rule.page
    )


def facts(rule: Rule) -> str:
    """Return the facts about a rule as a Markdown list."""
    needs = ", ".join(rule.needs)
    settings = ", ".join(f"`{name} = {value}`" for name, value in rule.settings.items()) or "none"
    return "\n".join(
        (
            f"- Family: {rule.family}",
            f"- Usual severity: {rule.severity.label}",
            f"- Needs: {needs} (at least {rule.min_points} values)",
            f"- Settings, with their defaults: {settings}",
        )
    )
