"""What a glance at a small screen and the keyboard reach."""

import pytest

import lmdiag
from lmdiag.app import verdict
from lmdiag.diagnose import diagnose
from lmdiag.looks import LOOKS
from tests.app.browser import MARKS, charts_drawn, opened, settled
from tests.app.conftest import SAMPLES

FOCUSED = """(() => { const e = document.activeElement;
return e.ariaLabel || e.labels?.[0]?.innerText || e.innerText?.trim() || e.title || e.tagName; })()"""
MOVING = "[...document.querySelectorAll('*')].some(e => parseFloat(getComputedStyle(e).transitionDuration) > 0.01)"
SAYING = """([word, words]) => { const section = document.querySelector('section[aria-label=verdict]');
section.querySelector('h1').innerText = word; section.querySelector('p').innerHTML = words;
return section.querySelector('p').getBoundingClientRect().height; }"""
ONE_LINE = 35  # pixels
KEYBOARD_ORDER = ["Findings", "Show on the curves", "What is this?", "Smoothing", "Save charts and data"]

pytestmark = MARKS


@pytest.fixture
def page():
    """The page of a sick run for a reader who wants no motion, drawn."""
    with opened("divergence", reduced_motion="reduce") as page:
        charts_drawn(page)
        settled(page)
        yield page


def test_verdict_action_and_all_curves_fit_a_small_screen(page):
    line = page.locator("section[aria-label=verdict] p").bounding_box()
    assert line["height"] < ONE_LINE, "what is wrong and what to do stand in more than one line"
    assert page.locator("[aria-label*='learning rate over steps']").count()
    canvas = page.locator("[data-testid=stVegaLiteChart] canvas").first.bounding_box()
    assert canvas["y"] + canvas["height"] <= 900, "the last of the curves lies below the screen"
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page)
    assert page.evaluate("[...document.querySelectorAll('section[aria-label=verdict] *')].every(e => e.getBoundingClientRect().right <= innerWidth)")  # fmt: skip


def test_what_is_wrong_and_what_to_do_fit_one_line_for_every_sample(page):
    found = [d for d in map(diagnose, map(lmdiag.read, SAMPLES)) if any(f.alarms for f in d.findings)]
    said = [
        (LOOKS[d.shown].word.capitalize(), f"{verdict.cause(d)} <strong>→ {verdict.action(d)}</strong>") for d in found
    ]
    long = [words for word, words in said if page.evaluate(SAYING, [word, words]) > ONE_LINE]
    assert len(said) > 40
    assert long == []


def test_the_keyboard_reaches_what_to_do_in_reading_order_and_nothing_moves_that_need_not(page):
    assert not page.evaluate(MOVING)
    reached = []
    while len(reached) < 60 and "Save charts and data" not in " ".join(reached):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED).replace("\n", " "))
    places = [next(i for i, name in enumerate(reached) if words in name) for words in KEYBOARD_ORDER]
    assert places == sorted(places), reached
    assert not [name for name in reached if name in ("BUTTON", "INPUT", "DIV")], reached
