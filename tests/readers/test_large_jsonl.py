"""The fast way of reading large logs gives exactly what decoding each line gives."""

import json
import random

import numpy as np
import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.json import lines as jsonl
from lmdiag.readers.json.decode import decode
from lmdiag.readers.json.taking import take_line, take_lines
from lmdiag.readers.json.typed import TypedLines
from lmdiag.readers.tables import rows
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.source import Source
from tests.readers.test_json_lines import CASES

ODD = [line if isinstance(line, bytes) else line.encode() for line, *_ in CASES.values() if len(line) < 1000]


def by_lines(content):
    """Decode each line by itself: what the quicker ways must not differ from."""
    rows = Rows()
    text = Source("a", content=content).text
    rows.tally.count_lines(text)
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if line.strip():
            take_line(rows, number, decode(line), jsonl.take)
        else:
            rows.tally.blank += 1
    return the_log(rows)


def together(content):
    rows = Rows()
    text = Source("a", content=content).text
    rows.tally.count_lines(text)
    take_lines(rows, text.removesuffix("\n").split("\n"), jsonl.take, 1, ("", ""))
    return the_log(rows)


def by_blocks(content, size):
    return the_log(typed(Source("a", content=content).blocks(size)))


def typed(blocks):
    lines = TypedLines(jsonl.take)
    for block in blocks:
        lines.add(block)
    return lines.rows


def the_log(rows):
    return jsonl.logs_of(rows, "jsonl", "a", {})[0]


def assert_same(one, other):
    assert (one.n_rows, set(one.columns), one.config) == (other.n_rows, set(other.columns), other.config)
    assert [c.rows[0] for c in one.columns.values()] == [c.rows[0] for c in other.columns.values()]
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column.rows, other.columns[name].rows, name)
        np.testing.assert_array_equal(column.values, other.columns[name].values, name)
    np.testing.assert_array_equal(one.lines, other.lines)
    assert one.tally == other.tally
    assert sorted(map(str, one.skipped)) == sorted(map(str, other.skipped))


def record(number, rng, style):
    cells = {"step": number, "loss": rng.random(), "lr": 1e-3}
    if number % 50 == 0:
        cells["val_loss"] = rng.random()
    if number > 250:
        cells["late"] = number
    return (
        cells
        | {
            "plain": {},
            "null": {"reward": None},
            "words": {"kind": "F", "run_time": f"0:00:{number}"},
            "quoted": {"grad_norm": str(rng.random())},
            "nested": {"optim": {"beta": 0.9}},
            "flags": {"skipped": number % 3 == 0},
            "totals": {"total_steps": 600 if number < 400 else 900},
            "fractions": {"iter": f"{number}/{600 if number < 400 else 900}", "at": f"{number}/7"},
            "huge": {"tokens": number * 10 ** (number % 320)},
        }[style]
    )


@pytest.mark.parametrize(
    "style", ["plain", "null", "words", "quoted", "nested", "flags", "totals", "fractions", "huge"]
)
@pytest.mark.parametrize("damaged", [0.0, 0.01, 0.3, 0.7])
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["spaced", "compact"])
def test_blocks_and_lines_agree(style, damaged, separators):
    rng = random.Random(f"{style}{damaged}{separators}")
    lines = [
        rng.choice(ODD) if rng.random() < damaged else json.dumps(record(n, rng, style), separators=separators).encode()
        for n in range(600)
    ]
    content = b"\n".join(lines) + rng.choice([b"", b"\n", b"\r\n"])
    assert_same(by_lines(content), together(content))
    for size in (3000, 1 << 24):
        assert_same(by_lines(content), by_blocks(content, size))


def test_large_standard_logs(monkeypatch):
    head = {"type": "run", "schema": "lmdiag-log/1", "run_id": "a", "name": "a", "config": {"x": {"y": 1}}}
    records = [head]
    for step in range(1, 2000):
        records.append({"type": "step", "step": step, "loss": 1 / step})
        if step % 500 == 0:
            records.append({"type": "eval", "step": step, "split": "val", "loss": 2 / step})
            records.append({"type": "event", "kind": "checkpoint_saved", "step": step})
    records.append({**head, "resumed_from_step": 1500})
    records += [{"type": "step", "step": step, "loss": 3 / step} for step in range(1501, 1700)]
    content = "".join(json.dumps(r) + "\n" for r in records).encode()
    (fast,) = runs_of(Source("a.jsonl", content=content))
    monkeypatch.setattr(TypedLines, "_learn", lambda *_: False)
    (slow,) = runs_of(Source("a.jsonl", content=content))
    assert (fast.events, fast.config, fast.segments, list(fast)) == (
        slow.events,
        slow.config,
        slow.segments,
        list(slow),
    )
    for one, other in ((slow.series, fast.series), (slow.superseded, fast.superseded)):
        for name, series in one.items():
            np.testing.assert_array_equal(series.steps, other[name].steps)
            np.testing.assert_array_equal(series.values, other[name].values)
            np.testing.assert_array_equal(series.lines, other[name].lines)


def test_a_piece_without_a_plain_record(monkeypatch):
    """The end of a log, for one: its lines all go the careful way, once the type is learnt."""
    monkeypatch.setattr("lmdiag.readers.json.typed.PIECE", 1)
    head = {"type": "run", "schema": "lmdiag-log/1", "run_id": "a"}
    records = [
        head,
        *({"type": "step", "step": step, "loss": 9 / step} for step in range(1, 30)),
        {"type": "end", "status": "completed"},
    ]
    (run,) = runs_of(Source("a.jsonl", content="\n".join(map(json.dumps, records)).encode()))
    assert (len(run["loss"]), run.events[-1].kind) == (29, "end")


def test_words_are_read_once_each():
    """A column of words in every record, as the kind of record is, must not cost what decoding every line does."""
    before = rows._number.cache_info()
    lines = "".join(f'{{"kind": "train-{before.misses}", "step": {i}, "loss": "{i % 3}.5%"}}\n' for i in range(300))
    read = typed([lines.encode()])
    after = rows._number.cache_info()
    assert after.misses - before.misses <= 4 < 600 == after.misses - before.misses + after.hits - before.hits
    assert read.columns["loss"].values[:3].tolist() == [0.005, 0.015, 0.025]


def test_each_way_knows_how_many_steps_were_planned():
    for style in ("totals", "fractions"):
        content = "\n".join(json.dumps(record(n, random.Random(0), style)) for n in range(1, 600)).encode()
        logs = by_lines(content), together(content), by_blocks(content, 3000)
        assert [log.config["max_steps"] for log in logs] == [900] * 3


def test_halves_of_records_are_not_joined_where_another_line_holds_two():
    """Of three lines two records: what is joined at commas must not be taken apart elsewhere."""
    lines = [json.dumps({"step": n, "loss": 3 - n / 100}) for n in range(1, 21)]
    lines[9:9] = ['{"step": 21, "loss": 2.79},{"step": 22, "loss": 2.78}', '{"step": 22', '"loss": 2.5}']
    content = "\n".join(lines).encode()
    assert_same(by_lines(content), together(content))
    doubled = "\n".join([*lines, '{"step": 30, "step": 31, "loss": 2.0}']).encode()
    assert_same(by_lines(doubled), together(doubled))


@pytest.mark.parametrize(
    "odd",
    [
        ['{"step": 21, "loss": 2.7} {"step": 22, "loss": 2.6}', '{"step": 23,', '"loss": 2.5}'],
        ['{"step": 21, "loss": 2.7}{"step": 22, "loss": 2.6}', ""],
        ['{"step": 21,', '"loss": 2.7}{"step": 22, "loss": 2.6}'],
        ["", '{"step": 21, "loss": 2.7}{"step": 22, "loss": 2.6}'],
        ['{"step": 21, "loss": 2.7}\r{"step": 22, "loss": 2.6}', '{"step": 23, "loss":', "2.5}"],
    ],
)
def test_line_ends_are_no_spaces(odd):
    """As many records as lines, and each would be one to a decoder that takes line ends for spaces."""
    plain = [json.dumps({"step": n, "loss": 3 - n / 100}) for n in range(1, 41)]
    learnt = "\n".join(plain[:20]).encode() + b"\n"
    for at in (0, 10, 20):
        more = "\n".join([*plain[20 : 20 + at], *odd, *plain[20 + at :]]).encode()
        for end in (b"", b"\n"):
            assert_same(by_lines(learnt + more + end), the_log(typed([learnt, more + end])))


@pytest.mark.parametrize("odd", [float("nan"), 0, None])
def test_the_plan_is_the_last_that_is_a_number_above_zero(odd):
    records = [{"step": n, "loss": 1.0, "total_steps": 500} for n in range(1, 30)]
    records.append({"step": 30, "loss": 1.0, "total_steps": odd})
    content = "\n".join(map(json.dumps, records)).encode()
    fractions = "\n".join(
        json.dumps({"step": f"{n}/{500 if n < 30 else 0}", "loss": 1.0}) for n in range(1, 31)
    ).encode()
    for logged in (content, fractions):
        assert [log.config["max_steps"] for log in (by_lines(logged), together(logged), by_blocks(logged, 300))] == [
            500
        ] * 3


def test_an_empty_name_goes_the_careful_way():
    lines = [f'{{"": "", "step": {k}, "loss": {"NaN" if k == 50 else 3.5}}}\n' for k in range(100)]
    (run,) = runs_of(Source("a.jsonl", content="".join(lines).encode()))
    assert np.isnan(run["loss"].values).nonzero()[0].tolist() == [50]
