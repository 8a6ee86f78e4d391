"""Train a bundled model and write its log; `--help` after NAME lists its settings."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

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
COMMANDS = {"generate": "trainers.generate", "evaluate": "trainers.evaluate"}  # what to do with a trained model
RECIPES = Path(__file__).parent / "recipes"
PACKAGES = {"torch", "keras", "transformers", "accelerate", "tokenizers", "sklearn"}  # some trainers need some of them
METAVARS = {int: "N", float: "X", str: "TEXT"}


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong before how it is used, in one line each."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\nusage: {self.prog} [OPTION ...]; --help lists the options\n")

    def parse_all(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse, and name the option that is most like one that does not exist."""
        given, unknown = self.parse_known_args(argv)
        if unknown:
            options = [option for option in self._option_string_actions if option.startswith("--")]
            option = unknown[0].partition("=")[0]
            self.error(f"there is no option {unknown[0]}{meant(option, options)}")
        return given


def main(argv: Sequence[str] | None = None, program: str = "python -m trainers") -> int:
    """Run the command line and return its exit code: 0 trained, 1 crashed, 2 wrong use, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    first = Parser(f"{program} NAME", description=__doc__, usage=f"{program} NAME [OPTION ...]", allow_abbrev=False)
    first.add_argument(
        "name",
        metavar="NAME",
        help=f"which model: {', '.join(TRAINERS)}; or {' or '.join(COMMANDS)}, with a trained one",
        nargs="?",
    )
    first.add_argument("--faults", action="store_true", help="list the ways to break a run, and exit")
    if not argv:
        first.print_help()
        return 2
    if "--faults" in argv or (argv[0].startswith("-") and first.parse_all(argv).faults):
        return list_faults()
    name, *rest = argv
    if name not in TRAINERS and name not in COMMANDS:
        known = f"; there are {', '.join(TRAINERS)}"
        first.error(f"there is no trainer {name!r}{meant(name, [*TRAINERS, *COMMANDS]) or known}")
    try:
        if name in COMMANDS:
            return use(import_module(COMMANDS[name]), rest, f"{program} {name}")
        module = import_module(TRAINERS[name])
        settings, fault, cured = read_settings(name, module.Settings, rest, program)
        return run(module, settings, fault, cured)
    except ImportError as error:
        package = missing_package(error)
        if not package:
            raise
        print(f"error: {name} needs {package}, which is not installed", file=sys.stderr)
        print(f"Hint: pip install {package}", file=sys.stderr)
        return 2


def use(command: Any, argv: Sequence[str], program: str) -> int:
    """Do something with a trained model, and say in one line what went wrong."""
    parser = Parser(program, description=command.__doc__, usage=f"{program} MODEL [OPTION ...]")
    command.add_arguments(parser)
    try:
        command.run(parser.parse_all(argv))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def meant(word: str, known: Iterable[str]) -> str:
    """Return what to say of a word that does not exist: the one it is most like, or nothing.

    >>> meant("--stpes", ["--steps", "--lr"]), meant("--x", ["--steps"])
    ('; did you mean --steps?', '')
    """
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


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
        print(f"interrupted; the log is {settings.log}", file=sys.stderr)
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


def read_settings(
    name: str, kind: Any, argv: Sequence[str], program: str = "python -m trainers"
) -> tuple[Any, str, bool]:
    """Return the settings (defaults, then the recipe, then the command line), the fault's name and if it is cured."""
    from trainers.faults import FAULTS

    parser = Parser(
        f"{program} {name}", description=import_module(TRAINERS[name]).__doc__, usage=f"{program} {name} [OPTION ...]"
    )
    parser.add_argument(
        "--fault", default="", choices=FAULTS, metavar="FAULT", help="break the run; --faults lists how"
    )
    parser.add_argument("--cured", action="store_true", help="apply the remedy of the fault as well")
    parser.add_argument(
        "--recipe",
        default="",
        help=f"settings: a TOML file, or {', '.join(sorted(path.stem for path in RECIPES.glob('*.toml')))}; "
        "the command line overrides them",
    )
    defaults = kind()
    for field in dataclasses.fields(kind):
        add_argument(parser, field, getattr(defaults, field.name))
    given = vars(parser.parse_all(argv))
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
        metavar = None if choices else METAVARS[type(default)]
        parser.add_argument(
            *options, type=type(default), choices=choices, metavar=metavar, default=None, help=help_text
        )


def read_recipe(path: str, name: str, kind: Any, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the settings of a recipe; the parser reports a file, a trainer or a setting that does not exist.

    A recipe has a table for each trainer it is meant for; one without tables is for any trainer. A bundled one is known
    by its name as well.
    """
    if not path:
        return {}
    bundled = RECIPES / f"{path}.toml"
    file = Path(path) if os.path.exists(path) or not bundled.exists() else bundled
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = [found.stem for found in RECIPES.glob("*.toml")]
        parser.error(f"--recipe {path}: there is no such file or recipe{meant(path, names)}")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        parser.error(f"{path}: {error}")
    tables = [table for table in values if table in TRAINERS]
    if tables and name not in tables:
        parser.error(f"{path}: there is no recipe for {name}, only for {', '.join(tables)}")
    values = values[name] if tables else values
    declared = {field.name: field for field in dataclasses.fields(kind)}
    defaults = kind()
    for setting, value in values.items():
        if setting not in declared:
            parser.error(f"{path}: there is no setting {setting!r}{meant(setting, declared)}")
        wanted, choices = type(getattr(defaults, setting)), declared[setting].metadata["choices"]
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            parser.error(f"{path}: {setting} = {value!r} should be of type {wanted.__name__}")
        if choices and value not in choices:
            parser.error(f"{path}: {setting} = {value!r} should be one of {', '.join(choices)}")
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
