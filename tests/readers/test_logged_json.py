"""Records in the frames of loggers and logging services: bound values are the record, else the message is read as it was printed."""

import json
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lmdiag.gather import runs_in
from lmdiag.judging.reading import runs_of
from lmdiag.readers.json import lines as json_lines
from lmdiag.readers.json.typed import TypedLines
from lmdiag.sources.source import Source

STEPS = [5, 10, 15, 20, 25, 30, 35, 40]
LOSSES = [4.25, 4.0, 3.75, float("nan"), 3.5, 3.25, 3.125, 3.0]
STAMP = "2026-03-01T10:11:{:02d}.123456Z"


def said(step, loss):
    return f"step {step} loss {loss:.4f} lr {step * 1e-5:.2e}"


def fields(step, loss):
    return {"step": step, "loss": loss, "lr": step * 1e-5}


def stamp(step):
    return STAMP.format(step)


def epoch(step):
    return 1_772_359_860 + step / 10


def loguru(message, extra, step):
    return {
        "text": f"2026-03-01 10:11:12.123 | INFO     | train:loop:31 - {message}\n",
        "record": {
            "elapsed": {"repr": "0:00:07", "seconds": 7.5},
            "exception": None,
            "extra": extra,
            "file": {"name": "train.py", "path": "/app/train.py"},
            "function": "loop",
            "level": {"icon": "i", "name": "INFO", "no": 20},
            "line": 31,
            "message": message,
            "module": "train",
            "name": "train",
            "process": {"id": 4312, "name": "MainProcess"},
            "thread": {"id": 139_652_868, "name": "MainThread"},
            "time": {"repr": stamp(step), "timestamp": epoch(step)},
        },
    }


STDLIB = {
    "name": "trainer",
    "levelname": "INFO",
    "levelno": 20,
    "pathname": "/app/train.py",
    "lineno": 88,
    "process": 991,
    "thread": 14_022,
    "msecs": 120.5,
    "relativeCreated": 8121.7,
    "created": 1_772_359_860.5,
}
GCP = {
    "insertId": "1x",
    "severity": "INFO",
    "resource": {"type": "k8s", "labels": {"pid": "3"}},
    "labels": {"rank": "0"},
}
ECS = {
    "@version": "1",
    "ecs": {"version": "8.11"},
    "log": {"level": "info", "origin": {"file": {"line": 12, "name": "a.py"}}},
    "process": {"pid": 71, "thread": {"id": 5}},
    "host": {"name": "n1"},
}
RAY = {
    "levelname": "INFO",
    "filename": "t.py",
    "lineno": 15,
    "process": 33,
    "job_id": "01",
    "timestamp_ns": 1_772_359_860_123_456_789,
}

# {name: (step, loss) -> the object of a line}: the values are bound to the message
BOUND = {
    "loguru": lambda s, v: loguru("train", fields(s, v), s),
    "loguru, said twice": lambda s, v: loguru(said(s, v), fields(s, v), s),
    "structlog": lambda s, v: {**fields(s, v), "event": "train", "level": "info", "timestamp": stamp(s)},
    "structlog, unix time": lambda s, v: {**fields(s, v), "event": "train", "level": "info", "timestamp": epoch(s)},
    "structlog, tensors": lambda s, v: {
        "step": s,
        "loss": f"tensor({v}, device='cuda:0', grad_fn=<NllLossBackward0>)",
        "lr": f"np.float32({s * 1e-5})",
        "event": "train",
        "level": "info",
    },
    "structlog, jax": lambda s, v: {
        "step": f"np.int64({s})",
        "loss": f"Array({v}, dtype=float32, weak_type=True)",
        "lr": f"jnp.float32({s * 1e-5})",
        "event": "e",
        "level": "info",
    },
    "structlog, tensorflow": lambda s, v: {
        **fields(s, v),
        "loss": f"<tf.Tensor: shape=(), dtype=float32, numpy={v}>",
        "event": "e",
        "logger": "a",
    },
    "python-json-logger": lambda s, v: {
        "message": "train",
        "asctime": "2026-03-01 10:11:12,120",
        **STDLIB,
        **fields(s, v),
    },
    "python-json-logger, strings": lambda s, v: {
        "message": "train",
        **STDLIB,
        **{name: str(value) for name, value in fields(s, v).items()},
    },
    "stdlib, extra apart": lambda s, v: {
        "time": stamp(s),
        "level": "INFO",
        "msg": "train",
        "pid": 7,
        "extra": fields(s, v),
    },
    "zap": lambda s, v: {"level": "info", "ts": epoch(s), "caller": "t/a.go:71", "msg": "train", **fields(s, v)},
    "zerolog": lambda s, v: {"level": "info", "time": int(epoch(s)), "message": "train", **fields(s, v)},
    "pino": lambda s, v: {
        "level": 30,
        "time": int(epoch(s) * 1000),
        "pid": 17,
        "hostname": "n1",
        "msg": "train",
        **fields(s, v),
    },
    "bunyan": lambda s, v: {
        "name": "t",
        "hostname": "n",
        "pid": 17,
        "level": 30,
        "msg": "train",
        "time": stamp(s),
        "v": 0,
        **fields(s, v),
    },
    "slog": lambda s, v: {
        "time": stamp(s),
        "level": "INFO",
        "source": {"line": 71, "file": "a"},
        "msg": "train",
        **fields(s, v),
    },
    "gcp, jsonPayload": lambda s, v: {
        **GCP,
        "timestamp": stamp(s),
        "jsonPayload": {"message": "train", **fields(s, v)},
    },
    "gcp, only fields": lambda s, v: {**GCP, "timestamp": stamp(s), "jsonPayload": fields(s, v)},
    "ecs": lambda s, v: {"@timestamp": stamp(s), "message": "train", **ECS, **fields(s, v)},
    "app insights": lambda s, v: {
        "timestamp": stamp(s),
        "message": "train",
        "severityLevel": 1,
        "customDimensions": fields(s, v),
    },
    "app insights, a string": lambda s, v: {
        "timestamp": stamp(s),
        "message": "train",
        "severityLevel": 1,
        "customDimensions": json.dumps(fields(s, v)),
    },
    "opentelemetry": lambda s, v: {
        "body": "train",
        "severity_text": "INFO",
        "severity_number": 9,
        "observed_timestamp": 1_772_359_860_123_456_789,
        "attributes": fields(s, v),
        "resource": {"service": {"pid": 8}},
    },
    "ray": lambda s, v: {"asctime": "2026-03-01 10:11:12", "message": "train", **RAY, **fields(s, v)},
    "context": lambda s, v: {"level": "info", "message": "train", "context": {"metrics": fields(s, v)}},
    "docker of json": lambda s, v: {"log": json.dumps(fields(s, v)) + "\n", "stream": "stdout", "time": stamp(s)},
    "docker of structlog": lambda s, v: {
        "log": json.dumps({**fields(s, v), "event": "train", "level": "info", "lineno": 7}) + "\n",
        "stream": "stderr",
        "time": stamp(s),
        "kubernetes": {"pod_name": "a", "restarts": 0},
    },
    "fluent bit of loguru": lambda s, v: {
        "date": epoch(s),
        "log": json.dumps(loguru("train", fields(s, v), s)),
        "stream": "stdout",
    },
}
# the same, but the values stand in the message only
PRINTED = {
    "loguru": lambda s, v: loguru(said(s, v), {}, s),
    "loguru, a run bound": lambda s, v: loguru(said(s, v), {"rank": 0, "gpu": 3}, s),
    "loguru, the step bound": lambda s, v: loguru(f"loss {v:.4f} lr {s * 1e-5:.2e}", {"step": s}, s),
    "structlog": lambda s, v: {"event": said(s, v), "level": "info", "timestamp": stamp(s)},
    "python-json-logger": lambda s, v: {"message": said(s, v), "asctime": "2026-03-01 10:11:12,120", **STDLIB},
    "stdlib": lambda s, v: {"time": stamp(s), "level": "INFO", "msg": said(s, v), "line": 88},
    "only a message": lambda s, v: {"message": said(s, v)},
    "docker": lambda s, v: {"log": said(s, v) + "\n", "stream": "stdout", "time": stamp(s)},
    "docker, a prefix": lambda s, v: {
        "log": f"[rank0]: 2026-03-01 10:11:12,120 - INFO - {said(s, v)}\n",
        "stream": "stderr",
        "time": stamp(s),
    },
    "kubernetes": lambda s, v: {
        "log": said(s, v) + "\n",
        "stream": "stdout",
        "kubernetes": {"pod_name": "a", "host": "n1", "restarts": 3},
        "time": stamp(s),
    },
    "fluent bit": lambda s, v: {"date": epoch(s), "log": said(s, v), "stream": "stdout"},
    "gcp": lambda s, v: {**GCP, "timestamp": stamp(s), "textPayload": said(s, v)},
    "gcp, jsonPayload": lambda s, v: {**GCP, "timestamp": stamp(s), "jsonPayload": {"message": said(s, v), "pid": 5}},
    "azure": lambda s, v: {"TimeGenerated": stamp(s), "LogEntry": said(s, v), "ContainerID": "b1", "_ItemId": 4},
    "azure, properties": lambda s, v: {
        "time": stamp(s),
        "category": "kube",
        "properties": {"log": said(s, v) + "\n", "stream": "stdout", "pod": "a"},
    },
    "cloudwatch": lambda s, v: {
        "timestamp": int(epoch(s) * 1000),
        "message": said(s, v),
        "ingestionTime": int(epoch(s) * 1000),
    },
    "journald": lambda s, v: {
        "MESSAGE": said(s, v),
        "_PID": "812",
        "PRIORITY": "6",
        "__REALTIME_TIMESTAMP": "1772359860123456",
        "SYSLOG_IDENTIFIER": "t",
    },
    "loki": lambda s, v: {"labels": {"pod": "a"}, "line": said(s, v), "timestamp": stamp(s)},
    "gelf": lambda s, v: {
        "version": "1.1",
        "host": "n1",
        "short_message": said(s, v),
        "timestamp": epoch(s),
        "level": 6,
    },
    "ecs": lambda s, v: {"@timestamp": stamp(s), "message": said(s, v), **ECS},
    "opentelemetry": lambda s, v: {"body": said(s, v), "severity_number": 9, "attributes": {"code": {"lineno": 3}}},
    "ray": lambda s, v: {"asctime": "2026-03-01 10:11:12", "message": said(s, v), **RAY},
    "pino": lambda s, v: {"level": 30, "time": int(epoch(s) * 1000), "pid": 17, "hostname": "n1", "msg": said(s, v)},
    "docker of loguru": lambda s, v: {
        "log": json.dumps(loguru(said(s, v), {}, s)) + "\n",
        "stream": "stderr",
        "time": stamp(s),
    },
}
FRAMES = {**{f"bound, {k}": v for k, v in BOUND.items()}, **{f"printed, {k}": v for k, v in PRINTED.items()}}
METRICS = {"loss", "lr"}


def lines_of(frame):
    return [json.dumps(frame(step, loss)) for step, loss in zip(STEPS, LOSSES, strict=True)]


def is_json(line):
    """Tell whether a line is one object, or several that are whole."""
    at = 0
    try:
        while at < len(line):
            _, at = json.JSONDecoder().raw_decode(line, at)
    except ValueError:
        return False
    return True


def read(text, name="train.jsonl"):
    (run,) = runs_of(Source(name, content=text.encode()))
    return run


def curve(run, metric="loss"):
    return dict(zip(run[metric].steps.tolist(), run[metric].values.tolist(), strict=True))


EXPECTED = dict(zip(STEPS, LOSSES, strict=True))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_the_values_in_a_frame_are_those_of_the_program(frame):
    run = read("\n".join(lines_of(frame)) + "\n")
    assert curve(run) == pytest.approx(EXPECTED, nan_ok=True)
    assert set(run.series) - {"time", "rank", "gpu"} == METRICS
    assert (run.step_kind, run.skipped) == ("step", ())
    assert run["loss"].lines.tolist() == list(range(1, 9))
    assert run.account.lines == run.account.with_records == 8


@pytest.mark.parametrize("name", ["train.log", "stdout", "loss.json"])
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_the_name_of_the_file_does_not_matter(frame, name):
    assert curve(read("\n".join(lines_of(frame)) + "\n", name)) == pytest.approx(EXPECTED, nan_ok=True)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_an_export_is_a_list_of_frames(frame):
    text = json.dumps([frame(step, loss) for step, loss in zip(STEPS, LOSSES, strict=True)], indent=1)
    assert curve(read(text, "export.json")) == pytest.approx(EXPECTED, nan_ok=True)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_each_untouched_record_is_read_or_counted(frame, data):
    """Lines that are torn in front, in the middle or behind, or glued to the next, cost themselves at most, and are counted."""
    lines = lines_of(frame)
    torn = data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=3))
    for at in torn:
        line = lines[at]
        cut = data.draw(st.integers(1, len(line) - 1))
        lines[at] = data.draw(
            st.sampled_from([line[:cut], line[cut:], line[: cut // 2] + line[cut:] if cut > 1 else line[1:]])
        )
        assume(not is_json(lines[at]))
    ends = ["" if at in torn and data.draw(st.booleans()) else "\n" for at in range(len(lines))]
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    run = read(text)
    found = curve(run)
    untouched = {step: loss for at, (step, loss) in enumerate(EXPECTED.items()) if at not in torn}
    counted = sum(skip.count for skip in run.skipped)
    missing = [step for step, loss in untouched.items() if step not in found]
    assert len(missing) <= counted
    assert all(math.isnan(loss) or found[step] == loss for step, loss in untouched.items() if step in found)
    assert counted or all(is_json(line) for line in text.splitlines())  # two pieces can make one whole record


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("learns", [True, False])
def test_logs_are_read_the_same_with_care_and_by_type(frame, learns, monkeypatch):
    if not learns:
        monkeypatch.setattr(TypedLines, "_learn", lambda *_: False)
    lines = [json.dumps(frame(step, 5 - step / 1000)) for step in range(1, 301)]
    run = read("\n".join(lines) + "\n")
    assert curve(run) == pytest.approx({step: 5 - step / 1000 for step in range(1, 301)}, abs=1e-4)
    assert set(run.series) - {"time", "rank", "gpu"} == METRICS
    assert run.account.lines == run.account.with_records == 300


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_growing_log_is_read_the_same(frame):
    lines = [line + "\n" for line in lines_of(frame)]
    growing = json_lines.begin("train.jsonl", lines[0])
    for line in lines[:-1]:
        growing.feed(line)
    growing.logs()
    growing.feed(lines[-1])
    (run,) = runs_in(growing.logs(), "train.jsonl")
    assert curve(run) == pytest.approx(EXPECTED, nan_ok=True)


def test_fields_and_messages_of_one_log_are_one_run():
    """Training binds its values, the evaluation only prints them; what says nothing is no record."""
    lines = [{"event": "loading", "level": "info"}]
    for step in range(1, 31):
        lines.append({"event": "train", "level": "info", "step": step, "loss": 5 - step / 10})
        if step % 10 == 0:
            lines.append({"event": f"step {step}: val_loss {5.2 - step / 10:.3f}", "level": "info"})
    run = read("\n".join(map(json.dumps, lines)) + "\n")
    assert curve(run) == {step: 5 - step / 10 for step in range(1, 31)}
    assert curve(run, "val/loss") == {10: 4.2, 20: 3.2, 30: 2.2}
    assert (run.account.with_records, run.account.text, run.account.lines) == (33, 1, 34)


def test_what_belongs_to_the_frame_is_said():
    run = read("\n".join(lines_of(BOUND["python-json-logger"])) + "\n")
    why = {column.name: column.why for column in run.account.columns}
    assert why["lineno"] == why["process"] == "it belongs to the frame of the logger"


def test_a_record_with_a_message_is_no_frame():
    """Without a level or a logger the other fields are those of the program."""
    lines = [
        json.dumps({"event": "train", "step": s, "loss": 5 - s / 10, "time": 0.5 + s, "line": s % 3})
        for s in range(1, 9)
    ]
    run = read("\n".join(lines) + "\n")
    assert {"loss", "time", "line"} <= set(run.series)


def test_a_message_of_several_lines_is_read_whole():
    lines = [
        json.dumps({"level": "INFO", "message": f"epoch 1\n  step {s} loss {5 - s / 10:.2f}\ndone"})
        for s in range(1, 9)
    ]
    run = read("\n".join(lines) + "\n")
    assert curve(run) == {s: round(5 - s / 10, 2) for s in range(1, 9)}
    assert run.account.lines == run.account.with_records == 8


def test_a_crash_in_the_messages_is_told():
    lines = [json.dumps({"log": f"step {s} loss {5 - s / 10:.2f}\n", "stream": "stdout"}) for s in range(1, 9)]
    crash = 'Traceback (most recent call last):\n  File "a.py", line 3\nRuntimeError: CUDA out of memory'
    lines += [json.dumps({"log": line + "\n", "stream": "stderr"}) for line in crash.split("\n")]
    run = read("\n".join(lines) + "\n")
    assert [event.kind for event in run.events] == ["exception", "oom", "end"]


def test_a_crash_beside_bound_values_is_told():
    lines = [json.dumps({"event": "train", "level": "info", "step": s, "loss": 5 - s / 10}) for s in range(1, 9)]
    crash = 'Traceback (most recent call last):\n  File "a.py", line 3\nRuntimeError: CUDA out of memory'
    run = read("\n".join([*lines, json.dumps({"event": "failed", "level": "error", "exception": crash})]) + "\n")
    assert [(event.kind, event.step) for event in run.events] == [("exception", 8), ("oom", 8), ("end", 8)]
    assert run["loss"].steps.tolist() == list(range(1, 9))
