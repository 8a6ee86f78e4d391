"""The pictures in the README of the trainers are what the sample logs say."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from trainers.pictures import ROOT, curves, picture, pictures, thinned


@pytest.mark.parametrize(("path", "drawn"), pictures().items(), ids=lambda value: getattr(value, "stem", ""))
def test_every_trainer_has_its_picture_and_it_is_fresh(path, drawn):
    assert path.read_text(encoding="utf-8") == drawn, "run python -m trainers.pictures"
    assert len(drawn) < 10_000
    assert f"docs/images/{path.name}" in (ROOT / "trainers" / "README.md").read_text(encoding="utf-8")
    ElementTree.fromstring(drawn)


def test_a_picture_holds_the_curve_between_its_axes(tmp_path):
    log = tmp_path / "a<b.jsonl"
    records = [
        {"type": "run", "reference_loss": {"unigram": 3.0}},
        {"type": "eval", "step": 4, "split": "test", "loss": 99},
    ]
    records += [{"type": "step", "step": i, "loss": 5.0 - i / 10} for i in range(1, 11)]
    records += [{"type": "eval", "step": 10, "split": "val", "loss": 4.5}]
    log.write_text("\n".join(map(json.dumps, records)))
    drawn, training, evaluations, references = curves(log)
    assert drawn == "loss"
    assert (len(training), len(evaluations), references) == (10, 1, {"unigram": 3.0})
    root = ElementTree.fromstring(picture(log))
    lines = [line.get("points").split() for line in root.iter("{http://www.w3.org/2000/svg}polyline")]
    first, last = (tuple(map(float, lines[0][i].split(","))) for i in (0, -1))
    assert first[0] < last[0]
    assert first[1] < last[1]  # a loss that falls goes down
    assert "unigram" in "".join(root.itertext())


def test_a_reward_is_drawn_instead_of_a_loss(tmp_path):
    log = tmp_path / "a.jsonl"
    steps = [{"type": "step", "step": i, "loss": 0.0, "reward": i / 10} for i in range(1, 11)]
    log.write_text("\n".join(map(json.dumps, [{"type": "run"}, *steps, {"type": "eval", "step": 10, "reward": 0.9}])))
    assert "<title>Reward of a: 0.10 to 1.00 in 10 steps</title>" in picture(log)
    drawn, training, _, _ = curves(log)
    assert (drawn, training[-1].tolist()) == ("reward", [10.0, 1.0])


def test_long_curves_are_thinned_to_their_means():
    points = np.column_stack([np.arange(1000.0), np.ones(1000)])
    assert thinned(points).shape == (150, 2)
    assert thinned(points)[:, 1].tolist() == [1.0] * 150
