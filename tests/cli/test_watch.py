"""`lmdiag watch`: what is told while a log grows, when the watch ends, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
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
from lmdiag.watching.process import has_ended
from tests.cli.conftest import curve, falling, write_log

OPTIONS = {
    **dict.fromkeys(("select", "extend_select", "ignore", "config", "mapping", "notify"), ()),
    **dict.fromkeys(("reader", "pattern", "fail_on", "baseline", "command", "pid")),
    **dict.fromkeys(("until_error", "verbose", "exit_zero", "dry_run"), False),
    "isolated": True,
    "color": "never",
    "shape": "jsonl",
}
SAMPLES = Path(__file__).parents[2] / "sample_logs"
HEADER = '{"type":"run","schema":"lmdiag-log/1","run_id":"a"}\n'
END = '{"type":"end","status":"%s","step":400}\n'


@pytest.fixture
def told(capsys):
    """What was told since the last call."""

    def records():
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return records


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A log that grows, and a watch on it with a clock of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watch, "SPARED", 0)

    class Growing:
        path = tmp_path / "run.jsonl"
        now = 1000.0

        def watch(self, stall=None, every=10.0, **options):
            self.watch_now = watch_on("run.jsonl", every, stall, OPTIONS | options)

        def add(self, losses, first=1):
            records = [
                {"type": "step", "step": s, "loss": x if np.isfinite(x) else "NaN"} for s, x in enumerate(losses, first)
            ]
            self.write("".join(json.dumps(record) + "\n" for record in records))

        def write(self, text):
            if not self.path.exists() and not text.startswith(HEADER):
                text = HEADER + text
            with self.path.open("a") as file:
                file.write(text)

        def later(self, wait=20.0):
            """Let time go by since the log was last written to, and take a turn."""
            self.now += wait
            if self.path.exists():
                os.utime(self.path, (time.time() - wait,) * 2)
            return self.watch_now.turn(self.now)

    return Growing()


def kinds(records):
    return [record["type"] for record in records]


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


# --- a process that ends ---------------------------------------------------------------------------------------------


@pytest.fixture
def process():
    """A process that runs until its standard input is closed."""
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield started
    started.kill()
    started.communicate()


NO_PID = pytest.mark.skipif(os.name == "nt", reason="Windows does not tell whether a process runs")


@NO_PID
@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("", 0, "the process ended, and the log does not say how: healthy"),
        (END % "completed", 0, "the run ended: healthy"),
        (END % "crashed", 1, "the run ended: unhealthy"),
    ],
)
def test_the_watch_ends_with_the_process_when_the_rest_is_read(growing, told, process, end, code, said):
    growing.watch(pid=process.pid)
    growing.add(falling(300))
    assert growing.later() is None
    process.kill()
    process.wait()
    growing.add(falling(310)[300:], 301)
    growing.write(end)
    assert growing.later(0.1) == code
    ended = told()[-1]
    assert (ended["type"], ended["message"]) == ("ended", said)
    assert ended["step"] == 310


@NO_PID
def test_what_a_process_wrote_last_is_judged_though_its_line_has_no_end(growing, told, process):
    growing.watch(pid=process.pid)
    growing.add(falling(300))
    growing.later()
    process.kill()
    process.wait()
    growing.write('{"type":"step","step":301,"loss":"NaN"}')
    assert growing.later(0.1) == 1
    assert "non-finite-loss" in {record.get("rule") for record in told()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows the states of processes there")
def test_a_zombie_has_ended(process):
    assert not has_ended(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process.pid)


def test_windows_cannot_follow_a_process(growing, monkeypatch):
    monkeypatch.setattr("lmdiag.cli.watch.on_windows", lambda: True)
    with pytest.raises(BadSetting, match="Windows"):
        growing.watch(pid=1)


# --- the command itself, on files that really grow -------------------------------------------------------------------


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


@pytest.mark.parametrize("with_loss", [True, False])
def test_a_policy_is_watched_by_its_reward(growing, told, with_loss):
    """It is followed as such, a falling reward is told once it has stood, and noise of the reward, or its loss, never."""
    growing.write(HEADER.replace("}", ',"method":"grpo","task":"reinforcement"}'))
    growing.watch()
    rng = np.random.default_rng(0)
    rewards = np.r_[np.linspace(0.2, 0.7, 120), np.full(80, 0.05)] + rng.normal(0, 0.03, 200)
    losses = np.r_[np.linspace(-0.1, 0.4, 100), rng.normal(0, 3, 100)]
    said = []
    for first in range(0, 200, 20):
        records = [
            {"type": "step", "step": step + 1, "reward": rewards[step], **({"loss": losses[step]} if with_loss else {})}
            for step in range(first, first + 20)
        ]
        growing.write("".join(json.dumps(record) + "\n" for record in records))
        assert growing.later() is None
        said += told()
    assert said[0]["message"].endswith("20 values of reward")
    news = [(record["rule"], record["severity"]) for record in said if record["type"] == "new"]
    assert news == [("reward-collapse", "error")]
    assert next(r["step"] for r in said if r["type"] == "new") > 120
    growing.write(END % "completed")
    growing.later()
    assert growing.later() == 1


@pytest.mark.parametrize("learns", [True, False])
def test_preferences_are_watched_by_their_margin(growing, told, learns):
    """A margin that grows within its noise is no news, and a likelihood that is lost is told."""
    growing.write(HEADER.replace("}", ',"method":"dpo","task":"preference"}'))
    growing.watch()
    rng = np.random.default_rng(0)
    margins = np.linspace(0, 1.5, 160) + rng.normal(0, 0.2, 160)
    chosen = -100 + rng.normal(0, 4, 160) - (0 if learns else np.maximum(np.arange(160) - 60, 0) * 3.0)
    said = []
    for first in range(0, 160, 20):
        records = [
            {
                "type": "step",
                "step": step + 1,
                "loss": float(np.log1p(np.exp(-margins[step]))),
                "rewards/margins": margins[step],
                "rewards/accuracies": 0.5 + 0.4 * step / 160,
                "logps/chosen": chosen[step],
            }
            for step in range(first, first + 20)
        ]
        growing.write("".join(json.dumps(record) + "\n" for record in records))
        growing.later()
        said += told()
    assert said[0]["message"].endswith("20 values of reward_margin")
    news = {record["rule"] for record in said if record["type"] == "new"}
    assert news == (set() if learns else {"falling-likelihood"})


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
