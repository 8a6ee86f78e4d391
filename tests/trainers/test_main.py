"""The command line of the trainers."""

import dataclasses
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from trainers.__main__ import TRAINERS, main, read_settings
from trainers.faults import FAULTS
from trainers.transformer import Settings


@pytest.mark.parametrize("name", TRAINERS)
def test_help_says_every_setting(name, capsys):
    pytest.importorskip("torch")
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(import_module(TRAINERS[name]).Settings):
        assert f"--{field.name.replace('_', '-')}" in said
        assert field.metadata["help"], field.name


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
    settings, fault, cured = read_settings(
        "transformer", Settings, ["--recipe", str(recipe), "--lr", "0.25", "--fault", "lr-zero", "--cured"]
    )
    assert (settings.steps, settings.lr, settings.schedule, fault, cured) == (7, 0.25, "linear", "lr-zero", True)
    assert settings.log == "runs/transformer-lr-zero-cured-1.jsonl"


@pytest.mark.parametrize("content", ["stepz = 3", "steps = ", None])
def test_a_bad_recipe_is_refused(tmp_path, capsys, content):
    recipe = tmp_path / "r.toml"
    if content is not None:
        recipe.write_text(content)
    with pytest.raises(SystemExit) as stop:
        read_settings("transformer", Settings, ["--recipe", str(recipe)])
    assert stop.value.code == 2
    assert str(recipe) in capsys.readouterr().err


def test_only_the_trainer_asked_for_is_imported():
    code = "import sys, trainers.__main__ as m; m.main(['--faults']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


RECIPES = Path(__file__).parents[2] / "trainers" / "recipes"


@pytest.mark.parametrize(
    ("recipe", "name"),
    [(path, name) for path in sorted(RECIPES.glob("*.toml")) for name in tomllib.loads(path.read_text())],
    ids=lambda value: getattr(value, "stem", value),
)
def test_recipes_fit_their_trainers(recipe, name):
    module = import_module(TRAINERS[name])
    settings, _, _ = read_settings(name, module.Settings, ["--recipe", str(recipe)])
    assert settings.steps >= 20
    assert settings.batch_size % 8 == 0 if hasattr(settings, "batch_size") else settings.order == 6


def test_a_recipe_for_other_trainers_is_refused(capsys):
    with pytest.raises(SystemExit):
        read_settings("ngram", import_module(TRAINERS["ngram"]).Settings, ["--recipe", str(RECIPES / "ddp.toml")])
    assert "no recipe for ngram, only for rnn" in capsys.readouterr().err


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
