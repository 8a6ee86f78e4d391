"""The table of runs under the hand: sort, search, tick, pin, rename and close."""

import re

import pytest

from tests.app.browser import MARKS, opened, settled

OPEN = "divergence,healthy-lstm,healthy-rnn"
ROW = 35  # pixels
NAME = 160  # pixels from the left edge of the table to the name of a run
NAMES = """[...document.querySelectorAll('[data-testid=stDataFrame] [role=grid] tr')].slice(1)
.map(row => row.children[1].innerText)"""

pytestmark = MARKS


@pytest.fixture
def page():
    """The page of three runs, drawn."""
    with opened(OPEN) as page:
        page.get_by_test_id("stDataFrame").wait_for()
        settled(page)
        yield page


def click(page, x: float, row: int) -> None:
    """Click into a row of the table, 0 for the headings; x counts from its left edge."""
    box = page.get_by_test_id("stDataFrame").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + (row + 0.5) * ROW)


def rows_are(page, *names: str) -> None:
    page.wait_for_function(f"JSON.stringify({NAMES}) === JSON.stringify({list(names)!r})")


def test_what_is_clicked_in_a_sorted_table_opens(page):
    rows_are(page, "divergence", "healthy-lstm", "healthy-rnn")
    for _ in range(2):
        click(page, NAME, 0)  # the heading of the names: upwards, then downwards
        page.wait_for_timeout(500)
    rows_are(page, "healthy-rnn", "healthy-lstm", "divergence")
    click(page, NAME, 1)
    page.locator("section[aria-label=verdict]").wait_for()
    assert page.title() == "✓ healthy · healthy-rnn · 1 of 3 ill · lmdiag"


def test_the_lens_above_the_table_finds_a_run(page):
    page.get_by_test_id("stDataFrame").hover()
    page.get_by_role("button", name="Search: ").click()
    page.keyboard.type("too high")
    page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type("no such words")
    page.get_by_text("0 results").wait_for()


def test_a_ticked_run_is_pinned_renamed_and_closed(page):
    click(page, 16, 2)
    page.get_by_role("button", name="Pin as best").click()
    rows_are(page, "divergence", "★ healthy-lstm", "healthy-rnn")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("the good one")
    page.get_by_label("Name", exact=True).press("Enter")
    settled(page)  # a click during the run that the name starts is lost
    page.get_by_role("button", name="Rename").last.click()
    rows_are(page, "divergence", "★ the good one", "healthy-rnn")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close 1 run").click()
    rows_are(page, "divergence", "healthy-rnn")


def test_a_page_that_is_loaded_anew_says_that_uploads_are_to_be_added_again(page, tmp_path):
    (tmp_path / "mine.jsonl").write_text("".join(f'{{"step": {i}, "loss": {3 + 5 / i}}}\n' for i in range(1, 60)))
    page.locator("input[type=file]").first.set_input_files(str(tmp_path / "mine.jsonl"))
    page.get_by_text("4 runs").wait_for()
    page.wait_for_url("**uploads=1*")
    page.reload()
    page.get_by_text("1 uploaded log went when the page was loaded anew: add it again.").wait_for()
    page.get_by_text("3 runs").wait_for()
