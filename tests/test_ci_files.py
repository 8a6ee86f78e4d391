"""What other systems read of this repository: the action, hooks, image and completion."""

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from lmdiag.cli import COMMANDS
from tests.cli.conftest import falling, write_log
from tests.conftest import bash

ROOT = Path(__file__).parents[1]


# --- the action ------------------------------------------------------------------------------------------------------


@pytest.fixture
def action(project, bin_folder, tmp_path):
    """Run the check step of action.yml as the runner would: its script, with inputs in its variables."""
    document = yaml.safe_load((ROOT / "action.yml").read_text())
    step = next(step for step in document["runs"]["steps"] if step.get("id") == "check")
    defaults = {name: str(given.get("default", "")) for name, given in document["inputs"].items()}

    def run(**inputs):
        values = defaults | {name.replace("_", "-"): value for name, value in inputs.items()}
        fill = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")
        variables = {name: fill.sub(lambda m: values[m[1]], text) for name, text in step["env"].items()}
        outputs, summary = tmp_path / "outputs", tmp_path / "summary.md"
        done = bash(
            f"set -eo pipefail\n{step['run']}",  # as the runner does
            project,
            bin_folder,
            RUNNER_TEMP=str(tmp_path / "tools"),
            GITHUB_OUTPUT=str(outputs),
            GITHUB_STEP_SUMMARY=str(summary),
            GITHUB_ACTIONS="true",
            **variables,
        )
        told = dict(line.split("=", 1) for line in outputs.read_text().splitlines()) if outputs.exists() else {}
        return done, told, summary

    return run


def test_the_action_passes_on_healthy_logs(action):
    done, outputs, summary = action(paths="runs golden/*.jsonl", ignore="convergence")
    assert done.returncode == 0, done.stderr
    assert (outputs["verdict"], outputs["findings"]) == ("healthy", "0")
    assert len(json.loads(Path(outputs["report-path"]).read_text())["runs"]) == 5
    assert summary.read_text().startswith("## ✓ healthy")


def test_the_action_fails_on_a_sick_log_and_writes_sarif(action, project):
    losses = falling()
    losses[300:] = np.nan
    write_log(project / "runs" / "bad.jsonl", losses)
    done, outputs, _ = action(paths="runs/", sarif_file="out.sarif")
    assert done.returncode == 1
    assert outputs["verdict"] == "unhealthy"
    assert json.loads((project / "out.sarif").read_text())["version"] == "2.1.0"
    assert "::error title=lmdiag (non-finite-loss),file=runs/bad.jsonl" in done.stderr
    assert action(paths="runs/", select="spikes,schedule")[0].returncode == 0


def test_every_line_of_the_paths_is_checked(action, project):
    write_log(project / "runs" / "bad.jsonl", [*falling(), *[np.nan] * 5])
    paths = "golden/seed-1.jsonl  golden/seed-2.jsonl\nruns/tiny.jsonl\nruns/bad.jsonl\n"
    done, outputs, _ = action(paths=paths, args="--ignore\nconvergence\n")
    assert (done.returncode, outputs["verdict"]) == (1, "unhealthy")
    sources = [run["source"] for run in json.loads(Path(outputs["report-path"]).read_text())["runs"]]
    assert sources == paths.split()


def test_the_report_of_an_earlier_step_is_not_told_again(action, tmp_path):
    assert action(paths="golden/seed-1.jsonl", ignore="convergence")[1]["verdict"] == "healthy"
    (tmp_path / "outputs").unlink()
    done, outputs, _ = action(paths="golden/seed-1.jsonl", args="--no-such-option")
    assert (done.returncode, outputs) == (2, {})


def test_an_input_of_the_action_is_never_a_command(action, project):
    done, _, _ = action(paths="runs; touch injected", args="$(touch injected)")
    assert done.returncode == 2
    assert not (project / "injected").exists()


@pytest.mark.slow
def test_the_action_installs_itself_and_checks(project, tmp_path):
    """The install step as it stands, offline: what it would download is taken from this environment."""
    pytest.importorskip("hatchling", reason="hatchling, which builds lmdiag, is not installed")
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    install = next(step for step in steps if step["name"] == "Install lmdiag")
    source = tmp_path / "source"
    for name in ("lmdiag", "trainers", "sample_logs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    installed = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    runner = {"RUNNER_TEMP": str(tmp_path / "runner"), "ACTION_PATH": str(source), "PYTHONPATH": installed}
    done = bash(f"set -eo pipefail\n{install['run']}", project, Path(sys.executable).parent, **runner, **offline)
    assert done.returncode == 0, done.stderr
    assert '--constraint "$ACTION_PATH/constraints.txt"' in install["run"]
    checked = bash('"$RUNNER_TEMP/lmdiag/bin/lmdiag" check runs', project, tmp_path, **runner)
    assert checked.returncode == 0, checked.stderr
    where = bash(
        "cd / && \"$RUNNER_TEMP/lmdiag/bin/python\" -c 'import lmdiag; print(lmdiag.__file__)'",
        project,
        tmp_path,
        **runner,
    )
    assert where.stdout.startswith(str(tmp_path / "runner"))


def test_the_action_uses_every_input_and_declares_every_output():
    text = (ROOT / "action.yml").read_text()
    document = yaml.safe_load(text)
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(document["inputs"])
    for output in document["outputs"]:
        assert f'echo "{output}=' in text or f'print("{output}=' in text


# --- hooks and image -------------------------------------------------------------------------------------------------


def test_the_hooks_are_commands_that_work(project, bin_folder):
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    check, settings = hooks["lmdiag-check"], hooks["lmdiag-settings"]
    assert re.search(check["files"], "runs/tiny.jsonl")
    assert not re.search(check["files"], "README.md")
    assert bash(f"{check['entry']} runs/tiny.jsonl golden/seed-1.jsonl", project, bin_folder).returncode == 0
    shutil.copy(project / "runs" / "tiny.jsonl", project / "--version.jsonl")
    assert bash(f"{check['entry']} --version.jsonl", project, bin_folder).returncode == 0
    assert bash(settings["entry"], project, bin_folder).returncode == 0
    (project / "lmdiag.toml").write_text("selekt = []\n")
    assert bash(settings["entry"], project, bin_folder).returncode == 2


def test_the_image_has_no_torch_and_no_root():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 1000" in lines
    assert lines.index("USER 1000") < next(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert not [name for name in dependencies if re.match("torch|streamlit|pandas", name)]


def test_the_image_is_built_with_the_versions_that_the_tests_ran_with():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    names = "PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt"
    assert lines.index(f"ENV {names}") < next(i for i, line in enumerate(lines) if "pip install" in line)
    held = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    assert {re.split(r"[<>=\[; ]", name)[0] for name in needed} <= held


# --- completion ------------------------------------------------------------------------------------------------------


def complete(bin_folder, folder, words, kind="plain"):
    script = "lmdiag"
    variables = {"_LMDIAG_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    answers = (line.split(",", 1) for line in bash(script, folder, bin_folder, **variables).stdout.splitlines())
    return [value for type_, value in answers if type_ == kind]


def test_completion_knows_commands_options_rules_and_files(bin_folder, project):
    assert set(complete(bin_folder, project, "lmdiag ")) == set(COMMANDS)
    assert "--fail-on" in complete(bin_folder, project, "lmdiag check --fail")
    assert "loss-spike" in complete(bin_folder, project, "lmdiag explain loss")
    assert "numerics" in complete(bin_folder, project, "lmdiag check --select num")
    for command in ("check", "watch", "compare", "report"):  # the shell knows the files
        assert complete(bin_folder, project, f"lmdiag {command} ru", kind="file") == ["ru"]


# --- recipes that end a job ------------------------------------------------------------------------------------------

PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("ci.md", "cli.md")]
ENDS_A_JOB = [
    line
    for page in PAGES
    for line in page.splitlines()
    if re.search("lmdiag watch .*(kill|scancel)", line) and not line.startswith("the job:")
]


@pytest.mark.parametrize("strict", ["set -e", ""])
@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("recipe", ENDS_A_JOB)
def test_only_a_sick_run_is_ended_by_the_recipes(recipe, code, strict, project, bin_folder):
    (bin_folder / "lmdiag").write_text(f"#!/bin/sh\nexit {code}\n")
    known = 'kill() { echo "ended $1"; }; scancel() { kill "$1"; }; true & JOB=$!'
    done = bash(f"{strict}\n{known}\n{recipe.removeprefix('$ ')}\n[ $JOB = $! ] && echo after", project, bin_folder)
    assert re.sub(r"\d+", "JOB", done.stdout) == ("ended JOB\nafter\n" if code == 1 else "after\n"), done.stderr


def test_both_pages_have_a_recipe():
    assert len(ENDS_A_JOB) == 2
