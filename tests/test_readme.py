"""What the README shows runs as it stands there."""

import re
from pathlib import Path

import pytest

from lmdiag.cli import COMMANDS as EXISTING

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    lmdiag (\S+)", README, re.MULTILINE)
LINKS = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.strip().splitlines()[0])
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    (tmp_path / "sample_logs").symlink_to(ROOT / "sample_logs")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_there_are_blocks_to_run():
    assert len(PYTHON) >= 2
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("name", sorted(set(COMMANDS)))
def test_commands_exist(name):
    assert name in EXISTING


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_to_files(link):
    assert (ROOT / link).exists()


def test_nobody_is_told_to_install_the_project_of_the_same_name():
    pages = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))]
    assert not [page[:60] for page in pages if re.search(r"pip install ['\"]?lmdiag(?!-lm)\b", page)]
