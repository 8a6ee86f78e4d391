"""The command line of a trainer, made from the fields of its settings; a recipe is a TOML file that sets some of them."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import click

RECIPES = Path(__file__).parent / "recipes"
GROUPS = {  # heading of the help: {setting: its unit}
    "Text": {
        "data": "FILE",
        "tokenizer": "",
        "vocab_size": "TOKENS",
        "max_characters": "CHARACTERS",
        "train_tokens": "TOKENS",
        "pretrained": "FOLDER",
    },
    "Length and batches": {
        "steps": "STEPS",
        "batch_size": "N",
        "context": "TOKENS",
        "accumulation": "BATCHES",
        "fold_steps": "STEPS",
        "folds": "FOLDS",
    },
    "Updates": {
        "optimizer": "",
        "lr": "RATE",
        "lrs": "RATE,RATE,...",
        "schedule": "",
        "warmup_steps": "STEPS",
        "min_lr_ratio": "SHARE",
        "grad_clip": "NORM",
        "weight_decay": "X",
        "momentum": "SHARE",
        "rho": "SHARE",
        "skip_nonfinite": "",
    },
    "Model": {
        "order": "TOKENS",
        "n_layer": "LAYERS",
        "n_head": "HEADS",
        "d_model": "WIDTH",
        "positions": "",
        "dropout": "SHARE",
        "init_std": "X",
        "masked": "SHARE",
        "balance": "",
    },
    "Rewards and preferences": {
        "rewards": "NAME,...",
        "target_length": "CHARACTERS",
        "prompt_tokens": "TOKENS",
        "completion_tokens": "TOKENS",
        "beta": "X",
        "pairs": "PAIRS",
        "noise": "SHARE",
        "prompts": "PROMPTS",
        "group_size": "ANSWERS",
        "iterations": "UPDATES",
        "epsilon": "X",
    },
    "Log, evaluations and sample": {
        "log": "FILE",
        "clocks": "",
        "log_every": "STEPS",
        "layers_every": "STEPS",
        "eval_every": "STEPS",
        "eval_tokens": "TOKENS",
        "eval_passages": "PASSAGES",
        "eval_prompts": "PROMPTS",
        "sample": "TOKENS",
        "temperature": "X",
        "top_k": "TOKENS",
        "all_ranks": "",
    },
    "What is kept": {
        "save": "",
        "checkpoints": "FOLDER",
        "checkpoint_every": "STEPS",
        "save_every": "STEPS",
        "keep": "CHECKPOINTS",
        "resume": "",
    },
    "Machine": {"device": "NAME", "precision": "", "compile": "", "fsdp": "", "recompute": "", "seed": "N"},
    "To try out": {"recipe": "NAME", "dry_run": "", "fault": "FAULT", "cured": "", "help": ""},
}
UNITS = {name: unit for group in GROUPS.values() for name, unit in group.items()}
WIDTH = {"max_content_width": 120}


class Command(click.Command):
    """A command that takes lists written `--data A B`, and options by an unmistakable beginning of their names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        names = {name: option for option in options for name in (*option.opts, *option.secondary_opts)}
        words = written_out(args, names)
        try:
            return super().parse_args(ctx, list(words))
        except click.MissingParameter as error:
            lists = [at for at, word in enumerate(words) if word in names and names[word].multiple]
            if not isinstance(error.param, click.Argument) or len(lists) < 2:
                raise
            del words[lists[-1]]  # `--data a.txt MODEL`: the last of a list is the argument that is missing
            return super().parse_args(ctx, words)


class TrainerCommand(Command):
    """A command whose options stand under the headings of `GROUPS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = {option.name: option.get_help_record(ctx) for option in self.get_params(ctx)}
        for heading, names in GROUPS.items():
            group = [row for name in names if (row := rows.get(name))]
            if group:
                with formatter.section(heading):
                    formatter.write_dl(group)


def written_out(words: Sequence[str], names: dict[str, click.Option]) -> list[str]:
    """Return the words of a command line with beginnings of options completed, and a list as one option for each of its values.

    >>> data, log = click.Option(["--data"], multiple=True), click.Option(["--log"])
    >>> written_out(["--dat", "a", "b", "--log", "c"], {"--data": data, "--log": log})
    ['--data', 'a', '--data', 'b', '--log', 'c']
    """
    whole: list[str] = []
    several = ""  # the option whose list goes on
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            begun = [known for known in names if known.startswith(name)] if name not in names else [name]
            name = begun[0] if len(begun) == 1 else name
            option = names.get(name)
            several = name if option is not None and option.multiple else ""
            if not several or equals:
                whole.append(name + equals + value)
        else:
            whole += [several, word] if several else [word]
    return whole


def command(name: str, kind: Any, about: str | None, faults: Iterable[str], run: Any) -> TrainerCommand:
    """Return the command of a trainer: `run` gets its settings, the name of the fault, and whether it is cured."""
    defaults = kind()
    options = [option(field, getattr(defaults, field.name)) for field in dataclasses.fields(kind)]
    fitting = ", ".join(recipes_for(name))
    options += [
        click.Option(
            ["--recipe"], metavar="NAME", default="", help=f"settings: {fitting}, or a TOML file; options override them"
        ),
        click.Option(
            ["--fault"],
            metavar="FAULT",
            default="",
            help="break the run; `--faults` lists how",
            callback=one_of(faults),
        ),
        click.Option(["--cured"], is_flag=True, help="apply the remedy of the fault as well"),
    ]

    def called(recipe: str, fault: str, cured: bool, **given: Any) -> Any:
        return run(read_settings(name, kind, recipe, given, fault, cured), fault, cured)

    return TrainerCommand(name, params=[*options], callback=called, help=about, context_settings=WIDTH)


def recipes_for(name: str) -> list[str]:
    """Return the names of the bundled recipes that have a table for a trainer."""
    return sorted(path.stem for path in RECIPES.glob("*.toml") if name in tomllib.loads(path.read_text("utf-8")))


def option(field: dataclasses.Field[Any], default: Any) -> click.Option:
    """Return the option of one setting; None stands for "not given", so that a recipe can be overridden."""
    name = f"--{field.name.replace('_', '-')}"
    shown = "" if default in ("", []) or isinstance(default, bool) else f"  [default: {default}]"
    about: dict[str, Any] = {"default": None, "help": field.metadata["help"] + shown}
    if isinstance(default, bool):
        about["help"] += f"  [default: {'on' if default else 'off'}]"
        return click.Option([f"{name}/--no-{name[2:]}", field.name], **about)
    if isinstance(default, list):
        return click.Option([name, field.name], multiple=True, metavar=f"{UNITS[field.name]} ...", **about)
    choices = field.metadata["choices"]
    kind: Any = click.Choice(choices) if choices else type(default)
    metavar = None if choices else UNITS[field.name]
    return click.Option([name, *field.metadata["also"], field.name], type=kind, metavar=metavar, **about)


def one_of(known: Iterable[str]) -> Any:
    """Return what refuses a name that does not exist, and says which one it is most like."""

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        if value and value not in known:
            raise click.BadParameter(f"there is no {param.name} {value!r}{meant(value, known)}", ctx, param)
        return value

    return check


def meant(word: str, known: Iterable[str]) -> str:
    """Return what to say of a word that does not exist: the one it is most like, or nothing.

    >>> meant("--stpes", ["--steps", "--lr"]), meant("--x", ["--steps"])
    ('; did you mean --steps?', '')
    """
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def read_settings(
    name: str, kind: Any, recipe: str = "", given: dict[str, Any] | None = None, fault: str = "", cured: bool = False
) -> Any:
    """Return the settings of a run: the defaults, then the recipe, then what was given."""
    chosen = {setting: list(value) if isinstance(value, tuple) else value for setting, value in (given or {}).items()}
    settings = kind(**read_recipe(recipe, name, kind) | {k: v for k, v in chosen.items() if v not in (None, [])})
    if not settings.log:
        suffix = (f"-{fault}" if fault else "") + ("-cured" if cured else "")
        settings = dataclasses.replace(settings, log=f"runs/{name}{suffix}-{settings.seed}.jsonl")
    return settings


def read_recipe(path: str, name: str, kind: Any) -> dict[str, Any]:
    """Return the settings of a recipe; raises UsageError for a file, a trainer or a setting that does not exist.

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
        refuse(f"--recipe {path}: there is no such file or recipe{meant(path, names)}")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        refuse(f"{path}: {error}")
    tables = {table: content for table, content in values.items() if isinstance(content, dict)}
    if tables and name not in tables:
        refuse(f"{path}: there is no recipe for {name}, only for {', '.join(tables)}")
    values = tables[name] if tables else values
    declared = {field.name: field for field in dataclasses.fields(kind)}
    defaults = kind()
    for setting, value in values.items():
        if setting not in declared:
            refuse(f"{path}: there is no setting {setting!r}{meant(setting, declared)}")
        wanted, choices = type(getattr(defaults, setting)), declared[setting].metadata["choices"]
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            refuse(f"{path}: {setting} = {value!r} should be of type {wanted.__name__}")
        if choices and value not in choices:
            refuse(f"{path}: {setting} = {value!r} should be one of {', '.join(choices)}")
    return values


def refuse(message: str) -> NoReturn:
    """End with a sentence about wrong use."""
    raise click.UsageError(message, click.get_current_context(silent=True))
