"""What README, AGENTS.md, CONTRIBUTING and the pages in docs show runs as it stands there, and what they name exists."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import lmdiag
from docs import generate
from lmdiag.cli import COMMANDS
from lmdiag.gather import runs_in
from lmdiag.readers.text import FORMATS
from lmdiag.readers.text.reading import read_blocks
from lmdiag.sources.source import Source
from tests.cli.conftest import falling, write_log
from tests.conftest import bash
from tests.readers import event_writer, test_mlflow, test_trackio, wandb_writer

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "formats").glob("*.md"))
}
CI_PAGE = PAGES["docs/ci.md"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


# --- commands --------------------------------------------------------------------------------------------------------

SHOWN = re.compile(
    r"^(?:\$ | {4})?((?:\w+ [^|\n]*\| )*(?:lmdiag|python) .*?)(?: {2,}#.*)?$|`((?:lmdiag|python) [^`\n]+)`",
    re.MULTILINE,
)
PLACEHOLDER = re.compile(r"\.\.\.|…|(?<![$\w])[A-Z]{4,}\b|\S {4,}\S")  # the last: an explanation in a column of its own
ON_THEIR_OWN = ("app", "train", "demo")  # these serve, or train for a minute: tests/app and tests/trainers
OTHER_COMMANDS = {  # what cannot run here: why
    "lmdiag check s3://bucket/sweep/": "asks another machine: tests/sources/test_remote.py serves a bucket",
    "lmdiag check s3://bucket/sweep/ -o parquet=sweep.parquet": "the same",
    "lmdiag check 'gs://bucket/sweep/*.jsonl' --scheduler tcp://head:8786": "the same, and tests/fleet/test_fleet.py a cluster",
}


def shown(page):
    """Yield the commands on a page; not those of scripts, reports and comments in settings."""
    for found in SHOWN.finditer(re.sub(r"```(?:bash|text|toml)\n.*?```", "", page, flags=re.DOTALL)):
        yield found[1] or found[2]


def judges(command):
    words = command[command.index("lmdiag ") :].split() if "lmdiag " in command else []
    return len(words) > 2 and words[1] in set(COMMANDS) - set(ON_THEIR_OWN) and not PLACEHOLDER.search(command)


ALL = {name: list(dict.fromkeys(shown(page))) for name, page in PAGES.items()}
RUN = [
    (name, command)
    for name, commands in ALL.items()
    if name != "docs/trackers.md"  # these ask servers: tests/trackers/test_page.py
    for command in filter(judges, commands)
]
BENCHMARKS = sorted({command for commands in ALL.values() for command in commands if "benchmarks" in command})


@pytest.fixture
def documented(project, bin_folder):
    """The files that the commands of the pages speak of: one healthy run, in whatever form they name."""
    losses = dict(enumerate(falling(200).tolist(), 1))
    log = write_log(project / "log.jsonl", losses.values())
    log.open("a").write('{"type":"end","status":"completed"}\n')
    for name in ("train.log", "runs/a.log", "runs/a.jsonl"):  # the last written is the one that `watch runs/` follows
        shutil.copy(log, project / name)
    files = {
        "train.py": "print(open('log.jsonl').read())\n",
        "old.csv": "when,train cost\n" + "".join(f"{step},{loss}\n" for step, loss in losses.items()),
        "train.out": "".join(
            f"epoch 1 n={step} loss=3 my_loss={loss}\nat {step}: L={loss}\n" for step, loss in losses.items()
        ),
    }
    for name, text in files.items():
        (project / name).write_text(text)
    for name, script in {"ssh": 'shift; exec "$@"', "python": f'exec "{sys.executable}" "$@"'}.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    return project


def trackers(folder):
    """Write the same run as each tracker keeps it."""
    losses = list(enumerate(falling(200).tolist(), 1))
    test_mlflow.store(folder, {"loss": "".join(f"{step} {loss} {step}\n" for step, loss in losses)})
    test_mlflow.database(folder / "mlflow.db", [("loss", loss, step, step, 0) for step, loss in losses])
    files = {
        "runs/may/events.out.tfevents.1.host": event_writer.event_file(
            *(event_writer.event(step, event_writer.simple("train/loss", loss)) for step, loss in losses)
        ),
        "wandb/run-20260102_030405-abc123/run-abc123.wandb": wandb_writer.wandb_file(
            wandb_writer.run("abc123"), *(wandb_writer.history(step, loss=loss) for step, loss in losses)
        ),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    kept = folder / ".cache" / "huggingface" / "trackio"
    kept.mkdir(parents=True)
    test_trackio.database(kept / "project.db", [("a", step, {"loss": loss}) for step, loss in losses])


@pytest.mark.parametrize(("page", "command"), [pair for pair in RUN if pair[1] not in OTHER_COMMANDS])
def test_the_commands_of_the_pages_work(page, command, documented, bin_folder):
    if "docs/formats" in page:
        trackers(documented)
    done = bash(command.replace("watch ", "watch --every 1s "), documented, bin_folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", OTHER_COMMANDS)
def test_the_commands_that_are_left_out_are_shown_and_cannot_work(command, documented, bin_folder):
    assert command in {shown for _, shown in RUN}
    nowhere = "http://127.0.0.1:9"
    done = bash(f"timeout 5 {command}", documented, bin_folder, AWS_ENDPOINT_URL=nowhere, STORAGE_EMULATOR_HOST=nowhere)
    assert done.returncode in (2, 124), done.stdout + done.stderr


def test_there_are_commands_to_run():
    assert {command.split()[1] for page, command in RUN if page == "README.md"} >= {
        "check",
        "explain",
        "convert",
        "watch",
    }
    assert {page for page, _ in RUN} >= {"docs/cli.md", "docs/compare.md", "docs/formats/key-value.md"}
    assert len(RUN) >= 25
    assert len(BENCHMARKS) >= 10


@pytest.mark.parametrize("command", BENCHMARKS)
def test_the_benchmarks_exist_and_have_the_options_shown(command):
    """They measure for minutes, most of them on labelled logs."""
    program = re.match(r"python (?:-m )?\S+", command)[0]
    done = bash(f"{program.replace('python', sys.executable)} --help", ROOT, ROOT, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"--[a-z-]+", command)) <= set(re.findall(r"--[a-z-]+", done.stdout))


# --- other snippets --------------------------------------------------------------------------------------------------


def snippets(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("script", [s for s in snippets(CI_PAGE, "bash") if not s.startswith("docker ")])
def test_the_scripts_of_the_page_on_ci_work(script, documented, bin_folder):
    script = script.replace("train.log --until-error", "train.log --every 1s --until-error")
    done = bash(f"set -e\n{script}", documented, bin_folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_table_of_runs_is_read_as_shown(documented, bin_folder, monkeypatch):
    assert bash("lmdiag check runs/ -o parquet=runs.parquet", documented, bin_folder).returncode == 0
    monkeypatch.chdir(documented)
    exec(snippets(PAGES["docs/cli.md"], "python")[0], {})


def test_the_yaml_snippets_name_things_that_exist(project, bin_folder):
    action, gitlab, precommit = map(yaml.safe_load, snippets(CI_PAGE, "yaml"))
    assert set(action[1]["with"]) <= set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
    for line in gitlab["lmdiag"]["script"]:
        assert bash(line, project, bin_folder).returncode == 0
    for report in gitlab["lmdiag"]["artifacts"]["reports"].values():
        assert (project / report).exists()
    known = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert {hook["id"] for hook in precommit["repos"][0]["hooks"]} == known


def test_the_pytest_snippet_works(project, monkeypatch):
    from lmdiag.pytest_plugin import assert_healthy

    monkeypatch.chdir(project)
    space = {}
    exec(snippets(CI_PAGE, "python")[0], space)
    space["test_training_is_healthy"](assert_healthy)


def test_the_commands_in_agents_md_do_what_it_says(bin_folder, tmp_path):
    shutil.copytree(ROOT / "sample_logs", tmp_path / "sample_logs")
    page = (ROOT / "AGENTS.md").read_text()
    commands = re.findall(r"^\$ (lmdiag .*)$", page, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        done = bash(command, tmp_path, bin_folder)
        for document in done.stdout.splitlines() if "jsonl --every" in command else [done.stdout]:
            json.loads(document)
        assert done.returncode == ("divergence.jsonl" in command), done.stderr


# --- for contributors ------------------------------------------------------------------------------------------------


def test_the_line_from_paths_to_screen_is_the_same_everywhere():
    line = re.compile(r"^ *(\S.* -> .* -> .*)$", re.MULTILINE)
    told = [line.search(text)[1] for text in (lmdiag.__doc__, PAGES["README.md"], CONTRIBUTING)]
    assert told == [told[0]] * 3


def test_the_files_named_in_contributing_exist():
    named = set(re.findall(r"`([\w/]+(?:\.\w+|/))`", CONTRIBUTING))
    folders = [
        ROOT,
        ROOT / "lmdiag",
        *(ROOT / "lmdiag").iterdir(),
        *(ROOT / "tests").rglob("*/"),
        ROOT / "lmdiag/readers/text",
    ]
    assert len(named) > 20
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_a_format_without_a_sample_is_named():
    with pytest.raises(SystemExit, match=r"the format nobody lacks a sample: tests/readers/samples/text/nobody\.log"):
        generate._line_of(replace(FORMATS["nanogpt"], name="nobody"))


@pytest.mark.parametrize(
    ("title", "content"),
    [
        ("Add a reader", '{"evt": "start"}\n{"evt": "progress", "it": 10, "vals": {"objective": 2.5}}\n{"evt": "pro'),
        ("Add a printed format", "hello\n[rank0]: upd=10/500 obj=2.5 took=31ms\nupd=20/5\nheld-out@10: obj=2.75\n"),
    ],
)
def test_the_examples_for_contributors_read_what_they_are_for(title, content):
    section = CONTRIBUTING.partition(f"## {title}\n")[2].partition("\n## ")[0]
    space = {}
    exec(re.sub(r"^ {3}", "", snippets(section, "python")[0], flags=re.MULTILINE), space)
    reader, source = space.get("MY_FORMAT"), Source("a.log", content=content.encode())
    can_read, read = (
        (
            lambda name, head: any(map(reader.marked, head.decode().splitlines())),
            lambda source: read_blocks(reader, source.name, [source.text]),
        )
        if reader
        else (space["can_read"], space["read"])
    )
    assert (can_read(source.name, source.head), can_read("a.log", b"step 1 loss 2.5\n")) == (True, False)
    (run,) = runs_in(read(source), source.name)
    assert (run.format, run["loss"].steps.tolist(), run["loss"].values.tolist()) == ("my-format", [10], [2.5])
    assert sum(skipped.count for skipped in run.skipped) == 1
    if reader:
        assert (run["val/loss"].values.tolist(), run["step_time_s"].values.tolist()) == ([2.75], [0.031])
        assert run.config["max_steps"] == 500
