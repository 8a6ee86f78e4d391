"""Imports go down: a module imports only from floors below its own. `FLOORS` is the drawing of the house."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"errors", "metrics", "record", "strict_json"},
    {"config", "stats"},
    {"run", "loss_law"},
    {"finding", "advice", "pace", "layers", "task_measures"},
    {"readers", "rules", "attribution", "forecast", "standing"},
    {"diagnose", "compare", "follow"},
    {"charts", "convert"},
    {"reports", "fleet"},
    {"cli", "app"},
    {"__main__", "pytest_plugin"},
]
HEIGHT = {part: height for height, parts in enumerate(FLOORS) for part in parts}
HEAVY = ("polars", "pandas", "scipy", "torch", "streamlit", "altair", "rich")


def imported_parts(path: Path) -> set[str]:
    """The parts of lmdiag that a file imports, at its head or inside a function."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lmdiag":
            dotted = node.module.split(".")
            parts |= {dotted[1]} if len(dotted) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            parts |= {a.name.split(".")[1] for a in node.names if a.name.startswith("lmdiag.")}
    return parts


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "lmdiag").with_suffix("").parts[0]


MODULES = [p for p in sorted((ROOT / "lmdiag").rglob("*.py")) if p.parent.name != "lmdiag" or p.name != "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    part = part_of(path)
    assert part in HEIGHT, f"{part} stands on no floor: add it to FLOORS"
    allowed = {other for other, height in HEIGHT.items() if height < HEIGHT[part]} | {part, "__version__"}
    if part in {"finding", "advice"}:
        allowed |= {"run"}
    if part == "readers":
        allowed -= {"rules"}
    assert imported_parts(path) <= allowed


def test_rules_do_not_know_each_other():
    for path in (ROOT / "lmdiag/rules").rglob("*.py"):
        if path.name != "__init__.py":
            assert "lmdiag.rules" not in path.read_text(), path


def test_record_imports_nothing_else_of_lmdiag():
    for path in (ROOT / "lmdiag/record").rglob("*.py"):
        assert imported_parts(path) <= {"record", "__version__"}, path


def test_trainers_import_only_record():
    for path in (ROOT / "trainers").rglob("*.py"):
        assert imported_parts(path) <= {"record"}, path


def test_the_drawing_has_no_part_that_does_not_exist():
    built = {part_of(path) for path in MODULES}
    later = {"loss_law", "forecast", "compare"}
    assert set(HEIGHT) - built <= later


def test_a_small_log_is_checked_without_heavy_imports(tmp_path):
    log = tmp_path / "run.jsonl"
    log.write_text("".join(f'{{"step": {i}, "loss": {5 - i / 100}}}\n' for i in range(1, 200)))
    code = (
        "import sys\nfrom lmdiag.cli import main\n"
        f"try:\n    main(['check', {str(log)!r}])\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print(','.join(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1:] in ([], [""]), done.stderr
