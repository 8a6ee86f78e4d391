"""Train a bundled model: `python -m trainers NAME [--fault FAULT] [--steps N] …`; `--help` after NAME lists its settings."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

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
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 trained, 1 crashed, 2 wrong use, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    own_help = not argv or argv[0] not in TRAINERS
    first = argparse.ArgumentParser("python -m trainers", description=__doc__, add_help=own_help, allow_abbrev=False)
    first.add_argument("name", choices=TRAINERS, help="which model", nargs="?")
    first.add_argument("--faults", action="store_true", help="list the ways to break a run, and exit")
    chosen, rest = first.parse_known_args(argv)
    if chosen.faults:
        return list_faults()
    if chosen.name is None:
        first.print_help()
        return 2
    module = import_module(TRAINERS[chosen.name])
    settings, fault, cured = read_settings(chosen.name, module.Settings, rest)
    return run(module, settings, fault, cured)


def run(module: Any, settings: Any, fault_name: str = "", cured: bool = False) -> int:
    """Train with a fault, with its remedy, or with none, and say in one line where the log is or what went wrong."""
    from trainers.faults import FAULTS, Hooks, StagedCrash

    fault = FAULTS.get(fault_name)
    kind: type[Hooks] = Hooks
    try:
        if fault is not None:
            settings, kind = fault.cured(settings) if cured else fault.broken(settings)
        if settings.dry_run:
            show(settings)
        train_and_resume(module, settings, kind)
    except KeyboardInterrupt:
        print(f"interrupted; the log is {settings.log}", file=sys.stderr)
        return 130
    except StagedCrash as crash:
        print(crash, file=sys.stderr)
        return 1
    except ValueError as error:  # settings that do not fit together, a file that cannot be read, a log in use
        print(f"error: {error}", file=sys.stderr)
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


def read_settings(name: str, kind: Any, argv: Sequence[str]) -> tuple[Any, str, bool]:
    """Return the settings (defaults, then the recipe, then the command line), the fault's name and if it is cured."""
    from trainers.faults import FAULTS

    parser = argparse.ArgumentParser(f"python -m trainers {name}", description=import_module(TRAINERS[name]).__doc__)
    parser.add_argument(
        "--fault", default="", choices=FAULTS, metavar="FAULT", help="break the run; --faults lists how"
    )
    parser.add_argument("--cured", action="store_true", help="apply the remedy of the fault as well")
    parser.add_argument(
        "--recipe",
        default="",
        help="TOML file of settings, such as trainers/recipes/laptop.toml; the command line overrides it",
    )
    defaults = kind()
    for field in dataclasses.fields(kind):
        add_argument(parser, field, getattr(defaults, field.name))
    given = vars(parser.parse_args(argv))
    fault, cured, recipe = given.pop("fault"), given.pop("cured"), given.pop("recipe")
    settings = kind(**read_recipe(recipe, name, kind, parser) | {k: v for k, v in given.items() if v is not None})
    if not settings.log:
        suffix = (f"-{fault}" if fault else "") + ("-cured" if cured else "")
        settings = dataclasses.replace(settings, log=f"runs/{name}{suffix}-{settings.seed}.jsonl")
    return settings, fault, cured


def add_argument(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], default: Any) -> None:
    """Add the option of one setting; None stands for "not given", so that a recipe can be overridden."""
    options = [f"--{field.name.replace('_', '-')}", *field.metadata["also"]]
    shown = "" if default in ("", []) or isinstance(default, bool) else f" (default: {default})"
    help_text = (field.metadata["help"] + shown).replace("%", "%%")
    if isinstance(default, bool):
        parser.add_argument(*options, action=argparse.BooleanOptionalAction, default=None, help=help_text)
    elif isinstance(default, list):
        parser.add_argument(*options, nargs="+", metavar="FILE", default=None, help=help_text)
    else:
        choices = field.metadata["choices"] or None
        metavar = None if choices else type(default).__name__.upper()
        parser.add_argument(
            *options, type=type(default), choices=choices, metavar=metavar, default=None, help=help_text
        )


def read_recipe(path: str, name: str, kind: Any, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the settings of a recipe; the parser reports a file, a trainer or a setting that does not exist.

    A recipe has a table for each trainer it is meant for; one without tables is for any trainer.
    """
    if not path:
        return {}
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        parser.error(f"{path}: {error}")
    tables = [table for table in values if table in TRAINERS]
    if tables and name not in tables:
        parser.error(f"{path}: there is no recipe for {name}, only for {', '.join(tables)}")
    values = values[name] if tables else values
    for setting in set(values) - {field.name for field in dataclasses.fields(kind)}:
        parser.error(f"{path}: there is no setting {setting!r}")
    return values


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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    raise SystemExit(main())
