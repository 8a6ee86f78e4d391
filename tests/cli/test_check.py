"""`lmdiag check`: the exit code is the verdict, standard output the result, and nothing hides anything else."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import read_all
from lmdiag.reports import FORMATS
from lmdiag.reports.schema import json_schema


@pytest.mark.parametrize(
    ("logs", "options", "code"),
    [
        (["good"], [], 0),
        (["bad"], [], 1),
        (["good", "bad"], [], 1),
        (["bad"], ["--fail-on", "never"], 0),
        (["bad"], ["--exit-zero"], 0),
        (["bad"], ["--ignore", "numerics"], 0),
        (["bad"], ["--select", "spikes,schedule"], 0),
        (["good"], ["--select", "numerics"], 0),
        (["good"], ["--select", "throughput"], 3),
        (["spiked"], [], 0),
        (["spiked"], ["--fail-on", "info"], 1),
        (["broken"], [], 2),
        (["broken", "good"], [], 2),
        (["broken", "bad"], [], 1),
    ],
)
def test_exit_codes(run, request, logs, options, code):
    assert run("check", *map(request.getfixturevalue, logs), *options).code == code


def test_two_points_are_not_judged(run, tmp_path):
    (tmp_path / "short.csv").write_text("step,loss\n1,3.0\n2,2.9\n")
    done = run("check", "short.csv")
    assert done.code == 3
    assert "? not judged  short.csv" in done.out


def test_a_folder_and_a_glob_name_the_logs_in_them(run, good, bad):
    for path in (good.parent, good.parent / "*.jsonl"):
        done = run("check", path, "-f", "json")
        assert [r["name"] for r in json.loads(done.out)["runs"]] == ["bad", "good"]


def test_a_log_named_twice_is_judged_once(run, good):
    assert len(json.loads(run("check", good, good, good.parent, "-f", "json").out)["runs"]) == 1


def test_one_broken_file_hides_nothing(run, good, bad, broken):
    done = run("check", broken, bad, good, "missing.jsonl")
    assert "✗ unhealthy  " in done.out
    assert "non-finite-loss" in done.out
    assert "2 runs: 1 unhealthy, 1 healthy; 2 sources could not be read." in done.out.splitlines()[-1]
    assert "there is no file" in done.out


def test_standard_input_is_a_log(run, bad, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(bad.read_bytes())))
    done = run("check", "-", "-f", "concise")
    assert done.code == 1
    assert done.out.startswith("<stdin>")


def test_several_reports_are_written_at_once(run, bad, tmp_path):
    done = run("check", bad, "-f", "concise", "-o", "json=out/a.json", "-o", "markdown=b.md")
    assert done.code == 1
    assert "error: " in done.out
    assert "[non-finite-loss]" in done.out
    assert json.loads((tmp_path / "out/a.json").read_text())["verdict"] == "unhealthy"
    assert (tmp_path / "b.md").read_text().startswith("## ✗ unhealthy")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_prints_and_keeps_the_exit_code(run, bad, name):
    done = run("check", bad, "--format", name)
    assert done.code == 1
    assert "non-finite-loss" in done.out


def test_quiet_says_nothing_of_runs_that_pass(run, good, bad):
    assert run("check", "-q", good).out == ""
    done = run("check", "-q", good, bad)
    assert (done.code, "good.jsonl" in done.out, "bad.jsonl" in done.out) == (1, False, True)


def test_colours_are_for_terminals_and_for_those_who_ask(run, good, monkeypatch):
    assert "\x1b" not in run("check", good).out
    assert "\x1b" in run("check", good, "--color", "always").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in run("check", good).out
    assert "\x1b" not in run("check", good, "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("check", good).out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_an_output_that_cannot_show_the_marks_gets_plain_ones(run, bad, monkeypatch, encoding):
    output = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr("sys.stdout", output)
    assert run("check", bad).code == 1
    shown = output.buffer.getvalue().decode("ascii")
    assert "?" not in shown
    assert shown.startswith("x unhealthy  ")
    assert "\n    > " in shown


def test_settings_of_the_folder_hold_unless_isolated(run, spiked, tmp_path):
    (tmp_path / "lmdiag.toml").write_text('fail-on = "info"\n')
    assert run("check", spiked).code == 1
    assert run("check", spiked, "--isolated").code == 0
    assert run("check", spiked, "--fail-on", "error").code == 0
    assert run("check", spiked, "--config", "fail-on=never").code == 0


def test_a_setting_of_a_rule_reaches_it(run, spiked):
    assert "loss-spike" in run("check", spiked, "-f", "concise").out
    assert (
        run("check", spiked, "-f", "concise", "--config", "rules.loss-spike.smallest=2.0").out.count("loss-spike") == 0
    )


def test_another_settings_file_can_be_named(run, spiked, tmp_path):
    (tmp_path / "strict.toml").write_text('fail-on = "info"\n')
    assert run("check", spiked, "--config", "strict.toml").code == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--select", "loss-spkie"], 'did you mean "loss-spike"?'),
        (["--config", "fail-onn=error"], 'did you mean "fail-on"?'),
        (["--config", "rules.loss-spike.smalest=1"], 'did you mean "smallest"?'),
        (["--config", "nowhere.toml"], "there is no file nowhere.toml"),
        (["--output", "jsn=a"], 'did you mean "json"?'),
        (["--output", "a.json"], "write --output FORMAT=FILE"),
        (["--map", "cost"], "write --map METRIC=COLUMN"),
        (["--reader", "jsonll"], 'did you mean "jsonl"?'),
        (["--format", "yaml"], "Invalid value for '--format'"),
        (["--fail-on", "fatal"], "Invalid value for '--fail-on'"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_use_is_exit_2_with_the_way_out_and_no_result(run, good, options, said):
    done = run("check", good, *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_file_without_settings_is_told_from_one_that_is_not_there(run, good, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    done = run("check", good, "--config", "pyproject.toml")
    assert (done.code, done.out) == (2, "")
    assert "--config: pyproject.toml has no [tool.lmdiag]" in done.err


def test_a_mistake_is_blamed_on_the_file_or_the_option_that_makes_it(run, good, tmp_path):
    (tmp_path / "lmdiag.toml").write_text("[rules.loss-spike]\nsmallest = 0.2\n")
    given = run("check", good, "--config", "rules.loss-spike.smalles=0.1").err
    assert given.startswith(
        "lmdiag: error: --config: rules.loss-spike.smalles: there is no such setting\nHint: did you"
    )
    (tmp_path / "lmdiag.toml").write_text("[rules.loss-spike]\nsmalles = 0.2\n")
    written = run("check", good, "--config", "rules.loss-spike.smallest=0.1").err
    assert f"{tmp_path / 'lmdiag.toml'}: rules.loss-spike.smalles: " in written


def test_a_column_can_be_mapped(run, tmp_path):
    rows = "".join(f"{i},{3 + 7 / i}\n" for i in range(1, 200))
    (tmp_path / "odd.csv").write_text("when,cost\n" + rows)
    done = run("check", "odd.csv", "--reader", "csv-table", "--map", "loss=cost", "--map", "step=when", "-f", "json")
    assert json.loads(done.out)["runs"][0]["steps"]["points"] == 199


@pytest.mark.parametrize(
    ("given", "cost", "when"),
    [
        (["loss=cost,step=when"], "cost", "when"),
        (["loss=cost, train,step=when"], "cost, train", "when"),
        (['step=when,loss="cost,v=2"'], "cost,v=2", "when"),
        (['loss="cost,v=2"', "step=it=1"], "cost,v=2", "it=1"),
    ],
)
def test_commas_separate_mapped_columns_and_may_stand_in_their_names(run, tmp_path, given, cost, when):
    rows = "".join(f"{i},{3 + 7 / i}\n" for i in range(3, 200))
    (tmp_path / "odd.csv").write_text(f'"{when}","{cost}"\n{rows}')
    done = run("check", "odd.csv", *(word for pair in given for word in ("--map", pair)), "-f", "json")
    (read,) = json.loads(done.out)["runs"]
    assert (read["steps"]["first"], read["steps"]["points"], read["summary"]["loss_last"]) == (3, 197, 3 + 7 / 199)


def test_an_output_that_cannot_be_written_is_said(run, good, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("check", good, "-o", "json=file/a.json")
    assert done.code == 2
    assert "cannot write" in done.err


def test_settings_can_differ_between_paths(run, bad, tmp_path):
    (tmp_path / "lmdiag.toml").write_text("[[per-path]]\nmatch = 'runs/b*'\nignore = ['numerics']\n")
    assert run("check", "runs/bad.jsonl").code == 0
    bad.rename(tmp_path / "runs" / "other.jsonl")
    assert run("check", "runs/other.jsonl").code == 1


def test_the_rules_that_look_are_counted_for_each_path(run, good, tmp_path):
    settings = tmp_path / "own.toml"
    settings.write_text("[[per-path]]\nmatch = '*good*'\nignore = ['all']\n")
    done = run("check", good, "--config", settings)
    assert done.code == 3
    assert "Not judged: no rule was asked to look." in done.out


def test_a_quiet_check_says_why_nothing_was_judged(run, good, bad):
    done = run("check", good, "--ignore", "all", "--quiet")
    assert (done.code, done.out) == (3, "")
    assert "nothing could be judged: no rule was asked to look" in done.err
    assert run("check", good, "--quiet").err == ""


def test_a_rule_can_be_set_otherwise_for_some_paths(run, spiked, tmp_path):
    (tmp_path / "lmdiag.toml").write_text(
        "[[per-path]]\nmatch = 'runs/sp*'\n[per-path.rules.loss-spike]\nseverity = 'error'\n"
    )
    assert run("check", "runs/spiked.jsonl").code == 1
    spiked.rename(tmp_path / "runs" / "other.jsonl")
    assert run("check", "runs/other.jsonl").code == 0


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("selekt = []", "lmdiag.toml: unknown setting 'selekt'\nHint: did you mean \"select\"?"),
        ("[[per-path]]\nmatch = 'a'\nignor = []", "per-path: unknown setting 'ignor'\nHint: did you mean \"ignore\"?"),
        ("[rules.loss-spik]", 'rules.loss-spik: there is no such rule\nHint: did you mean "loss-spike"?'),
        ("[rules.loss-spike]\nsmalest = 1", 'there is no such setting\nHint: did you mean "smallest"?'),
        (
            "[[suppress]]\nrule = 'spike'\nreason = 'x'",
            "suppress: there is no rule or family 'spike'\nHint: did you mean",
        ),
    ],
)
def test_an_unknown_key_in_a_settings_file_is_exit_2_with_the_nearest_one(run, good, tmp_path, written, said):
    (tmp_path / "lmdiag.toml").write_text(written + "\n")
    for command in (["check", good], ["check", "--show-settings"], ["watch", good], ["report", good, "-o", "a.md"]):
        done = run(*command)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


@pytest.fixture
def actions(monkeypatch, tmp_path):
    def enter():
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        return tmp_path / "summary.md"

    return enter


def test_in_github_actions_annotations_and_a_summary_are_added(run, bad, actions):
    summary = actions()
    summary.write_text("before\n")
    done = run("check", bad)
    assert done.code == 1
    assert "::error" not in done.out
    assert done.err.startswith("::error title=lmdiag (non-finite-loss),file=runs/bad.jsonl,line=317")
    assert summary.read_text().startswith("before\n## ✗ unhealthy")


def test_formats_for_programs_get_no_annotations_twice(run, bad, actions):
    actions()
    assert run("check", bad, "-f", "github").err == ""
    assert run("check", bad, "-f", "json").err == ""


def test_the_additions_for_github_can_be_left_out(run, bad, actions):
    summary = actions()
    assert run("check", bad, "--no-github").err == ""
    assert not summary.exists()


@pytest.fixture
def littered(good):
    """A folder with one good log, and files beside it that are called like logs and are none."""
    folder = good.parent
    (folder / "data.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 50)
    (folder / "labels.jsonl").write_text('{"prompt": "a", "label": 1}\n' * 50)
    (folder / "empty.jsonl").write_text("")
    (folder / "torn.json").write_text('{"log_hist')
    (folder / "packed.jsonl").write_bytes(b"PK\x03\x04" + bytes(100))
    (folder / "gone.jsonl").symlink_to(folder / "nowhere")
    (folder / "runs.csv").write_text("name,final_loss,lr\na,2.5,0.1\nb,2.4,0.2\nc,2.3,0.3\n")
    return folder


def test_files_that_are_no_logs_are_said_in_one_line_and_change_nothing(run, littered):
    done = run("check", littered.name, "--isolated")
    assert done.code == 0
    said = done.out[done.out.index("7 files passed over: ") :]
    for words in ("empty.jsonl (empty)", "gone.jsonl (a link to nothing)", "packed.jsonl (no log)", "and 4 others"):
        assert words in " ".join(said.split())
    report = json.loads(run("check", littered.name, "--isolated", "-f", "json").out)
    Draft202012Validator(json_schema()).validate(report)
    assert (report["verdict"], report["unreadable"], len(report["runs"])) == ("healthy", [], 1)
    assert {Path(file["source"]).name: file["why"] for file in report["passed_over"]} == {
        "data.jsonl": "not the log of a run",
        "labels.jsonl": "not the log of a run",
        "runs.csv": "not the log of a run",
        "empty.jsonl": "empty",
        "gone.jsonl": "a link to nothing",
        "packed.jsonl": "no log",
        "torn.json": "no log",
    }


@pytest.mark.parametrize("name", ["data.jsonl", "empty.jsonl", "torn.json", "packed.jsonl", "gone.jsonl", "runs.csv"])
def test_a_file_that_is_named_must_be_a_log(run, littered, name):
    for paths in ([littered / name], [littered, littered / name]):
        done = run("check", *paths, "--isolated", "-f", "json")
        assert (done.code, len(json.loads(done.out)["unreadable"])) == (2, 1), paths


def test_a_log_that_holds_no_record_is_no_foreign_file(run, littered):
    (littered / "begun.jsonl").write_text('{"type":"run","schema":"lmdiag-log/1","run_id":"a"}\n')
    done = run("check", littered.name, "--isolated")
    assert done.code == 2
    assert "begun.jsonl: holds no values" in done.out


def test_a_folder_of_foreign_files_holds_no_log(run, good, littered):
    good.unlink()
    done = run("check", littered.name, "--isolated")
    assert done.code == 2
    assert f"{littered.name}: no log was found" in " ".join(done.out.split())
    assert "7 files passed over" in done.out
    with pytest.raises(UnreadableLog, match="no log was found"):
        read_all(littered)


@pytest.mark.parametrize("word", ["::warning::", "##[error]"])
@pytest.mark.parametrize("shape", ["text", "markdown", "concise"])
def test_no_name_is_a_command_of_github(run, broken, monkeypatch, shape, word):
    """The runner obeys a line that begins like a command, and a long name may wrap anywhere."""
    begin = {"": 0, "true": 0}
    for letters in range(1, 100, 7):
        broken = broken.rename(broken.parent / f"{'a' * letters} {word}name.jsonl")
        for actions in begin:
            monkeypatch.setenv("GITHUB_ACTIONS", actions)
            done = run("check", broken.name, "--isolated", "--no-github", "-f", shape)
            assert "name.jsonl" in done.out
            begin[actions] += sum(line.strip().startswith(("::", "##[")) for line in done.out.splitlines())
    assert begin["true"] == 0
    assert bool(begin[""]) == (shape == "text")  # the others do not wrap


def test_the_format_github_is_made_of_commands(run, bad, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run("check", bad, "--isolated", "--no-github", "-f", "github").out.startswith("::error title=")
