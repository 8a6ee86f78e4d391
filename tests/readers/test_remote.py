"""Logs elsewhere: files, patterns and folders behind a URL, in memory and on a real S3 server."""

import json
import socket
import sys

import pytest

from lmdiag.cli import main
from lmdiag.readers import find, read, read_all, remote

fsspec = pytest.importorskip("fsspec")


def lines(start=3.0, n=40):
    return "".join(json.dumps({"step": s, "loss": start - s / 50}) + "\n" for s in range(1, n)).encode()


@pytest.fixture
def memory():
    """A folder of logs in the memory of this process."""
    system = fsspec.filesystem("memory")
    system.pipe({"/runs/a.jsonl": lines(), "/runs/deep/b.jsonl": lines(4.0), "/runs/config.json": b'{"loss": 1}'})
    system.pipe("/runs/weights.bin", bytes(100))
    yield system
    system.rm("/runs", recursive=True)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("memory://runs/a.jsonl", ["a.jsonl"]),
        ("memory://runs/*.jsonl", ["a.jsonl"]),
        ("memory://runs/**/*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("memory://runs/", ["a.jsonl", "b.jsonl"]),
        ("memory://runs", ["a.jsonl", "b.jsonl"]),
        ("memory://runs/**", ["a.jsonl", "b.jsonl"]),
    ],
)
def test_files_patterns_and_folders(memory, url, names):
    runs = read_all(url)
    assert sorted(run.source.rpartition("/")[2] for run in runs) == names
    assert all(run.source.startswith("memory://") for run in runs)
    assert all(len(run["loss"]) == 39 for run in runs)


def test_a_folder_that_one_reader_reads_as_a_whole(memory):
    from tests.readers.sample_logs import LOSSES, SAMPLES

    memory.pipe("/board/events.out.tfevents.1.host", SAMPLES["tensorboard"][1])
    run = read("memory://board/")
    assert run.source == "memory://board/"
    assert len(run["loss"]) == len(LOSSES)


def test_the_verdict_names_the_address(memory, capsys):
    assert main(["check", "memory://runs/", "--isolated", "-f", "json"]) in (0, 3)
    sources = [run["source"] for run in json.loads(capsys.readouterr().out)["runs"]]
    assert sources == ["memory://runs/a.jsonl", "memory://runs/deep/b.jsonl"]


def test_what_is_not_there_is_an_error_for_the_user(memory):
    _, (problem,) = find(["memory://runs/c.jsonl"])
    assert "there is no file memory://runs/c.jsonl" in problem.message


def test_an_unknown_kind_of_address_is_an_error_for_the_user():
    _, (problem,) = find(["nothing://a/b.jsonl"])
    assert "cannot read nothing://a/b.jsonl" in problem.message


@pytest.mark.parametrize(
    ("missing", "package", "url"),
    [("fsspec.core", "fsspec", "memory://a"), ("gcsfs", "gcsfs", "gs://bucket/a.jsonl")],
)
def test_a_missing_package_is_named(monkeypatch, missing, package, url):
    monkeypatch.setitem(sys.modules, missing, None)
    _, (problem,) = find([url])
    assert "needs" in problem.message
    assert f"pip install {package}" in problem.hint


def test_a_name_that_climbs_out_of_its_folder_is_not_written_there(monkeypatch, tmp_path):
    class Climbing:
        def find(self, root):
            return ["runs/../../evil.jsonl", "runs/good.jsonl"]

        def get_file(self, name, target):
            open(target, "wb").close()

        def unstrip_protocol(self, name):
            return f"fake://{name}"

    monkeypatch.setattr(remote, "_opened", lambda url: (Climbing(), "runs"))
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(tmp_path / "in" / "side"))
    folder, _ = remote.mirrored("fake://runs", lambda path: True)
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == ["good.jsonl"]
    assert folder == tmp_path / "in" / "side"


@pytest.fixture(scope="module")
def bucket():
    """A bucket on an S3 server of this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("logs")
        system.pipe("logs/runs/a.jsonl", lines())
        system.pipe("logs/runs/b.jsonl", lines(4.0))
        yield "s3://logs"
    server.stop()


def test_logs_on_s3(bucket, capsys):
    assert len(read(f"{bucket}/runs/a.jsonl")["loss"]) == 39
    assert [run.source for run in read_all(f"{bucket}/runs/*.jsonl")] == [f"{bucket}/runs/{n}.jsonl" for n in "ab"]
    assert len(read_all(f"{bucket}/runs/")) == 2
    assert main(["check", f"{bucket}/runs/*.jsonl", "--isolated", "--jobs", "2", "-f", "json"]) in (0, 3)
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2


def test_what_is_not_on_s3_is_an_error_for_the_user(bucket):
    _, (problem,) = find([f"{bucket}/runs/c.jsonl"])
    assert "there is no file" in problem.message
    _, (problem,) = find(["s3://no-such-bucket/c.jsonl"])
    assert "no-such-bucket" in problem.message
