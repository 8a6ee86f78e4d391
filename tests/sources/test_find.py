"""Folders, globs and lists of paths: each log is found once, and what cannot be read hides nothing."""

import bz2
import json
import lzma
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import find, read, read_all, read_runs
from lmdiag.readers import reader_of


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def curve(start=3.0, n=6):
    return [{"step": s, "loss": start - s / 10, "lr": 0.1} for s in range(1, n)]


def state(path, n):
    path.parent.mkdir(parents=True, exist_ok=True)
    history = [{"step": s, "loss": 5.0 - s / 1000, "learning_rate": 0.1} for s in range(1, n)]
    path.write_text(json.dumps({"epoch": 1.0, "global_step": n - 1, "log_history": history}))


def names(sources, root):
    return [source.name.removeprefix(f"{root.as_posix()}/") for source in sources]


def test_every_log_below_a_folder_is_found(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    write(tmp_path / "deep/er/b.jsonl", curve(4.0))
    (tmp_path / "README.md").write_text("loss")
    (tmp_path / "config.json").write_text('{"loss": [1, 2]}')
    (tmp_path / "notes.txt").write_text("nothing here\n")
    sources, problems = find([tmp_path])
    assert (names(sources, tmp_path), problems) == (["a.jsonl", "deep/er/b.jsonl"], [])


def test_a_path_given_twice_is_one_log(tmp_path):
    path = write(tmp_path / "a.jsonl", curve())
    assert len(find([path, tmp_path, str(path)])[0]) == 1


def test_globs(tmp_path):
    for name in ("a1", "a2", "b"):
        write(tmp_path / f"{name}.jsonl", curve())
    assert names(find([f"{tmp_path}/a*.jsonl"])[0], tmp_path) == ["a1.jsonl", "a2.jsonl"]


def test_two_stars_at_the_end_mean_the_folder(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    write(tmp_path / "deep/er/b.jsonl", curve(4.0))
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    for pattern in (f"{tmp_path}/**", f"{tmp_path}/**/*.jsonl"):
        sources, problems = find([pattern])
        assert (names(sources, tmp_path), problems) == (["a.jsonl", "deep/er/b.jsonl"], [])


def test_links_in_circles_end(tmp_path):
    write(tmp_path / "a/run.jsonl", curve())
    for name in ("one", "two", "three"):
        (tmp_path / "a" / name).symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "itself.jsonl").symlink_to(tmp_path / "itself.jsonl")
    for pattern in (tmp_path, f"{tmp_path}/**/*.jsonl"):
        sources, _ = find([pattern])
        assert "a/run.jsonl" in names(sources, tmp_path)
        assert len(sources) <= 2
    _, (problem,) = find([tmp_path / "itself.jsonl"])
    assert "there is no file" in problem.message


def test_a_pipe_is_read_once_and_whole(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    records = "".join(json.dumps(record) + "\n" for record in curve(n=5000))
    writer = threading.Thread(target=pipe.write_text, args=(records,))
    writer.start()
    assert len(read(pipe)["loss"]) == 4999
    writer.join()


def test_a_name_that_no_file_can_have(tmp_path):
    runs, problems = read_runs(["a\0b"])
    assert (runs, [p.message for _, p in problems]) == ([], [r"no file has the name 'a\x00b'"])


@pytest.mark.parametrize("given", [("good.jsonl", "closed.jsonl", "folder"), (".",)], ids=["by name", "in a folder"])
def test_what_may_not_be_read_is_said_and_hides_nothing(tmp_path, given):
    write(tmp_path / "good.jsonl", curve())
    write(tmp_path / "closed.jsonl", curve()).chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    for above in (tmp_path, *tmp_path.parents):
        if above == Path(tempfile.gettempdir()):
            break
        above.chmod(0o755)
    program = (
        "import os, sys\nfrom lmdiag.judging.reading import read_runs\nfrom lmdiag.readers import READERS, reader_named\nread_runs(sys.argv[1:2])\n"
        "[reader_named(name) for name in READERS]\nimport difflib\n"
        "if os.getuid() == 0: os.setuid(65534)\n"  # nobody: root may read everything
        "runs, problems = read_runs(sys.argv[1:])\nprint(len(runs), *(p.message for _, p in problems), sep='\\n')"
    )
    paths = [tmp_path / name for name in given]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    read, *problems = done.stdout.splitlines()
    assert read == "1"
    assert len(problems) == 2
    assert all("cannot read" in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.zip", b"PK\x03\x04" + bytes(60), "a zip archive"),
        ("a.tar", b"a.log" + bytes(252) + b"ustar", "a tar archive"),
        ("a.jsonl.xz", lzma.compress(b'{"step": 1, "loss": 2}'), "packed with xz"),
        ("a.jsonl.bz2", bz2.compress(b'{"step": 1, "loss": 2}'), "packed with bzip2"),
    ],
)
def test_what_is_packed_otherwise_is_the_users_to_unpack(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableLog, match=f"is {what}") as refused:
        read(tmp_path / name)
    assert "unpack it" in refused.value.hint


def test_a_stream_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("lmdiag.sources.local.LARGEST_STREAM", 3 << 20)
    with open("/dev/urandom", "rb") as endless:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=endless))
        _, (problem,) = find(["-"])
    assert "holds more than 3 MiB" in problem.message


def test_what_is_found_holds_no_bytes(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    (source,) = find([tmp_path])[0]
    assert not {"head", "data", "text", "utf8", "_start"} & set(vars(source))


def test_a_missing_file_names_the_closest_one(tmp_path):
    write(tmp_path / "train.jsonl", curve())
    _, (problem,) = find([tmp_path / "trian.jsonl"])
    assert "there is no file" in problem.message
    assert "train.jsonl" in problem.hint


def test_a_folder_without_logs_is_a_problem(tmp_path):
    _, (problem,) = find([tmp_path])
    assert problem.message == f"nothing in the folder {tmp_path} has the name of a log"


def test_a_folder_too_large_to_look_through_says_how_far_it_was_searched(tmp_path):
    for number in range(201):
        (tmp_path / f"{number:03}.bin").write_bytes(b"\0\1")
    _, (problem,) = find([tmp_path])
    assert problem.message == (
        f"nothing in the folder {tmp_path} has the name of a log, and none of its first 200 files holds one"
    )
    (tmp_path / "200.bin").unlink()
    _, (problem,) = find([tmp_path])
    assert problem.message == f"nothing in the folder {tmp_path} has the name of a log"


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (["a.log"], "the one likely log in the folder {} could not be recognised", "check it by name to see why"),
        (
            ["a.log", "b.csv"],
            "none of the 2 likely logs in the folder {} could be recognised",
            "check one of them by name to see why",
        ),
    ],
)
def test_a_folder_of_files_that_are_called_like_logs_and_are_none_is_a_problem(tmp_path, names, message, hint):
    for name in names:
        (tmp_path / name).write_text("nothing to see here\n")
    _, (problem,) = find([tmp_path])
    assert (problem.message, problem.hint) == (message.format(tmp_path), hint)


def test_of_the_checkpoints_of_a_run_the_furthest_is_read(tmp_path):
    for step in (10, 20, 100):
        state(tmp_path / f"x/checkpoint-{step}/trainer_state.json", step)
    state(tmp_path / "y/checkpoint-5/trainer_state.json", 6)
    sources, _ = find([tmp_path])
    assert names(sources, tmp_path) == ["x/checkpoint-100/trainer_state.json", "y/checkpoint-5/trainer_state.json"]


def test_states_that_were_given_names_are_runs_of_their_own(tmp_path):
    for name, step in (("a", 20), ("b", 30)):
        state(tmp_path / f"{name}_trainer_state.json", step)
    sources, _ = find([tmp_path])
    assert names(sources, tmp_path) == ["a_trainer_state.json", "b_trainer_state.json"]


def test_a_second_log_of_the_same_run_is_said_and_not_counted(tmp_path):
    state(tmp_path / "x/trainer_state.json", 20)
    write(
        tmp_path / "x/trainer_log.jsonl", [{"current_steps": s, "loss": round(5.0 - s / 1000, 4)} for s in range(1, 20)]
    )
    write(tmp_path / "z/other.jsonl", curve())
    runs, problems = read_runs([tmp_path])
    assert ([run.name for run in runs], problems) == (["x", f"{tmp_path.as_posix()}/z/other.jsonl"], [])
    assert "trainer_log.jsonl holds the same values" in runs[0].notes[-1]


def test_one_broken_file_never_hides_the_others(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    (tmp_path / "trainer_state.json").write_text('{"log_history": []}')
    runs, problems = read_runs([tmp_path, tmp_path / "missing"])
    assert (len(runs), len(problems)) == (1, 2)


def test_standard_input(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", curve())
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert len(read("-")["loss"]) == 5


def test_read_wants_exactly_one_run(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    write(tmp_path / "b.jsonl", curve(9.0))
    assert len(read_all(tmp_path)) == 2
    with pytest.raises(UnreadableLog, match="holds 2 runs"):
        read(tmp_path)
    with pytest.raises(UnreadableLog, match="there is no file"):
        read(tmp_path / "c")


def test_a_file_of_no_known_kind_says_how_it_begins(tmp_path):
    (tmp_path / "a.log").write_text("Hello, world\n")
    with pytest.raises(UnreadableLog, match="Hello, world"):
        read(tmp_path / "a.log")
    (tmp_path / "empty.log").touch()
    with pytest.raises(UnreadableLog, match="is empty"):
        read(tmp_path / "empty.log")


def test_the_files_of_a_folder_that_is_read_as_a_whole_are_not_read_again(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
    (whole,) = [s for s in find([tmp_path])[0] if s.is_folder]
    assert reader_of(whole).__name__.endswith("tensorboard.reader")


def test_a_folder_without_logs_hides_no_other_log_of_a_glob(tmp_path):
    write(tmp_path / "a/a.jsonl", curve())
    (tmp_path / "empty").mkdir()
    write(tmp_path / "z/z.jsonl", curve(4.0))
    for pattern in (f"{tmp_path}/*", f"{tmp_path}/*/"):
        sources, (problem,) = find([pattern])
        assert names(sources, tmp_path) == ["a/a.jsonl", "z/z.jsonl"]
        assert "empty" in problem.message


def test_a_glob_that_ends_in_a_slash_means_folders(tmp_path):
    write(tmp_path / "a.jsonl", curve())
    write(tmp_path / "b/b.jsonl", curve(4.0))
    write(tmp_path / "b/deep/c.jsonl", curve(5.0))
    assert names(find([f"{tmp_path}/*/"])[0], tmp_path) == ["b/b.jsonl", "b/deep/c.jsonl"]
    for pattern in (f"{tmp_path}/**/", f"{tmp_path}/**"):
        assert names(find([pattern])[0], tmp_path) == ["a.jsonl", "b/b.jsonl", "b/deep/c.jsonl"]


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path):
    write(tmp_path / "weird[1]/a.jsonl", curve())
    write(tmp_path / "weird1/b.jsonl", curve())
    for pattern in ("*.jsonl", "**", "*", "**/*.jsonl"):
        assert names(find([f"{tmp_path}/weird[1]/{pattern}"])[0], tmp_path) == ["weird[1]/a.jsonl"]
    assert names(find([f"{tmp_path}/weird[0-9]/*.jsonl"])[0], tmp_path) == ["weird1/b.jsonl"]


def test_each_file_is_read_once_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "sub/a.jsonl", curve())
    write(tmp_path / "b.jsonl", curve(9.0))
    (tmp_path / "link.jsonl").symlink_to("b.jsonl")
    for paths in (
        ["b.jsonl", "./b.jsonl", f"{tmp_path}/b.jsonl", "link.jsonl", f"file://{tmp_path}/b.jsonl", "sub"],
        [".", "sub", "sub/a.jsonl", f"file://{tmp_path}/sub"],
        [f"file://{tmp_path}", "sub", "."],
        ["sub", "."],
    ):
        runs, problems = read_runs(paths)
        assert (len(runs), problems) == (2, []), paths


def test_an_address_is_known_however_it_is_written():
    import fsspec

    fsspec.filesystem("memory").pipe("/once/a.jsonl", b"".join(b'{"step": %d, "loss": 2}\n' % s for s in range(9)))
    runs, problems = read_runs(["memory://once/a.jsonl", "memory:///once/a.jsonl", "memory://once/"])
    assert (len(runs), problems) == (1, [])
    assert "memory:///once/a.jsonl" in [source.name for source in find(["memory://"])[0]]


def test_a_whole_machine_is_no_folder_of_logs():
    _, (problem,) = find(["file:///"])
    assert "name a folder" in problem.hint


def test_where_no_name_is_that_of_a_log_the_content_decides(tmp_path):
    write(tmp_path / "results" / "rnn.md", curve())
    (tmp_path / "results" / "README").write_text("How the model was trained.\n")
    (source,) = find([tmp_path])[0]
    assert source.name.endswith("results/rnn.md")
    write(tmp_path / "train.jsonl", curve())
    (source,) = find([tmp_path])[0]
    assert source.name.endswith("train.jsonl")
