"""The command itself, on files that really grow."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.cli.conftest import falling
from tests.cli.watch.conftest import END


def lines_of(kind):
    losses = falling()
    losses[200:] = np.nan
    if kind == "nanogpt":
        return [f"iter {i}: loss {x:.4f}, time 250.10ms, mfu 17.98%\n" for i, x in enumerate(losses)]
    if kind == "console":
        texts = (
            f"{{'loss': {x:.4f}, 'grad_norm': 1.5, 'learning_rate': 0.0001, 'epoch': {i / 400}}}\n"
            for i, x in enumerate(losses)
        )
        return list(texts)
    return [json.dumps({"step": i, "loss": x}) + "\n" for i, x in enumerate(losses)]


def watching_process(tmp_path, *args, **options):
    command = [sys.executable, "-m", "lmdiag", "watch", *map(str, args), "--isolated", "--every", "0.2"]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    return subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options
    )


@pytest.mark.parametrize("kind", ["nanogpt", "console", "jsonl"])
def test_a_log_that_grows_and_is_rotated_is_watched_until_its_error(tmp_path, kind):
    path, lines = tmp_path / "train.log", lines_of(kind)
    process = watching_process(tmp_path, "train.log", "--until-error")
    for start in range(0, 300, 50):
        if start == 100:
            path.rename(tmp_path / "train.log.1")
        with path.open("a") as file:
            file.writelines(lines[start : start + 50])
        time.sleep(0.4)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.partition("lmdiag: waiting for train.log")[0]) == (1, "")
    assert "✗ error" in out
    assert "non-finite-loss" in out


def test_standard_input_is_watched_to_its_end(tmp_path, good):
    process = watching_process(tmp_path, "-", stdin=subprocess.PIPE)
    out, err = process.communicate(good.read_text(), timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "the run ended: healthy" in out


def test_a_bar_without_line_feeds_is_watched_on_standard_input(tmp_path):
    losses = falling(300)
    losses[200:] = np.nan
    process = watching_process(tmp_path, "-", stdin=subprocess.PIPE)
    out, err = process.communicate("".join(f"\r{n}/300 [00:01<00:02, loss={x:.4f}]" for n, x in enumerate(losses)), 60)
    assert (process.returncode, err) == (1, "")
    assert "non-finite-loss" in out


def test_a_reader_that_leaves_ends_the_watch(tmp_path, good):
    process = watching_process(tmp_path, good)
    assert "following" in process.stdout.readline()
    process.stdout.close()
    with good.open("a") as file:
        file.write(END % "completed")
    assert process.wait(60) == 2
    assert process.stderr.read() == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_ends_the_watch_with_exit_2(tmp_path, good):
    process = watching_process(tmp_path, good)
    assert "following" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (2, "lmdiag: interrupted")
