"""Following a log that grows gives at every moment what reading it as a whole gives, and reads no line twice."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.json.lines import GrowingRows
from lmdiag.readers.options import ReadOptions
from lmdiag.sources.source import Source
from lmdiag.watching import follower as follow
from lmdiag.watching.follower import Follower


def standard(steps=range(1, 200)):
    head = '{"type":"run","schema":"lmdiag-log/1","run_id":"a","max_steps":400,"grad_clip":1.0}\n'
    lines = [f'{{"type":"step","step":{s},"loss":{9 / s:.4f},"lr":0.001}}\n' for s in steps]
    return head + "".join(lines) + '{"type":"eval","step":199,"split":"val","loss":2.0}\n'


def plain_jsonl():
    return "".join(f'{{"step": {s}, "train_loss": {9 / s:.4f}, "total_steps": 300}}\n' for s in range(1, 200))


def nanogpt():
    lines = ["tokens per iteration will be: 491,520", "number of parameters: 123.59M"]
    for s in range(200):
        if s % 50 == 0:
            lines.append(f"step {s}: train loss {9 / (s + 1):.4f}, val loss {9.1 / (s + 1):.4f}")
        lines.append(f"iter {s}: loss {9 / (s + 1):.4f}, time 250.10ms, mfu 17.98%")
    return "\n".join(lines) + "\n"


def console():
    lines = ["***** Running training *****", "  Num Epochs = 3", "  Total optimization steps = 300"]
    for s in range(10, 200, 10):
        lines.append(f"{s / 3:3.0f}%|###   | {s}/300 [00:10<00:20, 1.2it/s]\r")
        lines.append(
            f"{{'loss': {9 / s:.4f}, 'grad_norm': 1.5, 'learning_rate': {1e-4 * (1 - s / 300):.3e}, 'epoch': {s / 100}}}"
        )
    return "\n".join(lines) + "\n"


LOGS = {"standard.jsonl": standard(), "plain.jsonl": plain_jsonl(), "nanogpt.log": nanogpt(), "console.log": console()}


def same(ours, theirs):
    assert [run.name for run in ours] == [run.name for run in theirs]
    for a, b in zip(ours, theirs):
        assert (a.format, a.config, a.events, a.segments, a.notes) == (
            b.format,
            b.config,
            b.events,
            b.segments,
            b.notes,
        )
        assert set(a) == set(b)
        for metric in a:
            assert a[metric].steps.tolist() == b[metric].steps.tolist()
            assert a[metric].lines.tolist() == b[metric].lines.tolist()
            np.testing.assert_array_equal(a[metric].values, b[metric].values)


@pytest.mark.parametrize("small", [500, follow.SMALL], ids=["line by line", "as a whole"])
@pytest.mark.parametrize("name", LOGS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_at_every_moment_it_is_what_the_whole_lines_say(tmp_path_factory, monkeypatch, name, small, cuts):
    monkeypatch.setattr(follow, "SMALL", small)
    path, data = tmp_path_factory.mktemp("log") / name, LOGS[name].encode()
    follower = Follower(str(path))
    for stop in sorted({min(c, len(data)) for c in cuts} | {len(data)}):
        path.write_bytes(data[:stop])
        follower.poll()
        whole = data[:stop][: data[:stop].rfind(b"\n") + 1]
        try:
            theirs = runs_of(Source(str(path), content=whole))
        except UnreadableLog:
            continue
        ours = follower.runs()
        same(ours, theirs)
        same(follower.runs(), theirs)


def test_no_line_is_parsed_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "SMALL", 1000)
    parsed = []
    feed = GrowingRows.feed
    monkeypatch.setattr(GrowingRows, "feed", lambda self, lines: parsed.append(lines) or feed(self, lines))
    path, text = tmp_path / "a.jsonl", plain_jsonl()
    follower = Follower(str(path))
    for line in text.splitlines(keepends=True):
        with path.open("a") as file:
            file.write(line)
        assert follower.poll()
        if not parsed:
            follower.runs()
    assert "".join(parsed) == text
    assert len(follower.runs()[0]["loss"]) == 199


def test_a_file_that_does_not_exist_yet_is_awaited(tmp_path):
    follower = Follower(str(tmp_path / "a.jsonl"))
    assert not follower.poll()
    with pytest.raises(UnreadableLog):
        follower.runs()
    (tmp_path / "a.jsonl").write_text(standard())
    assert follower.poll()
    assert follower.runs()[0].last_step == 199


@pytest.mark.parametrize("small", [500, follow.SMALL])
@pytest.mark.parametrize("how", ["moved", "cut"])
def test_a_rotated_log_goes_on(tmp_path, monkeypatch, small, how):
    monkeypatch.setattr(follow, "SMALL", small)
    path, text = tmp_path / "a.jsonl", standard()
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[:100]))
    follower = Follower(str(path))
    follower.poll()
    with path.open("a") as file:
        file.writelines(lines[100:110])
    if how == "moved":
        path.rename(tmp_path / "a.jsonl.1")
    else:
        follower.poll()
        os.truncate(path, 0)
        follower.poll()
    with path.open("a") as file:
        file.writelines(lines[110:])
    follower.poll()
    (run,) = follower.runs()
    assert run["loss"].steps.tolist() == list(range(1, 200))
    assert run.config["grad_clip"] == 1.0


def test_a_file_that_is_written_anew_with_more_is_one_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    follower = Follower(str(path))
    for count in (120, 150, 199):
        fresh = tmp_path / "fresh"
        fresh.write_text("".join(plain_jsonl().splitlines(keepends=True)[:count]))
        fresh.replace(path)
        follower.poll()
        (run,) = follower.runs()
        assert len(run["loss"]) == count
        assert len(run.segments) == 1


def test_a_file_that_is_written_over_by_a_longer_one_is_noticed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(plain_jsonl().splitlines(keepends=True)[:50]))
    follower = Follower(str(path))
    follower.poll()
    path.write_text(plain_jsonl().replace("300", "250").replace("9.0000", "8.0000"))
    assert follower.poll()
    assert follower.runs()[-1]["loss"].values[[0, -1]].tolist() == [8.0, 0.0452]


def test_a_torn_line_of_a_killed_run_is_counted_and_the_restart_is_one(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(standard(range(1, 100)).rpartition('{"type":"eval"')[0] + '{"type":"step","st')
    follower = Follower(str(path))
    follower.poll()
    with path.open("a") as file:
        file.write('\n{"type":"run","schema":"lmdiag-log/1","run_id":"a","resumed_from_step":90}\n')
        file.write("".join(f'{{"type":"step","step":{s},"loss":{9 / s:.4f}}}\n' for s in range(91, 120)))
    follower.poll()
    (run,) = follower.runs()
    assert (run.last_step, len(run.segments), sum(s.count for s in run.skipped)) == (119, 2, 1)


def test_other_formats_are_read_anew(tmp_path):
    path = tmp_path / "metrics.csv"
    follower = Follower(str(path))
    for count in (20, 40):
        path.write_text("step,train/loss\n" + "".join(f"{s},{9 / s}\n" for s in range(1, count)))
        assert follower.poll()
        assert follower.runs()[0].last_step == count - 1
    assert not follower.poll()


def test_standard_input_ends(tmp_path, monkeypatch):
    (tmp_path / "in").write_text(plain_jsonl().rstrip("\n"))
    with (tmp_path / "in").open("rb") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        follower = Follower("-")
        while not follower.ended:
            follower.poll()
    assert follower.runs()[0].last_step == 199


def test_what_the_user_says_about_the_log_is_heeded(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "SMALL", 100)
    path = tmp_path / "a.log"
    path.write_text("".join(f"at {s} we lost {9 / s:.3f} or {s}\n" for s in range(1, 50)))
    follower = Follower(str(path), ReadOptions(pattern=r"at (?P<step>\d+) we lost (?P<loss>[\d.]+)"))
    follower.poll()
    assert follower.runs()[0]["loss"].values[:2].tolist() == [9.0, 4.5]
    mapped = Follower(
        str(path), ReadOptions(mapping={"loss": "odd"}, pattern=r"at (?P<step>\d+) we lost (?P<odd>[\d.]+)")
    )
    mapped.poll()
    assert mapped.runs()[0]["loss"].values[:2].tolist() == [9.0, 4.5]


def test_the_polling_of_an_idle_file_reads_next_to_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(standard() * 20)
    follower = Follower(str(path))
    follower.poll()
    read = []
    opened = Path.open

    def counted(self, *args):
        read.append(self)
        return opened(self, *args)

    monkeypatch.setattr(Path, "open", counted)
    assert not any(follower.poll() for _ in range(5))
    assert not read


@pytest.mark.parametrize("name", LOGS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 300)), max_size=8),
    cut=st.floats(0, 1),
)
def test_damaged_logs_end_in_runs_or_in_an_error_a_user_can_fix(tmp_path_factory, monkeypatch, name, damage, cut):
    monkeypatch.setattr(follow, "SMALL", 400)
    data = LOGS[name].encode()
    for place, bytes_, removed in damage:
        at = int(place * len(data))
        data = data[:at] + bytes_ + data[at + removed :]
    path = tmp_path_factory.mktemp("log") / name
    follower = Follower(str(path))
    for stop in (int(cut * len(data)), len(data)):
        path.write_bytes(data[:stop])
        follower.poll()
        try:
            runs = follower.runs()
        except LmdiagError:
            continue
        assert all(run.series for run in runs)


def bars(losses, end=""):
    """What a progress bar without line feeds writes."""
    lines = [f"\rEpoch 0: {n // 3}%|###   | {n}/300 [00:01<00:02, 3.0it/s, loss={x:.4f}]" for n, x in enumerate(losses)]
    return "".join(lines) + end


@pytest.mark.parametrize("small", [2000, follow.SMALL], ids=["line by line", "as a whole"])
@pytest.mark.parametrize("end", ["", "\r", "\r\ndone\n"])
def test_lines_that_end_with_carriage_returns_alone_are_lines(tmp_path, monkeypatch, small, end):
    monkeypatch.setattr(follow, "SMALL", small)
    path, text = tmp_path / "bar.log", bars([9 / n for n in range(1, 200)], end)
    follower = Follower(str(path))
    for stop in (4000, 8000, len(text)):
        path.write_text(text[:stop])
        assert follower.poll()
    follower.close_line()
    (ours,), (theirs,) = follower.runs(), runs_of(Source(str(path), path=path))
    assert ours["loss"].values.tolist() == theirs["loss"].values.tolist()
    assert len(ours["loss"]) == 199


@pytest.mark.parametrize("small", [500, follow.SMALL], ids=["line by line", "as a whole"])
def test_a_line_without_an_end_can_be_read_and_is_read_again_when_the_rest_has_come(tmp_path, monkeypatch, small):
    monkeypatch.setattr(follow, "SMALL", small)
    path = tmp_path / "a.log"
    path.write_text("".join(f"step {s} loss {9 / s:.4f}\n" for s in range(1, 41)) + "step 41 loss 3")
    follower = Follower(str(path))
    assert follower.poll()
    assert follower.runs()[0].last_step == 40
    assert follower.close_line()
    assert not follower.close_line()
    assert follower.runs()[0]["loss"].values[-2:].tolist() == [0.225, 3.0]
    with path.open("a") as file:
        file.write(".75\nstep 42 loss 3.5\n")
    assert follower.poll()
    assert follower.runs()[0]["loss"].values[-3:].tolist() == [0.225, 3.75, 3.5]
    assert not follower.close_line()


class Stale:
    """A file that a network drive no longer gives."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def read(self, size=-1):
        raise OSError(116, "Stale file handle")


def test_a_file_that_cannot_be_read_any_more_is_opened_anew(tmp_path):
    path, lines = tmp_path / "a.jsonl", standard().splitlines(keepends=True)
    path.write_text("".join(lines[:100]))
    follower = Follower(str(path))
    follower.poll()
    tail = follower._input
    tail._file = Stale(tail._file)
    (tmp_path / "new").write_text("".join(lines))
    (tmp_path / "new").replace(path)
    assert follower.poll()
    (run,) = follower.runs()
    assert run["loss"].steps.tolist() == list(range(1, 200))


def test_a_file_that_cannot_be_opened_again_is_awaited(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(standard(range(1, 100)))
    follower = Follower(str(path))
    follower.poll()
    follower._input._file = Stale(follower._input._file)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda *args, **kwargs: Stale(None).read())
        assert not follower.poll()
    path.write_text(standard())
    assert follower.poll()
    assert follower.runs()[0].last_step == 199


def test_a_log_that_is_gone_was_last_changed_when_it_was_there(tmp_path):
    path = tmp_path / "a.jsonl"
    follower = Follower(str(path))
    assert not follower.gone
    path.write_text(standard())
    os.utime(path, (1000, 1000))
    assert follower.poll()
    assert follower.changed == 1000
    path.unlink()
    assert (follower.gone, follower.changed, follower.poll()) == (True, 1000, False)
    assert follower.runs()[0].last_step == 199


@pytest.mark.parametrize("made_of", [dict, list], ids=["keras history", "records"])
def test_a_document_without_a_line_end_that_is_written_anew_is_read_as_a_whole(tmp_path, made_of):
    path = tmp_path / "history.json"
    follower = Follower(str(path))
    for n in (10, 30, 60):
        losses = [9 / s for s in range(1, n + 1)]
        records = [{"step": s, "loss": loss} for s, loss in enumerate(losses)]
        path.write_text(json.dumps({"loss": losses, "val_loss": losses} if made_of is dict else records))
        assert not follower.poll()
    assert follower.close_line()
    assert len(follower.runs()[0].curve[1]) == 60
