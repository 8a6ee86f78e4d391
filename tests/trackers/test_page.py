"""The commands of docs/trackers.md work, each against the server that its address names."""

import re

import pytest

from tests.conftest import bash
from tests.test_docs import ALL, judges
from tests.trackers.conftest import falling
from tests.trackers.test_aim import repository
from tests.trackers.test_aim import server as aim_server
from tests.trackers.test_hugging_face import hub
from tests.trackers.test_trackio import server as trackio_server
from tests.trackers.test_trackio import store
from tests.trackers.test_wandb import KEY, RUNS, server

__all__ = ["aim_server", "hub", "repository", "server", "store", "trackio_server"]
MARKS = ("mlflow:", "wandb:", "trackio:", "aim:", "clearml:", "comet:", "swanlab:", "hf:")
COMMANDS = [command for command in ALL["docs/trackers.md"] if judges(command)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pretraining(tracking):
    """The experiment that the page speaks of."""
    for seed, name in enumerate(("baseline", "candidate")):
        tracking.run("pretraining", name, falling(seed=seed), tags={"team": "nlp"})
    return tracking


@pytest.mark.parametrize("command", [command for command in COMMANDS if "mlflow:" in command])
def test_the_commands_for_mlflow_work(command, pretraining, tmp_path, bin_folder):
    asked = command.replace("localhost:5000", pretraining.host)
    done = bash(asked, tmp_path, bin_folder, MLFLOW_TRACKING_URI=f"http://{pretraining.host}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout or re.search(r" -o \S+", command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "wandb:" in command])
def test_the_commands_for_wandb_work(command, server, tmp_path, bin_folder):
    server.runs = {"r4nd0m1d": RUNS["ccc"]}
    done = bash(command, tmp_path, bin_folder, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if "trackio:" in command])
def test_the_commands_for_trackio_work(command, trackio_server, tmp_path, bin_folder):
    done = bash(command.replace("localhost:7860", trackio_server), tmp_path, bin_folder)
    assert done.returncode == 1, done.stdout + done.stderr  # one of its runs is broken


@pytest.mark.parametrize("command", [command for command in COMMANDS if "aim:" in command])
def test_the_commands_for_aim_work(command, aim_server, tmp_path, bin_folder):
    done = bash(command.replace("localhost:43800", aim_server), tmp_path, bin_folder)
    assert done.returncode == 1, done.stdout + done.stderr  # one of its runs is broken


@pytest.mark.parametrize("command", [command for command in COMMANDS if re.search("(clearml|comet|swanlab):", command)])
def test_the_commands_for_services_name_what_is_missing(command, tmp_path, bin_folder):
    """Without a login, each client says what it wants; its own test asks it for runs."""
    tracker = re.search(r"(\w+)://", command)[1]
    pytest.importorskip({"comet": "comet_ml"}.get(tracker, tracker), reason="its client is not installed")
    done = bash(command, tmp_path, bin_folder, HOME=str(tmp_path), CLEARML_CONFIG_FILE="none")
    assert done.returncode == 2
    assert "client says" in done.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if "hf:" in command])
def test_the_commands_for_the_hub_work(command, hub, tmp_path, bin_folder):
    done = bash(command, tmp_path, bin_folder, HF_ENDPOINT=hub.endpoint, HF_HUB_DISABLE_XET="1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_page_is_tried():
    assert len(COMMANDS) >= 11
    assert all(any(mark in command for mark in MARKS) for command in COMMANDS)
