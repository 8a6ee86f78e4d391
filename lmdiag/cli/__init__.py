"""The command line: one file per command, imported when it is called; the only place that prints or exits.

Exit codes: 0 no finding at or above `--fail-on`; 1 at least one; 2 usage, configuration, unreadable input or internal error;
3 nothing could be judged. The result is on standard output, everything else on standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lmdiag.cli.streams import ignore_closed_output, open_what_is_closed, say
from lmdiag.errors import DEBUG, LmdiagError, nearest
from lmdiag.judging.exit_codes import TROUBLE
from lmdiag.version import __version__

COMMANDS = {  # name: file of this folder that holds it
    "check": "check",
    "report": "report",
    "compare": "compare",
    "watch": "watch",
    "baseline": "baseline",
    "convert": "convert",
    "rules": "catalogue",
    "explain": "catalogue",
    "schema": "catalogue",
    "app": "app",
    "train": "train",
    "mcp": "mcp",
    "demo": "demo",
    "help": "catalogue",
}


class Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lmdiag.cli.{COMMANDS[cmd_name]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            path_given = Path(name).exists()
            hint = f"did you mean `lmdiag check {name}`?" if path_given else nearest(name, list(COMMANDS))
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, LmdiagError):
            raise
        except Exception:
            if ctx.params["debug"]:
                import traceback

                traceback.print_exc()
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lmdiag")
@click.option("--debug", is_flag=True, envvar=DEBUG, help="Show the traceback of an internal error.")
def commands(debug: bool) -> None:
    """Read the log of a language-model training run and say whether the run is healthy."""
    if debug and DEBUG not in os.environ:
        os.environ[DEBUG] = "1"
        click.get_current_context().call_on_close(partial(os.environ.pop, DEBUG))


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves this function."""
    open_what_is_closed()
    try:
        code = commands.main(args=args, prog_name="lmdiag", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
    except LmdiagError as error:
        say(f"error: {error}")
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
    except BrokenPipeError:
        ignore_closed_output()
    except Exception as error:
        say(f"internal error: {type(error).__name__}: {' '.join(str(error).split())}")
        say("Hint: `lmdiag --debug …` shows the traceback; please report it with that")
    return TROUBLE
