"""Train a bundled model and write its log; `--help` after NAME lists its settings."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from trainers import options
from trainers.settings import check_numbers

# name -> module. A trainer module has `Settings`, a dataclass of `settings.setting` fields, and
# `train(settings, hooks)`; it is imported only when its name is asked for.
TRAINERS = {
    "ngram": "trainers.ngram",
    "rnn": "trainers.rnn",
    "lstm": "trainers.lstm",
    "transformer": "trainers.transformer",
    "keras-rnn": "trainers.keras_rnn",
    "bert-mlm": "trainers.bert_mlm",
    "classifier": "trainers.classifier",
    "dpo": "trainers.dpo",
    "grpo": "trainers.grpo",
    "reward-model": "trainers.reward_model",
}
COMMANDS = {  # what can be done besides training: a module with a click command of that name
    "generate": "trainers.generate",
    "evaluate": "trainers.evaluate",
    "prepare": "trainers.prepare",
}
PACKAGES = {"torch", "keras", "transformers", "accelerate", "tokenizers", "sklearn"}  # some trainers need some of them


class Trainers(click.Group):
    """The trainers and the commands, each imported when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*TRAINERS, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
            return command
        if cmd_name not in TRAINERS:
            return None
        from trainers.faults import FAULTS

        module = import_module(TRAINERS[cmd_name])
        return options.command(cmd_name, module.Settings, module.__doc__, FAULTS, lambda *given: run(module, *given))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.list_commands(ctx):
            close = options.meant(args[0], self.list_commands(ctx)) or f"; there are {', '.join(TRAINERS)}"
            raise click.UsageError(f"there is no trainer {args[0]!r}{close}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in (("Trainers", TRAINERS), ("Before and after training", COMMANDS)):
            with formatter.section(heading):
                formatter.write_dl([(name, first_line(module)) for name, module in names.items()])


def first_line(module: str) -> str:
    """Return the first line of a module's docstring without importing it."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    with open(spec.origin, encoding="utf-8") as source:
        return source.readline().strip().strip('"')


@click.group(cls=Trainers, help=__doc__, invoke_without_command=True, context_settings=options.WIDTH)
@click.option("--faults", is_flag=True, expose_value=False, help="list the ways to break a run, and exit")  # see `main`
@click.pass_context
def commands(ctx: click.Context) -> int:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return 2
    return 0


def main(argv: Sequence[str] | None = None, program: str = "python -m trainers") -> int:
    """Run the command line and return its exit code: 0 trained, 1 crashed, 2 wrong use, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--faults" in argv:  # behind the name of a trainer, too
        return list_faults()
    try:
        code = commands.main(argv, program, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        print(f"usage: {usage(error, program)} [OPTION ...]; --help lists the options", file=sys.stderr)
    except (ValueError, OSError) as error:  # what a command says of the model or the text that it was given
        print(f"error: {error}", file=sys.stderr)
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except ImportError as error:
        package = missing_package(error)
        if not package:
            raise
        print(f"error: {next(iter(argv), '')} needs {package}, which is not installed", file=sys.stderr)
        print(f"Hint: pip install {package}", file=sys.stderr)
    return 2


def usage(error: click.ClickException, program: str) -> str:
    """Return how the command is called that a command line is wrong for, with the arguments that it must have."""
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return program
    wanted = [param for param in error.ctx.command.get_params(error.ctx) if isinstance(param, click.Argument)]
    return " ".join([error.ctx.command_path, *(param.make_metavar(error.ctx) for param in wanted)])


def sentence(error: click.ClickException) -> str:
    """Return what is wrong with a command line; of an option that does not exist, also which one it is most like."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        known = [name for option in error.ctx.command.get_params(error.ctx) for name in option.opts]
        return f"there is no option {error.option_name}{options.meant(error.option_name, known)}"
    return error.format_message()


def missing_package(error: ImportError) -> str:
    """Return which of the packages that trainers may need is not installed, "" if it is not that."""
    if error.name:
        package = error.name.partition(".")[0]
        return package if package in PACKAGES else ""
    return next((name for name in sorted(PACKAGES) if name in str(error) and find_spec(name) is None), "")


def run(module: Any, settings: Any, fault_name: str = "", cured: bool = False) -> int:
    """Train with a fault, with its remedy, or with none, and say in one line where the log is or what went wrong."""
    from trainers.faults import FAULTS, Hooks, StagedCrash

    fault = FAULTS.get(fault_name)
    kind: type[Hooks] = Hooks
    try:
        check_numbers(settings)
        if fault is not None:
            settings, kind = fault.cured(settings) if cured else fault.broken(settings)
        if settings.dry_run:
            show(settings)
        train_and_resume(module, settings, kind)
    except KeyboardInterrupt:
        begun = os.path.exists(settings.log)
        print(
            f"interrupted; the log is {settings.log}" if begun else "interrupted before the log began", file=sys.stderr
        )
        return 130
    except StagedCrash as crash:
        print(crash, file=sys.stderr)
        return 1
    except ValueError as error:  # settings that do not fit together, a file that cannot be read, a log in use
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: cannot write or read {error.filename}: {error.strerror}", file=sys.stderr)
        print("Hint: give a file in a folder you may write to, such as --log runs/a.jsonl", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        print(f"error: there is too little memory ({str(error).splitlines()[0]})", file=sys.stderr)
        print("Hint: try a smaller --d-model, --batch-size or --context", file=sys.stderr)
        return 2
    if not settings.dry_run:
        print(f"log: {settings.log}", file=sys.stderr)
    return 0


def train_and_resume(module: Any, settings: Any, kind: Any) -> None:
    """Train; where the fault stages a crash, go on from the last checkpoint."""
    from trainers.faults import Fault, StagedCrash

    try:
        module.train(settings, kind(settings))
    except StagedCrash as crash:
        if not issubclass(kind, Fault) or kind.resumed is None:
            raise
        print(f"{crash}; resuming", file=sys.stderr)
        settings = kind.after_crash(settings)
        module.train(settings, kind(settings))


def show(settings: Any) -> None:
    """Print the settings that differ from the defaults."""
    defaults = type(settings)()
    for name, value in dataclasses.asdict(settings).items():
        if value != getattr(defaults, name) and name not in ("log", "dry_run"):
            print(f"{name} = {value!r}", file=sys.stderr)


def list_faults() -> int:
    """Print every fault, the rules it must raise, and its remedy."""
    from trainers.faults import FAULTS

    for name, fault in FAULTS.items():
        print(f"{name}\n    {fault.what()}\n    raises: {' or '.join(fault.rules)}\n    remedy: {fault.remedy}")
    return 0


def stop(number: int, frame: Any) -> None:
    """Let a polite kill, as batch systems send it before the real one, end the log as Ctrl-C does."""
    raise KeyboardInterrupt


def run_program(argv: Sequence[str] | None = None, program: str = "python -m trainers") -> int:
    """Run the command line as the whole of this process."""
    signal.signal(signal.SIGTERM, stop)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = main(argv, program)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # threads of gloo outlive their group, and abort a process that takes the interpreter down under them (torch 2.13)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    raise SystemExit(run_program())
