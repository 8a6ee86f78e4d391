"""The command line of the trainers."""

import dataclasses
import json
import os
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from trainers.__main__ import COMMANDS, TRAINERS, main
from trainers.faults import FAULTS
from trainers.options import GROUPS, read_settings
from trainers.transformer import Settings


@pytest.mark.parametrize("name", TRAINERS)
def test_help_says_every_setting(name, capsys):
    pytest.importorskip("torch")
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(import_module(TRAINERS[name]).Settings):
        assert f"--{field.name.replace('_', '-')}" in said
        assert field.metadata["help"], field.name


def test_every_setting_has_one_group():
    pytest.importorskip("torch")
    grouped = [setting for names in GROUPS.values() for setting in names]
    fields = {field.name for at in TRAINERS.values() for field in dataclasses.fields(import_module(at).Settings)}
    assert sorted(grouped) == sorted({*fields, "recipe", "fault", "cured", "help"})


def test_faults_lists_all(capsys):
    assert main(["--faults"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in FAULTS)


def test_without_a_name_it_says_how_to_use_it(capsys):
    assert main([]) == 2
    assert "transformer" in capsys.readouterr().out


def test_the_command_line_overrides_the_recipe_and_the_recipe_the_defaults(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text('steps = 7\nlr = 0.5\nschedule = "linear"\n')
    settings = read_settings("transformer", Settings, str(recipe), {"lr": 0.25, "steps": None}, "lr-zero", True)
    assert (settings.steps, settings.lr, settings.schedule) == (7, 0.25, "linear")
    assert settings.log == "runs/transformer-lr-zero-cured-1.jsonl"


@pytest.mark.parametrize("content", ["stepz = 3", "steps = ", 'steps = "3"', 'schedule = "none"', None])
def test_a_bad_recipe_is_refused(tmp_path, capsys, content):
    recipe = tmp_path / "r.toml"
    if content is not None:
        recipe.write_text(content)
    assert main(["transformer", "--recipe", str(recipe)]) == 2
    assert str(recipe) in capsys.readouterr().err


def test_only_the_trainer_asked_for_is_imported():
    code = "import sys, trainers.__main__ as m; m.main(['--faults']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trnasformer"], "there is no trainer 'trnasformer'; did you mean transformer?"),
        (["ngram", "--stpes", "3"], "there is no option --stpes; did you mean --steps?"),
        (["ngram", "--recipe", "lapto"], "there is no such file or recipe; did you mean laptop?"),
        (["--fautls"], "did you mean --faults?"),
        (["ngram", "--fault", "lr-zro"], "there is no fault 'lr-zro'; did you mean lr-zero?"),
        (["ngram", "--steps", "x"], "'x' is not a valid integer"),
        (["ngram", "--tokenizer", "chars"], "'chars' is not one of 'char', 'word', 'bpe'"),
        (["generate"], "Missing argument 'MODEL'"),
        (["evaluate", "--data", "a.txt"], "Missing argument 'MODEL'"),
    ],
)
def test_wrong_use_is_said_first_and_in_two_lines(arguments, said, capsys):
    assert main(arguments, "lmdiag train") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert lines[1].startswith("usage: lmdiag train ")
    assert ("MODEL" in lines[1]) == (arguments[0] in ("generate", "evaluate"))
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "."], "--data . is a folder. Name the files in it: --data ./*.txt"),
        (["--data", "empty.txt"], "--data empty.txt is empty"),
        (["--data", "markov:x"], "markov:50"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),
        (["--temperature", "-1"], "--temperature must be at least 0, not -1"),
        (["--temperature", "nan"], "--temperature must be at least 0, not nan"),
        (["--data", "markov:5", "--log", "/proc/nope/x.jsonl"], "cannot write or read /proc/nope"),
    ],
)
def test_what_cannot_be_used_is_refused_with_words(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    assert main(["ngram", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ("1e-4,x", "--lrs 1e-4,x: 'x' is no number; separate learning rates by commas"),
        ("1e-4,-1", "--lrs 1e-4,-1: a learning rate must be above 0, not -1"),
    ],
)
def test_learning_rates_to_choose_from_are_numbers_above_zero(rates, said, capsys):
    pytest.importorskip("transformers")
    assert main(["classifier", f"--lrs={rates}"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ngram", "keras-rnn", "dpo"])
def test_what_trains_alone_says_so_under_torchrun(name, monkeypatch, capsys):
    pytest.importorskip({"ngram": "numpy", "keras-rnn": "keras", "dpo": "torch"}[name])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([name]) == 2
    assert f"error: {name} trains in one process: start it without torchrun" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--d-model", "0"], ["--n-head", "0"], ["--batch-size", "-1"]])
def test_zero_sizes_are_refused(arguments, capsys):
    pytest.importorskip("torch")
    assert main(["transformer", *arguments]) == 2
    assert f"{arguments[0]} must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device, capsys):
    pytest.importorskip("torch")
    assert main(["rnn", "--device", device]) == 2
    assert f"--device {device}: PyTorch cannot use it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["rnn"], "torch"),
        (["keras-rnn"], "keras"),
        (["bert-mlm", "--max-characters", "20000"], "transformers"),
        (["ngram", "--tokenizer", "bpe"], "tokenizers"),
    ],
)
def test_a_package_that_is_not_installed_is_named(arguments, package):
    code = f"import sys; sys.modules[{package!r}] = None; import trainers.__main__ as m; sys.exit(m.main(sys.argv[1:]))"
    if package not in ("torch", "tokenizers"):
        pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    needed = f"error: {arguments[0]} needs {package}, which is not installed"
    assert done.stderr.splitlines() == [needed, f"Hint: pip install {package}"]


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_help_without_a_model(name, capsys):
    assert main([name, "--help"], "lmdiag train") == 0
    assert f"Usage: lmdiag train {name} [OPTIONS]" in capsys.readouterr().out


def test_a_list_is_written_in_one_go_and_an_option_by_its_beginning(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        Path(f"{name}.txt").write_text(f"{name} and more\n" * 300)
    log = ["--log", "a.jsonl", "--no-save", "--samp", "0"]
    assert main(["ngram", "--data", "a.txt", "b.txt", "--step", "2", "--data", "c.txt", *log]) == 0
    assert '"data":["a.txt","b.txt","c.txt"]' in Path("a.jsonl").read_text()


def test_lmdiag_train_finds_ours_by_its_place(tmp_path):
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "__init__.py").write_text("raise SystemExit('the trainers of somebody else')")
    command = [sys.executable, "-m", "lmdiag", "train", "--faults"]
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.returncode, "lr-too-high" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("program", [["lmdiag", "train"], ["trainers"]])
def test_a_polite_kill_ends_the_log(program, tmp_path):
    pytest.importorskip("torch")
    log = tmp_path / "a.jsonl"
    options = ["--steps", "100000", "--d-model", "16", "--batch-size", "8", "--max-characters", "20000"]
    process = subprocess.Popen(
        [sys.executable, "-m", *program, "rnn", *options, "--log", str(log)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not (log.exists() and '"type":"step"' in log.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 130
    end = json.loads(log.read_text().splitlines()[-1])
    assert (end["type"], end["status"]) == ("end", "killed")


def test_a_bundled_recipe_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind = import_module(TRAINERS["ngram"]).Settings
    named, by_path = (read_settings("ngram", kind, at) for at in ("laptop", str(RECIPES / "laptop.toml")))
    assert named == by_path


ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "trainers" / "recipes"


@pytest.mark.parametrize(
    ("recipe", "name"),
    [(path, name) for path in sorted(RECIPES.glob("*.toml")) for name in tomllib.loads(path.read_text())],
    ids=lambda value: getattr(value, "stem", value),
)
def test_recipes_fit_their_trainers(recipe, name):
    module = import_module(TRAINERS[name])
    settings = read_settings(name, module.Settings, str(recipe))
    assert settings.steps >= 20
    if name == "ngram":
        assert settings.order == 6
    else:
        assert (settings.prompts if name == "grpo" else settings.batch_size) % 8 == 0


def test_a_recipe_for_other_trainers_is_refused(capsys):
    assert main(["ngram", "--recipe", "ddp"]) == 2
    assert "no recipe for ngram, only for rnn" in capsys.readouterr().err


def test_an_interrupt_names_a_log_that_exists(tmp_path, monkeypatch, capsys):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.ngram.train", interrupted)
    log = tmp_path / "a.jsonl"
    assert main(["ngram", "--log", str(log)]) == 130
    assert capsys.readouterr().err == "interrupted before the log began\n"
    log.touch()
    assert main(["ngram", "--log", str(log)]) == 130
    assert capsys.readouterr().err == f"interrupted; the log is {log}\n"


@pytest.mark.parametrize(("name", "named"), [("ngram", "laptop"), ("classifier", "ddp, laptop, one-gpu")])
def test_help_names_the_recipes_that_fit(name, named, capsys):
    assert main([name, "--help"]) == 0
    assert f"settings: {named}, or a TOML file;" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["ngram", "rnn", "lstm", "transformer", "keras-rnn", "bert-mlm"])
def test_the_laptop_recipe_trains(name, tmp_path, capsys):
    for library in {"keras-rnn": ["keras"], "bert-mlm": ["transformers"], "ngram": []}.get(name, ["torch"]):
        pytest.importorskip(library)
    log = tmp_path / "a.jsonl"
    short = ["--max-characters", "30000", "--log", str(log), "--sample", "0"][: 4 if name == "bert-mlm" else None]
    if name != "ngram":
        short += ["--steps", "3", "--eval-every", "3", "--eval-tokens", "300"]
    assert main([name, "--recipe", str(RECIPES / "laptop.toml"), *short]) == 0
    written = log.read_text(encoding="utf-8")
    assert written.count('"type":"step"') == (20 if name == "ngram" else 3)
    assert '"status":"completed"' in written


def test_a_dry_run_shows_what_the_recipe_sets(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    small = ["--max-characters", "30000", "--d-model", "16", "--context", "16"]
    assert main(["lstm", "--recipe", str(RECIPES / "laptop.toml"), "--dry-run", *small]) == 0
    said = capsys.readouterr().err.splitlines()
    assert {"lr = 0.004", "steps = 2000", "sample = 500", "d_model = 16"} <= set(said)
    assert list(tmp_path.iterdir()) == []
