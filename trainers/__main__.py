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
    settings, fault = read_settings(chosen.name, module.Settings, rest)
    return run(module, settings, fault)


def run(module: Any, settings: Any, fault_name: str = "") -> int:
    """Train with a fault, or none, and say in one line where the log is or what went wrong."""
    from trainers.faults import FAULTS, Hooks, StagedCrash

    fault = FAULTS.get(fault_name)
    try:
        try:
            broken = fault.apply(settings) if fault else settings
            module.train(broken, (fault.hooks if fault else Hooks)(broken))
        except StagedCrash as crash:
            if fault is None or fault.resumed is None:
                raise
            print(f"{crash}; resuming", file=sys.stderr)
            broken = fault.apply_to_resumed(broken)
            module.train(broken, fault.resumed_hooks(broken))
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


def read_settings(name: str, kind: Any, argv: Sequence[str]) -> tuple[Any, str]:
    """Return the settings (defaults, then the recipe, then the command line) and the name of the fault."""
    from trainers.faults import FAULTS

    parser = argparse.ArgumentParser(f"python -m trainers {name}", description=import_module(TRAINERS[name]).__doc__)
    parser.add_argument(
        "--fault", default="", choices=FAULTS, metavar="FAULT", help="break the run; --faults lists how"
    )
    parser.add_argument("--recipe", default="", help="TOML file of settings; the command line overrides it")
    defaults = kind()
    for field in dataclasses.fields(kind):
        add_argument(parser, field, getattr(defaults, field.name))
    given = vars(parser.parse_args(argv))
    fault, recipe = given.pop("fault"), given.pop("recipe")
    settings = kind(**read_recipe(recipe, kind, parser) | {k: v for k, v in given.items() if v is not None})
    if not settings.log:
        suffix = f"-{fault}" if fault else ""
        settings = dataclasses.replace(settings, log=f"runs/{name}{suffix}-{settings.seed}.jsonl")
    return settings, fault


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


def read_recipe(path: str, kind: Any, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the settings of a recipe; the parser reports a file or a name that does not exist."""
    if not path:
        return {}
    known = {field.name for field in dataclasses.fields(kind)}
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        parser.error(f"{path}: {error}")
    for name in set(values) - known:
        parser.error(f"{path}: there is no setting {name!r}")
    return values


def list_faults() -> int:
    """Print every fault, the rules it must raise, and its remedy."""
    from trainers.faults import FAULTS

    for fault in FAULTS.values():
        print(f"{fault.name}\n    {fault.what}\n    raises: {', '.join(fault.rules)}\n    remedy: {fault.remedy}")
    return 0


def stop(number: int, frame: Any) -> None:
    """Let a polite kill, as batch systems send it before the real one, end the log as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    raise SystemExit(main())
