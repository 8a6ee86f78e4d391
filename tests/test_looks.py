"""Verdicts and severities can be told apart and read, on white and on dark, with any colour vision."""

import numpy as np
import pytest

from lmdiag.diagnose import VERDICTS
from lmdiag.finding import Severity
from lmdiag.looks import AMBER, GREEN, LOOKS, RED

ENOUGH = 4.5  # the contrast that WCAG 2.2 AA asks of text
TINT = 0.11  # the strongest share of a colour in the background behind it on a light page
APART = 18  # CIE 1976 distance; 2 is just visible side by side
VISION = {  # linear RGB as Machado, Oliveira and Fernandes (2009) say such readers see it
    "usual": np.eye(3),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    dark, light = sorted(float(TO_XYZ[1] @ linear(values)) for values in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, vision: np.ndarray) -> np.ndarray:
    seen = TO_XYZ @ (vision @ linear(rgb(colour))).clip(0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_verdict_and_every_severity_has_a_look():
    assert set(LOOKS) == {*VERDICTS, "known", "unfinished", *(severity.label for severity in Severity)}
    for names in (VERDICTS, [severity.label for severity in Severity]):
        assert len({LOOKS[name].icon for name in names}) == len({LOOKS[name].symbol for name in names}) == len(names)


@pytest.mark.parametrize("name", LOOKS)
def test_colours_can_be_read_as_text(name):
    look = LOOKS[name].colour
    for colour, page in ((look.light, "#ffffff"), (look.dark, "#161b22"), (look.dark, "#0e1117")):
        for share in (0, TINT):
            behind = share * rgb(colour) + (1 - share) * rgb(page)
            assert contrast(rgb(colour), behind) >= ENOUGH


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_whatever_the_colour_vision(theme, vision):
    red, amber, green = (lab(getattr(colour, theme), VISION[vision]) for colour in (RED, AMBER, GREEN))
    assert min(np.linalg.norm(a - b) for a, b in ((red, amber), (red, green), (amber, green))) >= APART
