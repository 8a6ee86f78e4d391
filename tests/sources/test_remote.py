"""Logs elsewhere: files, patterns and folders behind a URL: in memory, on the web, and on servers that speak S3 and GCS."""

import json
import logging
import shutil
import socket
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lmdiag.cli import main
from lmdiag.judging.reading import find, read, read_all, runs_of
from lmdiag.sources import remote, remote_files
from lmdiag.sources.addresses import without_secrets
from lmdiag.sources.source import Source

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
    assert "nothing:// is no kind of address that lmdiag or fsspec knows" in problem.message


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

    monkeypatch.setattr(remote_files, "_opened", lambda url: (Climbing(), "runs"))
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(tmp_path / "in" / "side"))
    folder, _ = remote_files.mirrored("fake://runs", lambda path: True)
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == ["good.jsonl"]
    assert folder == tmp_path / "in" / "side"


def test_a_file_that_vanishes_or_is_closed_hides_no_other(memory, monkeypatch, capsys):
    copy = memory.get_file

    def forbidden(name, target):
        if name.endswith("b.jsonl"):
            raise PermissionError(f"Forbidden: {name}")
        copy(name, target)

    monkeypatch.setattr(memory, "get_file", forbidden)
    assert main(["check", "memory://runs/", "--isolated", "-f", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [run["source"] for run in report["runs"]] == ["memory://runs/a.jsonl"]
    (problem,) = report["unreadable"]
    assert problem["source"] == "memory://runs/deep/b.jsonl"
    assert "PermissionError: Forbidden" in problem["error"]


def test_a_folder_is_fetched_anew_where_its_copy_is_not(tmp_path):
    from tests.readers.sample_logs import LOSSES, SAMPLES

    store = tmp_path / "store" / "board"
    store.mkdir(parents=True)
    (store / "events.out.tfevents.1.host").write_bytes(SAMPLES["tensorboard"][1])
    (store / "weights.bin").write_bytes(bytes(100))
    (source,), _ = find([f"file://{store}/"])
    shutil.rmtree(source.path)
    with remote.at_hand(source.fresh()) as here:
        assert len(runs_of(here)[0]["loss"]) == len(LOSSES)
        assert [path.name for path in here.path.iterdir()] == ["events.out.tfevents.1.host"]
    assert not here.path.exists()


def test_a_resumed_folder_is_fetched_with_what_went_on(tmp_path):
    for name in ("run-20260101_000000-x", "run-20260102_000000-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(name)
    names = sorted(path.name for path in tmp_path.iterdir())
    gone = Path("/nowhere")
    url = f"file://{tmp_path}/{names[0]}/"
    source = Source(url, gone / names[0], url=url, later=(gone / names[1],))
    with remote.at_hand(source) as here:
        assert [(path / "config.yaml").read_text() for path in (here.path, *here.later)] == names


class Web(SimpleHTTPRequestHandler):
    """A web server with a file that is forbidden and one that breaks off."""

    def do_GET(self):
        if self.path == "/forbidden.jsonl":
            self.send_error(403)
        elif self.path == "/broken.jsonl":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(lines())
        else:
            super().do_GET()

    def do_HEAD(self):
        self.send_error(405)  # some servers know GET only

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    pytest.importorskip("aiohttp")
    folder = tmp_path_factory.mktemp("web")
    (folder / "runs").mkdir()
    (folder / "runs" / "a.jsonl").write_bytes(lines())
    (folder / "runs" / "b.jsonl").write_bytes(lines(4.0))
    (folder / "empty.jsonl").touch()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Web(*args, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "path", ["runs/a.jsonl", "runs/a.jsonl?signature=a*b", "runs/[ab].jsonl", "runs/*.jsonl", "runs/"]
)
def test_logs_on_the_web(web, path):
    runs = read_all(f"{web}/{path}")
    assert len(runs) == (1 if "a.jsonl" in path else 2)
    assert all(run.source.startswith(f"{web}/runs/") and len(run["loss"]) == 39 for run in runs)


@pytest.mark.parametrize("path", ["runs/a.jsonl", "none.jsonl", "forbidden.jsonl"])
def test_nobody_is_told_the_signature_of_an_address(web, path, capsys):
    main(["check", f"{web}/{path}?X-Amz-Signature=hush", "--isolated", "-f", "json"])
    said = "".join(capsys.readouterr())
    assert f"{web}/{path}" in said
    assert "hush" not in said


def test_what_is_wrong_on_the_web_is_said_and_hides_nothing(web, capsys):
    said = {
        "none.jsonl": "there is no file",
        "forbidden.jsonl": "403",
        "broken.jsonl": "not completed",
        "empty.jsonl": "empty",
    }
    paths = [f"{web}/{name}" for name in (*said, "runs/a.jsonl")]
    assert main(["check", *paths, "--isolated", "-f", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert len(report["runs"]) == 1
    errors = {u["source"].rpartition("/")[2]: u["error"] for u in report["unreadable"]}
    assert errors.keys() == said.keys()
    assert all(words in errors[name] for name, words in said.items()), errors


@pytest.mark.parametrize("path", ["a.jsonl", "*.jsonl", "runs/"])
def test_a_server_that_cannot_be_reached_is_not_a_missing_file(path):
    pytest.importorskip("aiohttp")
    _, (problem,) = find([f"http://127.0.0.1:{free_port()}/{path}"])
    assert "Cannot connect to host" in problem.message


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def google():
    """A bucket on a server of this machine that speaks Google Cloud Storage."""
    pytest.importorskip("gcsfs")
    server_module = pytest.importorskip("gcp_storage_emulator.server")
    port = free_port()
    server = server_module.create_server("127.0.0.1", port, in_memory=True, default_bucket="logs")
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        environment.setenv("NO_GCE_CHECK", "true")  # this is no machine of theirs
        environment.setattr(logging.getLogger("gcp_storage_emulator"), "disabled", True)
        from gcsfs.core import GCSFileSystem  # without the calls to a second service that no emulator has

        fsspec.register_implementation("gs", GCSFileSystem, clobber=True)
        system = GCSFileSystem(token="anon", skip_instance_cache=True)
        system.pipe("logs/runs/a.jsonl", lines())
        system.pipe("logs/runs/b.jsonl", lines(4.0))
        yield "gs://logs"
    server.stop()


def test_logs_on_google_cloud_storage(google):
    assert len(read(f"{google}/runs/a.jsonl")["loss"]) == 39
    assert [run.source for run in read_all(f"{google}/runs/*.jsonl")] == [f"{google}/runs/{n}.jsonl" for n in "ab"]
    assert len(read_all(f"{google}/runs/")) == 2
    for absent in (f"{google}/runs/c.jsonl", "gs://no-such-bucket/a.jsonl"):
        _, (problem,) = find([absent])
        assert "there is no file" in problem.message


@pytest.fixture(scope="module")
def bucket():
    """A bucket on an S3 server of this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    port = free_port()
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
        system.touch("logs/empty.jsonl")
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
    assert "bucket does not exist" in problem.message


def test_credentials_that_are_missing_are_named(bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("s3").clear_instance_cache()
    _, (problem,) = find([f"{bucket}/runs/a.jsonl"])
    assert "credentials" in problem.message.lower()
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:p@ss@host/a.jsonl", "https://host/a.jsonl"),
        ("https://me:p/ss@host/a.jsonl", "https://host/a.jsonl"),
        ("https://me:p/s#s?x@host/a.jsonl", "https://host/a.jsonl"),
        ("https://host/a?code=1f&v=2", "https://host/a?code=…&v=2"),
        ("https://host/a?v=2&pwd=1f", "https://host/a?v=2&pwd=…"),
        ("https://host/a?jwt=1.f", "https://host/a?jwt=…"),
        ("https://host/a?sas=1f", "https://host/a?sas=…"),
        ("https://host/a#access_token=1f", "https://host/a#access_token=…"),
        ("https://host/a;token=1f", "https://host/a;token=…"),
        ("https://host:8080/a@b.jsonl", "https://host:8080/a@b.jsonl"),
        ("http://[::1]:8080/a@b.jsonl", "http://[::1]:8080/a@b.jsonl"),
        (
            "s3://bucket/user@host/a.jsonl?encoding=utf8&codec=x#part;q=1",
            "s3://bucket/user@host/a.jsonl?encoding=utf8&codec=x#part;q=1",
        ),
    ],
)
def test_no_secret_of_an_address_is_shown_and_nothing_else_is_hidden(address, shown):
    assert without_secrets(f"cannot read '{address}': no") == f"cannot read '{shown}': no"
