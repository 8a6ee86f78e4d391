"""The command line of the trainers."""

import dataclasses
import subprocess
import sys
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
    settings, fault = read_settings(
        "transformer", Settings, ["--recipe", str(recipe), "--lr", "0.25", "--fault", "lr-zero"]
    )
    assert (settings.steps, settings.lr, settings.schedule, fault) == (7, 0.25, "linear", "lr-zero")
    assert settings.log == "runs/transformer-lr-zero-1.jsonl"


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


@pytest.mark.parametrize(
    "recipe", sorted((Path(__file__).parents[2] / "trainers" / "recipes").glob("*.toml")), ids=lambda p: p.stem
)
def test_recipes_fit_the_transformer(recipe):
    settings, _ = read_settings("transformer", Settings, ["--recipe", str(recipe)])
    assert settings.steps >= 1000
