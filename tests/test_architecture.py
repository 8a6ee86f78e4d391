"""Imports go down and never in a circle: a module imports only from floors below its own. `FLOORS` is the drawing of the house."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"errors", "figures", "patterns", "record", "strict_json", "version"},
    {"account", "config", "facts", "languages", "methods", "metrics", "stats"},
    {"naming"},
    {"run", "loss_law"},
    {
        "finding",
        "looks",
        "advice",
        "updates",
        "pace",
        "layers",
        "task_measures",
        "evaluations",
        "beginning",
        "data_steps",
        "passes",
    },
    {"chance", "held_up"},
    {"sources", "readers", "trackers", "gather", "rules", "attribution", "forecast", "perplexity"},
    {"diagnose", "compare"},
    {"reports", "charts", "fleet", "convert"},
    {"judging", "watching"},
    {"agents"},
    {"cli", "app", "pytest_plugin"},
    {"__main__"},
]
HEIGHT = {part: height for height, parts in enumerate(FLOORS) for part in parts}
ALONG_THE_FLOOR = {  # the line goes on within a floor
    ("finding", "layers"),
    ("advice", "beginning"),
    ("advice", "finding"),
    ("advice", "updates"),
    ("readers", "sources"),
    ("trackers", "readers"),
    ("trackers", "sources"),
    ("gather", "readers"),
    ("gather", "sources"),
    ("watching", "judging"),
    ("reports", "charts"),
}
NOTEBOOKS = {  # `_repr_html_` draws: the only arrows that point up, to be followed only by a notebook
    ("lmdiag.run", "lmdiag.reports.notebook"),
    ("lmdiag.diagnose", "lmdiag.reports.notebook"),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted((ROOT / "lmdiag").rglob("*.py"))}
MODULES = {name: path for name, path in FILES.items() if name != "lmdiag"}


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules of lmdiag that a file imports: at its head, in a function, for types alone, and by their names in a text."""
    return frozenset(name for name in _named(ast.parse(path.read_text())) if name in MODULES)


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in inside)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def part_of(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    part = part_of(name)
    assert part in HEIGHT, f"{part} stands on no floor: add it to FLOORS"
    below = {other for other, height in HEIGHT.items() if height < HEIGHT[part]} | {part}
    beside = {other for one, other in ALONG_THE_FLOOR if one == part}
    up = {other for one, other in NOTEBOOKS if one == name}
    assert {part_of(other) for other in imports(MODULES[name]) - up} <= below | beside


def test_no_circle_of_imports():
    graph = {
        name: {other for other in imports(path) - {name} if (name, other) not in NOTEBOOKS}
        for name, path in MODULES.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_the_arrows_of_notebooks_are_there():
    assert all(other in imports(MODULES[name]) for name, other in NOTEBOOKS)


def test_nothing_imports_the_public_names():
    """The root hands out names of every part; a module that imported it would stand in a circle with all of them."""
    for name, path in MODULES.items():
        tree = ast.walk(ast.parse(path.read_text()))
        roots = [n for n in tree if isinstance(n, ast.ImportFrom) and n.module == "lmdiag"]
        assert all(f"lmdiag.{alias.name}" in MODULES for node in roots for alias in node.names), name


def test_the_arrows_along_a_floor_are_there():
    drawn = {(part_of(name), part_of(other)) for name, path in MODULES.items() for other in imports(path)}
    assert drawn >= ALONG_THE_FLOOR


def test_rules_do_not_know_each_other():
    for name, path in MODULES.items():
        if part_of(name) == "rules" and name != "lmdiag.rules":
            assert not {other for other in imports(path) if part_of(other) == "rules"}, name


def test_record_imports_nothing_else_of_lmdiag():
    for name, path in MODULES.items():
        if part_of(name) == "record":
            assert {part_of(other) for other in imports(path)} <= {"record"}, name


def test_trainers_import_only_record():
    for path in (ROOT / "trainers").rglob("*.py"):
        assert {part_of(other) for other in imports(path)} <= {"record"}, path


def test_the_drawing_has_no_part_that_does_not_exist():
    assert set(HEIGHT) == {part_of(name) for name in MODULES}
