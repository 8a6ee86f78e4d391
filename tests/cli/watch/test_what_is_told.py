"""`lmdiag watch`: what is told while a log grows, when the watch ends, and with which exit code."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmdiag.cli.watch import seconds, watch_on
from lmdiag.cli.watching import log_at
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import BadSetting, UnreadableLog
from lmdiag.finding import Finding, Severity
from lmdiag.watching import watch
from tests.cli.conftest import curve, falling, write_log
from tests.cli.watch.conftest import END, HEADER, OPTIONS, kinds

SAMPLES = Path(__file__).parents[3] / "sample_logs"


def test_a_healthy_run_is_told_of_when_it_begins_and_ends_and_not_between(growing, told):
    growing.watch()
    assert growing.later() is None
    assert told() == []
    for first in (1, 101, 201, 301):
        growing.add(falling()[first - 1 : first + 99], first)
        assert growing.later() is None
    assert kinds(told()) == ["following", "verdict"]
    growing.write(END % "completed")
    assert growing.later(5.0) is None
    assert growing.later() == 0
    ended = told()
    assert kinds(ended) == ["ended"]
    assert (ended[0]["step"], ended[0]["verdict"]) == (400, "healthy")


def test_an_error_is_told_once_with_its_evidence_and_fails_the_watch(growing, told):
    growing.watch()
    growing.add(falling(200))
    growing.later()
    told()
    growing.add([np.nan] * 20, 201)
    growing.later()
    new, verdict = told()
    assert (new["type"], new["rule"], new["severity"], new["first_step"]) == ("new", "non-finite-loss", "error", 201)
    assert (verdict["type"], verdict["verdict"], verdict["message"]) == ("verdict", "unhealthy", "was healthy")
    growing.add([np.nan] * 20, 221)
    growing.later()
    assert told() == []
    growing.write(END % "completed")
    growing.later()
    assert growing.later() == 1


def test_a_rise_between_two_looks_far_apart_is_told_though_nothing_follows(growing, told):
    growing.add(falling(200))
    growing.watch()
    growing.later()
    growing.add(falling(600)[200:400] + np.repeat([0.0, 6.0], 100), first=201)
    growing.later()
    assert ("new", "divergence") in [(record["type"], record.get("rule")) for record in told()]


def test_what_was_found_last_is_told_when_nothing_comes_any_more(growing, told):
    losses = falling(400)
    losses[385:] += 6
    growing.add(losses[:380])
    growing.watch(stall=60.0)
    growing.later()
    growing.add(losses[380:], first=381)
    growing.later()
    assert "new" not in kinds(told())
    assert growing.later(100.0) == 1
    assert kinds(told())[-3:] == ["new", "verdict", "stalled"]


def test_until_error_ends_at_the_first(growing):
    growing.watch(until_error=True)
    growing.add(falling(200))
    assert growing.later() is None
    growing.add([np.nan] * 5, 201)
    assert growing.later() == 1


def test_what_does_not_fail_the_gate_does_not_end_the_watch(growing):
    growing.watch(until_error=True, fail_on="never")
    growing.add([*falling(200), *[np.nan] * 5])
    assert growing.later() is None


def test_a_rise_is_told_when_it_has_stood_and_is_gone_when_a_restart_replaces_it(growing, told):
    growing.watch(select=("divergence",))
    growing.add(falling(300))
    growing.later()
    growing.add(np.full(12, 7.0) + falling(12) * 0.01, 301)
    growing.later()
    assert kinds(told()) == ["following", "verdict"]
    growing.add(np.full(60, 7.0) + falling(60) * 0.01, 313)
    growing.later()
    assert "divergence" in {record.get("rule") for record in told()}
    growing.write('{"type":"run","schema":"lmdiag-log/1","run_id":"a","resumed_from_step":290}\n')
    growing.add(curve(np.arange(291, 500)) + np.random.default_rng(1).normal(0, 0.02, 209), 291)
    growing.later()
    news = told()
    assert "gone" in kinds(news)
    assert news[-1]["verdict"] == "healthy"


@pytest.mark.parametrize("name", ["divergence", "non-finite-loss", "masked-nan", "overfitting", "loss-scale-collapse"])
def test_whatever_makes_the_verdict_is_told(growing, told, name):
    growing.watch(until_error=True)
    lines = (SAMPLES / f"{name}.jsonl").read_text().splitlines(keepends=True)
    news = []
    for start in range(0, len(lines), 20):
        growing.write("".join(lines[start : start + 20]))
        code = growing.later()
        news += told()
        if code is not None:
            break
    assert code == 1
    assert "error" in {record.get("severity") for record in news if record["type"] in ("new", "graver")}


def test_an_error_is_told_though_its_cause_still_waits(growing, told):
    growing.watch(until_error=True)
    growing.add(falling(200))
    growing.later()
    told()
    cause = Finding("It rose.", 190, 210, severity=Severity.ERROR, rule="divergence", family="divergence")
    effect = replace(cause, rule="non-finite-loss", family="numerics", consequence_of="divergence")
    growing.watch_now._diagnosed = lambda run: Diagnosis(run, (cause, effect), (), "", None)
    growing.add(falling(205)[200:], 201)
    assert growing.later() == 1
    assert [record.get("rule") for record in told()] == ["non-finite-loss", None]


def test_looks_are_at_least_so_far_apart(growing, told):
    growing.watch(every=10.0)
    growing.add(falling(200))
    growing.later(1.0)
    growing.add([np.nan] * 5, 201)
    growing.later(5.0)
    assert kinds(told()) == ["following", "verdict"]
    growing.later(5.1)
    assert kinds(told()) == ["new", "verdict"]


@pytest.mark.parametrize("begun", [True, False])
def test_no_record_for_too_long_is_a_failure(growing, told, begun):
    growing.watch(stall=1800.0)
    if begun:
        growing.add(falling(200))
    assert growing.later(1.0) is None
    assert growing.later(1700.0) is None
    growing.write('{"type":"event","kind":"heartbeat"}\n' if begun else "")
    assert growing.later(50.0) is None
    assert growing.later(60.0) == 1
    stalled = told()[-1]
    assert stalled["type"] == "stalled"
    assert stalled["message"] == "no new record for 1,800 seconds" + ("" if begun else ": run.jsonl holds no values")


def test_a_log_that_was_dead_before_the_watch_began_is_seen_at_once(growing, told):
    growing.add(falling(200))
    growing.watch(stall=1800.0)
    assert growing.later(4000.0) == 1
    assert kinds(told()) == ["following", "verdict", "stalled"]


def test_a_run_that_reached_its_last_step_does_not_stall(growing, told):
    growing.watch(stall=1800.0)
    growing.path.write_text(HEADER.replace("}", ',"max_steps":400}'))
    growing.add(falling())
    growing.later()
    assert growing.later(1900.0) == 0
    assert kinds(told())[-1] == "ended"


def test_a_crash_is_told_and_a_restart_goes_on(growing, told):
    growing.watch()
    growing.add(falling(200))
    growing.write('{"type":"event","kind":"exception","message":"RuntimeError: lost"}\n' + END % "crashed")
    assert growing.later() is None
    assert told()[-1]["message"] == "the run crashed: RuntimeError: lost"
    growing.write('{"type":"run","schema":"lmdiag-log/1","run_id":"a","resumed_from_step":200}\n')
    growing.add(falling(300)[200:], 201)
    assert growing.later() is None
    assert kinds(told()) == ["verdict", "resumed"]
    growing.write(END % "killed")
    growing.watch(until_error=True)
    assert growing.later() == 1


def test_another_run_in_the_file_is_followed_from_its_beginning(growing, told):
    growing.watch()
    growing.add([*falling(200), *[np.nan] * 5])
    growing.later()
    growing.write('{"type":"run","schema":"lmdiag-log/1","run_id":"b","name":"second"}\n')
    growing.add(falling(200))
    growing.later()
    news = told()
    assert kinds(news) == ["following", "new", "verdict", "following", "verdict"]
    assert (news[-1]["run"], news[-1]["verdict"]) == ("second", "healthy")


def test_a_file_without_a_record_is_said_once(growing, told):
    growing.watch(stall=100.0)
    growing.path.write_text("Loading the tokenizer …\n")
    growing.later()
    growing.write("Loading the model …\n")
    growing.later()
    assert kinds(told()) == ["waiting"]
    assert growing.later(100.0) == 1
    assert told()[-1]["message"].startswith(
        "no new record for 100 seconds: run.jsonl is not in a format that lmdiag recognises"
    )


def test_a_command_is_run_for_an_error_and_never_reads_the_log_as_a_command(growing, tmp_path, capfd):
    growing.watch(command='echo "$LMDIAG_RULE|$LMDIAG_WHAT|$LMDIAG_STEP|$LMDIAG_MESSAGE" >> calls; echo said; exit 3')
    growing.add(falling(200))
    growing.later()
    assert not (tmp_path / "calls").exists()
    growing.write('{"type":"event","kind":"exception","message":"$(touch injected)"}\n' + END % "crashed")
    growing.later()
    assert (tmp_path / "calls").read_text() == "|crashed|200|the run crashed: $(touch injected)\n"
    assert not (tmp_path / "injected").exists()
    captured = capfd.readouterr()
    assert "said" not in captured.out
    assert "warning: --exec ended with exit code 3" in captured.err
    growing.add([np.nan] * 5, 201)
    growing.later()
    assert (tmp_path / "calls").read_text().splitlines()[1].startswith("non-finite-loss|new|205|")


def test_suppressed_findings_are_no_news(growing, told, tmp_path):
    (tmp_path / "lmdiag.toml").write_text("[[suppress]]\nrule = 'non-finite-loss'\nreason = 'planned'\n")
    growing.watch(isolated=False)
    growing.add([*falling(200), *[np.nan] * 5])
    growing.later()
    assert "new" not in kinds(told())


def test_a_folder_stands_for_the_log_in_it_that_was_written_last(tmp_path, capsys):
    for age, name in ((100, "a"), (10, "b"), (50, "c")):
        path = write_log(tmp_path / f"{name}.jsonl", falling(50))
        os.utime(path, (time.time() - age,) * 2)
    assert log_at(str(tmp_path)) == str(tmp_path / "b.jsonl")
    assert "holds 3 logs; following" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableLog, match=r"nothing in the folder .* has the name of a log"):
        log_at(str(tmp_path / "empty"))


def test_a_file_that_is_not_there_is_awaited_aloud_and_one_elsewhere_refused(tmp_path, capsys):
    assert log_at(str(tmp_path / "a.jsonl")) == str(tmp_path / "a.jsonl")
    assert "a.jsonl, which does not exist yet" in capsys.readouterr().err
    with pytest.raises(UnreadableLog, match="not on this machine"):
        log_at("s3://bucket/a.jsonl")


@pytest.mark.parametrize("text", ["", "5 weeks", "-1s", "0s", "m"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(BadSetting, match="--stall cannot be"):
        seconds(text, "--stall")


def test_the_last_line_counts_though_it_has_no_end_once_nothing_follows(growing, told):
    growing.watch()
    growing.add(falling(40))
    growing.later()
    growing.write('{"type":"step","step":41,"loss":"NaN"}')
    assert growing.later(5.0) is None
    assert kinds(told()) == ["following", "verdict"]
    growing.later()
    assert told()[0]["rule"] == "non-finite-loss"


@pytest.mark.parametrize(("over", "code"), [("completed", 0), ("planned", 0), ("crashed", 1)])
def test_a_log_that_is_moved_away_when_its_run_is_over_ends_the_watch(growing, told, tmp_path, over, code):
    growing.watch()
    growing.path.write_text(HEADER.replace("}", ',"max_steps":400}') if over == "planned" else HEADER)
    growing.add(falling())
    growing.write("" if over == "planned" else END % over)
    assert growing.later(5.0) is None
    growing.path.rename(tmp_path / "kept.jsonl")
    assert growing.watch_now.turn(growing.now + 1) is None
    os.utime(tmp_path / "kept.jsonl", (time.time() - 20,) * 2)
    growing.watch_now._follower._input._changed -= 20  # as long ago
    assert growing.watch_now.turn(growing.now + 20) == code
    assert kinds(told())[-1] == "ended"


def test_a_log_that_is_moved_away_while_the_run_goes_on_is_awaited(growing, tmp_path):
    growing.watch()
    growing.add(falling(200))
    assert growing.later() is None
    growing.path.rename(tmp_path / "kept.jsonl")
    growing.watch_now._follower._input._changed -= 100
    assert growing.watch_now.turn(growing.now + 100) is None


def test_names_that_no_log_can_have_are_refused_with_words(tmp_path):
    for path in ("fold/**", "runs/*.jsonl"):
        with pytest.raises(UnreadableLog, match="is a pattern"):
            log_at(str(tmp_path / path))
    name = log_at("x" * 300)
    with pytest.raises(UnreadableLog, match="File name too long"):
        watch_on(name, 10, None, OPTIONS).turn(0.0)


def test_what_is_wrong_with_suppressions_is_said_once_at_the_end(growing, told, tmp_path, capsys):
    (tmp_path / "lmdiag.toml").write_text(
        "[[suppress]]\nrule = 'numerics'\nreason = 'old'\nuntil = 2020-01-01\n"
        "[[suppress]]\nrule = 'spikes'\nreason = 'never seen'\n"
    )
    growing.watch(isolated=False)
    growing.add(falling())
    growing.later()
    assert "warning" not in capsys.readouterr().err
    growing.write(END % "completed")
    growing.later()
    said = capsys.readouterr().err
    assert said.count("(old) expired on 2020-01-01") == 1
    assert said.count("(never seen) suppresses nothing") == 1


def test_the_pause_follows_the_processor_time_of_a_look_and_the_first_is_free(growing, told, monkeypatch):
    spent = {"wall": 0.0, "processor": 0.0}
    monkeypatch.setattr(watch, "SPARED", 20)
    monkeypatch.setattr(watch.time, "perf_counter", lambda: spent["wall"])
    monkeypatch.setattr(watch.time, "process_time", lambda: spent["processor"])
    growing.watch(every=1.0)
    judge = growing.watch_now._judge

    def costly(*given):
        judge(*given)
        spent["wall"] += 60.0
        spent["processor"] += 2.0

    growing.watch_now._judge = costly
    growing.add(falling(200))
    growing.later(1.0)
    growing.add([2.0], 201)
    growing.later(1.5)  # the first look, which loads what it needs, delays nothing
    told()
    growing.add([np.nan] * 5, 202)
    growing.later(38.0)
    assert kinds(told()) == []
    growing.later(3.0)
    assert kinds(told()) == ["new", "verdict"]
