"""The other commands, and how the command line ends when something goes wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from jsonschema import Draft202012Validator

import lmdiag
from lmdiag.cli import COMMANDS
from lmdiag.reports import FORMATS
from lmdiag.rules import RULES


def lmdiag_process(*args, **options):
    return subprocess.Popen([sys.executable, "-m", "lmdiag", *map(str, args)], text=True, **options)


def test_version_and_help(run):
    assert run("--version").out == f"lmdiag, version {lmdiag.__version__}\n"
    text = run("--help").out
    assert all(name in text for name in COMMANDS)
    assert "..." not in text[text.index("Commands:") :]  # no summary is cut
    assert run("help").out == text


def test_help_of_a_command_is_its_help(run):
    assert run("help", "check").out == run("check", "--help").out
    assert 'did you mean "check"?' in run("help", "chek").err


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_every_command_has_help(run, command):
    done = run(command, "--help")
    assert done.code == 0
    assert f"lmdiag {command}" in done.out


@pytest.mark.parametrize(
    ("args", "said"), [(["chek"], 'did you mean "check"?'), ([], "Usage"), (["check"], "Missing argument")]
)
def test_wrong_use_is_exit_2(run, args, said):
    done = run(*args)
    assert done.code == 2
    assert said in done.err


def test_a_path_in_the_place_of_a_command_gets_the_right_hint(run, good):
    assert f"did you mean `lmdiag check {good}`?" in run(good).err


def test_rules_lists_every_rule(run):
    text = run("rules").out
    assert all(f"  {rule.name} " in text for rule in RULES)
    assert [entry["rule"] for entry in json.loads(run("rules", "--format", "json").out)] == [r.name for r in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_explain_shows_the_page_of_a_rule(run, rule):
    text = run("explain", rule.name).out
    for heading in ("How it decides", "What to try", "Facts"):
        assert heading in text
    entry = json.loads(run("explain", rule.name, "--format", "json").out)
    assert (entry["page"], entry["settings"]) == (rule.page, rule.settings)


def test_explain_lists_the_rules_of_a_family(run):
    members = [rule.name for rule in RULES if rule.family == "generalization"]
    text = run("explain", "generalization").out
    assert re.findall(r"^  (\S+)", text, re.MULTILINE) == members
    listed = json.loads(run("explain", "generalization", "--format", "json").out)
    assert [entry["rule"] for entry in listed] == members


def test_the_app_is_not_started_for_a_folder_that_is_not_there(run, monkeypatch):
    monkeypatch.setattr(os, "execve", lambda *args: pytest.fail("the server was started"))
    monkeypatch.setattr("lmdiag.cli.app.NEEDED", {})
    done = run("app", "nosuchdir")
    assert (done.code, done.out) == (2, "")
    assert "there is no file nosuchdir" in done.err


def test_the_app_is_started_for_an_address(run, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda program, line, variables: started.append(line[-1]))
    monkeypatch.setattr("subprocess.call", lambda line, env: 0)
    monkeypatch.setattr("lmdiag.cli.app.NEEDED", {})
    run("app", "mlflow://localhost:5000/lm")
    assert started == ["mlflow://localhost:5000/lm"]


def test_a_pattern_that_nothing_matches_is_called_one(run):
    assert "runs/*.jsonl: matches no file" in run("check", "runs/*.jsonl").out


@pytest.mark.parametrize("name", ["csv", "csv-table", "csv_table"])
def test_a_reader_may_be_called_as_reports_call_its_format(run, tmp_path, name):
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n2,1.9\n")
    assert "csv · steps 1–2" in run("check", "a.csv", "--reader", name).out


def test_explain_knows_the_nearest_name(run):
    done = run("explain", "loss-spik")
    assert (done.code, done.out) == (2, "")
    assert 'did you mean "loss-spike"?' in done.err


@pytest.mark.parametrize("what", ["log", "report"])
def test_schema_prints_a_schema(run, what):
    Draft202012Validator.check_schema(json.loads(run("schema", what).out))


def test_the_report_that_check_prints_follows_the_schema_that_schema_prints(run, good, bad, broken):
    schema = json.loads(run("schema", "report").out)
    Draft202012Validator(schema).validate(json.loads(run("check", good, bad, broken, "-f", "json").out))


def test_convert_writes_a_log_that_reads_back_the_same(run, tmp_path):
    rows = "".join(f"{i},{3 + 7 / i},{'nan' if i == 5 else 1}\n" for i in range(1, 60))
    (tmp_path / "a.csv").write_text("step,train/loss,grad_norm\n" + rows)
    done = run("convert", "a.csv", "-o", "out/a.jsonl")
    assert (done.code, done.out) == (0, "")
    before, after = lmdiag.read("a.csv"), lmdiag.read("out/a.jsonl")
    assert set(before) == set(after)
    for metric in before:
        assert before[metric].steps.tolist() == after[metric].steps.tolist()
        assert str(before[metric].values.tolist()) == str(after[metric].values.tolist())
    validator = Draft202012Validator(json.loads(run("schema").out))
    for line in (tmp_path / "out/a.jsonl").read_text().splitlines():
        validator.validate(json.loads(line))


def test_convert_writes_several_runs_into_one_table(run, good, bad):
    import polars as pl

    assert run("convert", good, bad, "-o", "all.parquet").code == 0
    frame = pl.read_parquet("all.parquet")
    assert sorted(frame["run"].value_counts().rows()) == [("bad", 400), ("good", 400)]
    assert frame.filter(pl.col("run") == "bad")["loss"].is_nan().sum() == 100


def test_convert_writes_several_runs_into_one_log(run, good, bad):
    assert run("convert", good, bad, "-o", "all.jsonl").code == 0
    assert sorted(r.name for r in lmdiag.read_all("all.jsonl")) == ["bad", "good"]


def test_convert_prints_a_log_that_reads_back_the_same(run, good, tmp_path):
    assert run("convert", good, "-o", "a.jsonl").code == 0
    done = run("convert", good, "-o", "-")
    assert (done.code, done.out) == (0, (tmp_path / "a.jsonl").read_text())
    assert "standard output: 1 run" in done.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"step": 61, "loss": "high"}\n', "1 value skipped"),
        ('{"step": 61, "loss": \n', "1 record skipped"),
        ("", "nothing skipped"),
    ],
)
def test_convert_counts_values_apart_from_records(run, tmp_path, line, said):
    rows = [f'{{"step": {i}, "loss": {3 + 7 / i}}}\n' for i in range(1, 61)]
    (tmp_path / "a.jsonl").write_text("".join([*rows[:30], line, *rows[30:]]))
    assert run("convert", "a.jsonl", "-o", "b.jsonl").err.rstrip().endswith(said)


def test_convert_says_what_it_cannot_do(run, good, broken):
    assert "end its name with .jsonl or .parquet" in run("convert", good, "-o", "a.xml").err
    done = run("convert", broken, "-o", "a.jsonl")
    assert done.code == 2
    assert "there is nothing to convert" in done.err


def test_report_writes_the_format_that_the_name_says(run, bad, tmp_path):
    done = run("report", bad, "-o", "a.md")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "a.md").read_text().startswith("## ✗ unhealthy")
    assert run("report", bad, "-o", "a.json").code == 0
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "unhealthy"
    assert run("report", bad, "-o", "a.pdf").code == 2


def test_the_app_listens_on_this_machine_only():
    from lmdiag.cli.app import command

    line = command(("runs", "mlflow://localhost:5000/lm"), 8501, "127.0.0.1", browser=False)
    assert "--server.address=127.0.0.1" in line
    assert "--server.headless=true" in line
    assert "--browser.gatherUsageStats=false" in line
    assert line[line.index("--") + 1 :] == [os.path.abspath("runs"), "mlflow://localhost:5000/lm"]


def test_train_hands_its_arguments_to_the_trainers(run):
    done = run("train", "--help")
    assert done.code == 0
    assert "transformer" in done.out
    assert run("train", "no-such-model").code == 2


def test_an_internal_error_on_one_log_hides_no_other(run, good, bad, monkeypatch):
    sound = sys.modules["lmdiag.diagnose"].best_evaluation
    monkeypatch.setattr(
        sys.modules["lmdiag.diagnose"], "best_evaluation", lambda run: 1 / 0 if "good" in run.source else sound(run)
    )
    done = run("check", good, bad)
    assert done.code == 1
    assert "non-finite-loss" in done.out
    assert "ZeroDivisionError: division by zero" in done.out
    assert "Traceback" not in done.err
    assert "Traceback" in run("--debug", "check", good).err
    assert "Traceback" not in run("check", good).err


def test_an_internal_error_is_one_line_and_exit_2(run, good, monkeypatch):
    monkeypatch.setattr(sys.modules["lmdiag.judging.logs"], "groups_at", lambda *_: 1 / 0)
    done = run("check", good)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0] == "lmdiag: internal error: ZeroDivisionError: division by zero"
    assert "Traceback" not in done.err
    debugged = run("--debug", "check", good)
    assert debugged.code == 2
    assert "Traceback" in debugged.err


def test_a_reader_that_leaves_early_does_not_change_the_verdict(bad):
    process = lmdiag_process("check", bad, "-v", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) == 1


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_do_not_change_the_verdict(bad, streams):
    line = f"{sys.executable} -m lmdiag check {bad} --isolated {streams}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk to write to")
def test_a_full_disk_is_an_error_for_the_user(run, bad):
    with open("/dev/full", "w") as full:
        process = lmdiag_process("check", bad, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[0]) == (
        2,
        "lmdiag: error: cannot write to standard output: No space left on device",
    )
    for command in (["check", bad, "-o", "json=/dev/full"], ["baseline", bad, "-o", "/dev/full"]):
        assert "cannot write /dev/full: No space left" in run(*command).err
    assert "cannot write /dev/null/x.parquet" in run("convert", bad, "-o", "/dev/null/x.parquet").err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_file_whose_name_is_no_text_is_checked_like_others(run, bad, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9\n\x1b[31m.jsonl")
    path.write_bytes(bad.read_bytes())
    outputs = [f"--output={name}={tmp_path / name}" for name in (*FORMATS, "parquet")]
    done = run("check", path, *outputs)
    assert (done.code, done.err) == (1, "")
    assert "\x1b" not in done.out
    assert all((tmp_path / name).stat().st_size for name in FORMATS)
    assert run("baseline", path, "-o", tmp_path / "known.json").code == 0
    assert run("convert", path, "-o", tmp_path / "a.jsonl").code == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_ends_with_exit_2_and_one_word():
    process = lmdiag_process("check", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (2, "", "lmdiag: interrupted")


@pytest.mark.slow
def test_the_demo_trains_well_and_badly_and_says_so(tmp_path):
    pytest.importorskip("torch")
    first = lmdiag_process("demo", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = first.communicate(timeout=300)
    assert first.returncode == 0, err
    assert "✓ healthy  lmdiag-demo/healthy.jsonl" in out
    assert "✗ unhealthy  lmdiag-demo/too-fast.jsonl" in out
    onset = int(re.search(r"✗ error  lr-too-high  steps (\d+)–240", out)[1])
    assert 15 <= onset <= 30
    assert re.search(r"→ Lower the learning rate to 0\.0\d+,", out)
    assert "lmdiag app lmdiag-demo" in out
    assert err.count("trained in") == 2
    again = lmdiag_process("demo", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "is there already; remove lmdiag-demo to train again" in again.communicate(timeout=60)[1]


def test_the_demo_trains_a_run_again_that_was_interrupted(tmp_path):
    from lmdiag.cli.demo import _is_whole

    log = tmp_path / "healthy.jsonl"
    assert not _is_whole(log)
    log.write_text('{"type":"run"}\n')
    assert not _is_whole(log)
    assert not log.exists()
    log.write_text('{"type":"run"}\n{"type":"end","status":"completed"}\n')
    assert _is_whole(log)


OVERWRITING = {
    "check": ["-o", "json=FILE"],
    "report": ["-o", "FILE"],
    "baseline": ["-o", "FILE"],
    "convert": ["-o", "FILE"],
}


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "folder", "pattern", "hard link in a folder"])
@pytest.mark.parametrize("command", OVERWRITING)
def test_a_log_is_never_written_over(run, good, tmp_path, command, way):
    link, before = tmp_path / "link.jsonl", good.read_bytes()
    if "symbolic" in way:
        link.symlink_to(good)
    elif "hard" in way:
        link.hardlink_to(good)
    path = good.parent if "folder" in way else f"{good.parent}/*.jsonl" if way == "pattern" else good
    file = link if "link" in way else good
    done = run(command, path, *(word.replace("FILE", str(file)) for word in OVERWRITING[command]))
    assert (done.code, done.out) == (2, "")
    assert f"{file} would be written over the log {good}" in done.err
    assert good.read_bytes() == before


def test_nothing_is_written_when_one_of_the_files_would_be_written_over_a_log(run, good, tmp_path):
    assert run("check", good, "-o", f"html={tmp_path / 'a.html'}", "-o", f"json={good}").code == 2
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize("shape", ["json", "jsonl", "html", "parquet", "sarif"])
def test_the_report_of_an_earlier_check_is_written_over(run, good, shape):
    for _ in range(2):
        assert run("check", good.parent, "--isolated", "-o", f"{shape}={good.parent / f'report.{shape}'}").code != 1
    assert (good.parent / f"report.{shape}").stat().st_size


@pytest.mark.parametrize("args", [["check", "-o", "json=-"], ["baseline", "-o", "-"]])
def test_a_dash_is_no_file_to_write(run, good, tmp_path, args):
    done = run(args[0], good, *args[1:])
    assert (done.code, done.out) == (2, "")
    assert "- is not the name of a file to write" in done.err
    assert not (tmp_path / "-").exists()


def test_a_baseline_of_nothing_leaves_the_old_one(run, bad, tmp_path):
    assert run("baseline", bad, "-o", "known.json").code == 0
    before = (tmp_path / "known.json").read_bytes()
    done = run("baseline", "gone.jsonl", "-o", "known.json")
    assert (done.code, (tmp_path / "known.json").read_bytes()) == (2, before)
    assert "not read: gone.jsonl: there is no file" in done.err
    assert "left as it is" in done.err


def test_a_report_says_what_it_could_not_read(run, bad):
    done = run("report", bad, "bda.jsonl", "-o", "report.html")
    assert done.code == 2
    assert "not read: bda.jsonl: there is no file" in done.err
    assert "Hint: check the path" in done.err
