"""A log whose loss nobody recognises is mapped on the page, and what the page says to keep works where it is pasted."""

import json
import shlex

import pytest

from lmdiag.app.mapping import command, settings
from lmdiag.cli import main
from lmdiag.readers.options import ReadOptions
from tests.app.conftest import specs_on, words_on

LOSSES = [2 + 6 / (1 + n / 20) + 0.01 * (n % 3) for n in range(1, 200)]
TABLE = "when,it,L_a,L_b,rate\n" + "".join(
    f"{n / 2},{n},{loss:.4f},0.{n % 7},0.001\n" for n, loss in enumerate(LOSSES, 1)
)
LINES = "starting\n" + "".join(
    f"2026-01-03 10:{n // 60:02d}:{n % 60:02d} | {10 * n} | {'nan' if n == 150 else f'{loss:.4f}'} | 3e-04\n"
    for n, loss in enumerate(LOSSES, 1)
)
NESTED = "".join(json.dumps({"n": n, "a": {"b, c=d": loss}}) + "\n" for n, loss in enumerate(LOSSES, 1))
LOGS = {"runs [1].csv": TABLE, "printed it's.log": LINES, "nested.jsonl": NESTED}


@pytest.mark.parametrize("name", LOGS)
def test_what_is_shown_to_keep_reads_the_log(app, tmp_path, monkeypatch, capsys, name):
    page = app()
    page.file_uploader[0].upload(name, LOGS[name].encode(), "text/plain").run()
    assert not page.exception
    assert f"{len(LOSSES)} values of the loss" in words_on(page)
    assert any("loss" in spec for spec in specs_on(page))
    shell, toml = (element.value for element in page.code)

    (tmp_path / name).write_text(LOGS[name])
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(shell)
    assert program == "lmdiag"
    pasted = summary_of(capsys, [*arguments, "--isolated"])
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n\n{toml}\n")
    kept = summary_of(capsys, ["check", name])
    in_folder = summary_of(capsys, ["check", "."])
    assert pasted["points"] == kept["points"] == in_folder["points"] == len(LOSSES)
    assert pasted["last"] == kept["last"] == in_folder["last"] == (10 if name.endswith(".log") else 1) * len(LOSSES)


def summary_of(capsys, arguments):
    main([*arguments, "--format", "json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    return {"points": run["steps"]["points"], "last": run["steps"]["last"]}


def test_a_log_that_was_mapped_is_judged_and_stays_so_while_it_grows(app, tmp_path):
    path = tmp_path / "printed.log"
    path.write_text(LINES)
    page = app(path)
    next(button for button in page.button if button.label == "Judge this run").click().run()
    assert not page.exception
    assert not page.error
    assert "non-finite-loss" in words_on(page).replace("\\", "")
    page.toggle(key="follow").set_value(True).run()
    with path.open("a") as log:
        log.write("2026-01-03 11:00:00 | 5000 | 2.5 | 3e-04\n")
    page.run()
    assert not page.exception
    assert "10 – 5,000<" in words_on(page)


TWO_KINDS = "starting on 8 devices\n" + "".join(
    f"10:{n // 60:02d}:{n % 60:02d} | {10 * n} | {loss:.4f}\n"
    + (f"## held-out at {10 * n}: {loss + 0.1:.4f} after {n} s\n" if n % 20 == 0 else "")
    for n, loss in enumerate(LOSSES, 1)
)


def test_training_and_evaluation_in_lines_of_two_kinds_are_read_together(app, tmp_path, monkeypatch, capsys):
    page = app()
    page.file_uploader[0].upload("two.log", TWO_KINDS.encode(), "text/plain").run()
    assert not page.exception
    assert "199 values of the loss and 9 values of the val/loss, steps 10–1,990" in words_on(page).replace("\\", "")
    (tmp_path / "two.log").write_text(TWO_KINDS)
    monkeypatch.chdir(tmp_path)
    main([*shlex.split(page.code[0].value)[1:], "--isolated", "--format", "json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["steps"]["points"] == 199
    best = run["summary"]["best"]
    assert (best["metric"], best["step"]) == ("val/loss", 1800)
    assert best["value"] == pytest.approx(LOSSES[179] + 0.1, abs=1e-4)

    other = next(box for box in page.selectbox if box.label == "Evaluations in other lines")
    other.select_index(0).run()
    assert "199 values of the loss, steps" in words_on(page).replace("\\", "")
    assert [box.label for box in page.selectbox][-5:-1] == ["Loss", "Step", "Evaluation loss", "Learning rate"]


def test_another_number_is_drawn_at_once(app):
    page = app()
    page.file_uploader[0].upload("table.csv", TABLE.encode(), "text/csv").run()
    before = specs_on(page)
    loss = next(box for box in page.selectbox if box.label == "Loss")
    assert loss.value == "L_a"
    loss.select("L_b").run()
    assert specs_on(page) != before
    assert "--map loss=L_b" in page.code[0].value


def test_text_without_numbers_asks_nothing(app):
    page = app()
    page.file_uploader[0].upload("prose.txt", b"no numbers here\nnone at all\n", "text/plain").run()
    assert len(page.error) == 1
    assert "no columns or similar lines of numbers" in page.error[0].value
    assert "--" not in page.error[0].value.replace("\\", "")  # options of the command line
    assert not page.selectbox


def test_a_log_that_was_not_read_does_not_stand_before_the_runs_that_were(app, tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n" + "".join(f"{n},{loss}\n" for n, loss in enumerate(LOSSES, 1)))
    (tmp_path / "b.log").write_text(TWO_KINDS)
    page = app(tmp_path / "a.csv", tmp_path / "b.log")
    (folded,) = (box for box in page.expander if "not read" in box.label)
    assert (folded.label, folded.proto.expanded) == ("1 log was not read", False)
    page.file_uploader[0].upload("c.log", TWO_KINDS.replace("held", "kept").encode(), "text/plain").run()
    (folded,) = (box for box in page.expander if "not read" in box.label)
    assert (folded.label, folded.proto.expanded) == ("2 logs were not read", True)


def test_names_that_a_shell_or_a_pattern_would_take_apart():
    options = ReadOptions(mapping={"loss": "a, b=c"})
    assert shlex.split(command("x y.csv", options)) == ["lmdiag", "check", "x y.csv", "--map", 'loss="a, b=c"']
    assert 'match = "*a[[]1].log"' in settings("runs/a[1].log", ReadOptions(pattern="(?P<loss>x)"))
