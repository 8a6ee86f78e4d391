"""The app in a real browser: what a person does with it, without a console error or a request to the outside."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.app.browser import CHROMIUM, FLAGS, MARKS, PATIENCE, charts_drawn, serving, settled
from tests.app.conftest import SAMPLES

HOSTILE = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">**b** :smile:"
NOTICES = """window.told = [];
window.Notification = class { constructor(_, { body }) { window.told.push(body); } static permission = "granted"; };
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function () { window.told.push("a sound"); return start.call(this); };"""
SCROLLED = "document.querySelector('[data-testid=stMain]').scrollTop"

pytestmark = MARKS


@pytest.fixture(scope="module")
def address():
    """The address of a running app."""
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(request, chromium, address):
    """A page, light unless a test asks for both themes; at its end, nothing may have gone wrong or out."""
    context = chromium.new_context(
        viewport={"width": 1400, "height": 1000}, color_scheme=getattr(request, "param", "light")
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors, outside = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: outside.append(request.url) if _is_outside(request.url, address) else None)
    page.goto(address)
    yield page
    context.close()
    assert errors == []
    assert outside == []


def _is_outside(url: str, address: str) -> bool:
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def upload(page, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(str(path))
    page.get_by_label("verdict").wait_for()


def sample(name: str) -> Path:
    return next(path for path in SAMPLES if path.stem == name)


both_themes = pytest.mark.parametrize("page", ["light", "dark"], indirect=True)


@both_themes
def test_upload_verdict_charts_and_zoom_to_a_finding(page):
    upload(page, sample("lr-jump"))
    verdict = page.get_by_label("verdict")
    assert "Suspect" in verdict.inner_text()
    charts_drawn(page)
    described = page.locator("[aria-label*='loss (nats/token) over steps']")
    described.first.wait_for(state="attached")
    page.get_by_role("button", name="Show on the curves").first.click()
    page.get_by_role("button", name="Show the whole run").click()
    page.get_by_text("Drag over the charts to zoom").wait_for()


def shown_steps(page) -> str:
    page.wait_for_function("document.querySelectorAll('input[aria-label=Steps]').length === 1")  # the old page is gone
    return page.get_by_label("Steps", exact=True).input_value()


def drag(page, start: float, end: float) -> None:
    """Drag over the charts between two shares of their width."""
    box = page.locator("[data-testid=stVegaLiteChart]").first.bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 250)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 250, steps=8)
    page.mouse.up()


def test_a_zoom_is_dragged_typed_and_undone_by_a_double_click_or_the_back_of_the_browser(page):
    page.goto(f"{page.url.split('?')[0]}?open=healthy-transformer")
    charts_drawn(page)
    drag(page, 0.3, 0.6)
    page.wait_for_url("**steps=*")
    first = shown_steps(page)
    page.get_by_label("Steps", exact=True).fill("100 to 200")
    page.get_by_label("Steps", exact=True).press("Enter")
    page.wait_for_url("**steps=100-200")
    page.go_back()
    page.wait_for_function(f"document.querySelector('input[aria-label=Steps]').value === '{first}'")
    settled(page)
    page.locator("[data-testid=stVegaLiteChart] canvas").first.dblclick(position={"x": 300, "y": 200})
    page.wait_for_function("document.querySelector('input[aria-label=Steps]').value === ''")
    page.wait_for_function("!location.search.includes('steps=')")


STRIPS = """() => {
    const canvas = document.querySelector('[data-testid=stVegaLiteChart] canvas'), pen = canvas.getContext('2d');
    const strip = share => pen.getImageData(0, Math.round(share * canvas.height), canvas.width, 12).data.join();
    return [0.05, 0.45, 0.88].map(strip);
}"""


def test_one_line_at_the_pointer_goes_through_the_read_out_and_every_panel(page):
    page.goto(f"{page.url.split('?')[0]}?open=healthy-transformer")
    charts_drawn(page)
    chart = page.locator("[data-testid=stVegaLiteChart] canvas").first
    seen = []
    for x in (200, 300):
        chart.hover(position={"x": x, "y": 200})
        page.wait_for_timeout(500)
        seen.append(page.evaluate(STRIPS))
    assert all(one != other for one, other in zip(*seen))


def test_a_finger_that_moves_up_scrolls_the_page_and_zooms_nothing(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}?open=healthy-lstm")
    charts_drawn(page)
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = chart.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], max(box["y"], 0) + 300
    before = page.evaluate(SCROLLED)
    finger = context.new_cdp_session(page)
    touches = [("touchStart", 0), *(("touchMove", 20 * i) for i in range(1, 11)), ("touchEnd", None)]
    for kind, moved in touches:
        points = [] if moved is None else [{"x": x + moved / 10, "y": y - moved}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(30)
    page.wait_for_timeout(1000)
    assert page.evaluate(SCROLLED) > before + 50
    assert "steps=" not in page.url
    context.close()


def test_a_sample_opens_from_the_gallery(page):
    page.get_by_role("button", name="Open", exact=True).nth(1).click()  # the first opens a path that is typed
    page.get_by_label("verdict").wait_for()
    charts_drawn(page)


@both_themes
def test_a_log_that_nobody_recognises_is_mapped_on_the_page(page, tmp_path):
    page.get_by_role("heading", name="Or see what it says of a sample").wait_for()
    assert serious_defects(page) == {}  # of the first screen
    path = tmp_path / "printed.log"
    path.write_text("".join(f"{10 * i} | {2 + 6 / (1 + i / 20):.4f} | 3e-04\n" for i in range(1, 200)))
    page.locator("input[type=file]").first.set_input_files(str(path))
    page.get_by_text("Which of its numbers is the loss?").wait_for()
    charts_drawn(page, 1)
    assert serious_defects(page) == {}
    page.get_by_role("button", name="Judge this run").click()
    page.get_by_label("verdict").wait_for()
    page.get_by_text("Read as you said: how to keep it").wait_for()


def test_on_a_phone_the_sidebar_makes_room_and_the_page_begins_below_the_bar(chromium, address):
    page = chromium.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}?open=healthy-lstm,divergence")
    page.get_by_test_id("stDataFrame").wait_for()
    heading = page.get_by_role("heading", name="2 runs").bounding_box()
    bar = page.get_by_test_id("stHeader").bounding_box()
    assert heading["y"] >= bar["y"] + bar["height"]
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebar").get_by_text("divergence").click()
    page.wait_for_function("document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().right <= 0")
    page.close()


def test_hostile_names_stay_text(page, tmp_path):
    records = [{"type": "run", "schema": "lmdiag-log/1", "run_id": "x", "name": HOSTILE}]
    records += [{"type": "step", "step": i, "loss": 3.0 + 1 / i} for i in range(1, 60)]
    records += [{"type": "eval", "step": 10 * i, "split": HOSTILE, "loss": 3.0 + 0.3 * i} for i in range(1, 6)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    upload(page, path)
    charts_drawn(page, 1)
    assert page.get_by_test_id("stMain").get_by_text("<script>").count()
    assert page.locator("img[src=x]").count() == 0
    assert page.title().endswith(" · lmdiag")  # and not what the name would make it


def test_a_click_on_a_finding_above_the_curves_zooms_to_it_and_the_address_keeps_it(page):
    page.goto(f"{page.url.split('?')[0]}?open=loss-spike")
    page.get_by_label("verdict").wait_for()
    charts_drawn(page)
    timeline = page.locator("[data-testid=stVegaLiteChart]").first
    timeline.scroll_into_view_if_needed()
    box = timeline.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 54)
    page.get_by_role("button", name="Show the whole run").wait_for()
    page.wait_for_url("**steps=*")
    shown = shown_steps(page)
    assert re.fullmatch(r"[\d,]+ – [\d,]+", shown)
    page.goto(page.url)
    page.get_by_role("button", name="Show the whole run").wait_for()
    assert shown_steps(page) == shown


def test_a_chart_is_saved_as_a_picture_and_its_data_as_a_table(page, tmp_path):
    upload(page, sample("healthy-lstm"))
    charts_drawn(page)
    page.get_by_role("button", name="Save charts and data").click()
    for name, head in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"run,step,loss"), ("Parquet", b"PAR1")):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).first.click()
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(head)


def test_a_whole_folder_is_uploaded(page, tmp_path):
    (tmp_path / "runs/deep").mkdir(parents=True)
    shutil.copy(sample("healthy-rnn"), tmp_path / "runs/deep/a.jsonl")
    (tmp_path / "runs/weights.bin").write_bytes(b"\x00\x01" * 99)
    page.get_by_text("A whole folder").click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(str(tmp_path / "runs"))
    page.get_by_label("verdict").wait_for()
    assert page.get_by_text("could not be read").count() == 0


@pytest.mark.parametrize("name", ["Runs", "Compare", "Rules"])
def test_every_other_page_draws_and_is_accessible(page, name):
    page.goto(f"{page.url.split('?')[0]}?open=loss-spike,divergence&page={name}")
    page.get_by_test_id("stDataFrame").first.wait_for()
    if name == "Compare":
        charts_drawn(page, 1)
        page.get_by_text("Group seeds").click()
        page.locator("[aria-label*='(n = 1)']").first.wait_for(state="attached")
    assert serious_defects(page) == {}


def test_a_click_on_a_name_of_a_comparison_ticks_its_run_and_a_drag_zooms(page):
    page.goto(f"{page.url.split('?')[0]}?open=healthy-lstm,healthy-rnn,healthy-transformer&page=Compare")
    charts_drawn(page)
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    chart.scroll_into_view_if_needed()
    chart.hover(position={"x": 300, "y": 200})  # the names are felt only once the pointer came in
    chart.click(position={"x": 325, "y": 10})
    page.wait_for_function("document.querySelector('[data-testid=stDataFrame] [aria-selected=true]') !== null")
    drag(page, 0.3, 0.6)
    page.get_by_role("button", name="Show the whole run").wait_for()
    assert "–" in shown_steps(page)


def test_a_click_in_the_table_of_runs_opens_one_and_its_chart_fills_the_screen(page):
    page.goto(f"{page.url.split('?')[0]}?open=healthy-lstm,divergence")
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    page.wait_for_timeout(2000)
    assert page.title() == "✗ 1 of 2 runs ill · lmdiag"
    box = table.bounding_box()
    page.mouse.click(box["x"] + 160, box["y"] + 35 + 17)
    verdict = page.locator("section[aria-label=verdict]")
    verdict.wait_for()
    assert "Unhealthy" in verdict.inner_text()
    charts_drawn(page)
    page.locator("[data-testid=stVegaLiteChart]").first.hover()
    page.wait_for_timeout(1000)  # its buttons appear under the pointer
    page.locator("button[aria-label^='Fullscreen: ']").first.dispatch_event("click")
    page.locator("button[aria-label^='Close fullscreen']").first.wait_for()
    on_top = page.evaluate("document.elementFromPoint(100, 400).closest('[data-testid=stSidebar]') !== null")
    assert not on_top, "the sidebar lies on the chart"
    canvas = page.locator("[data-testid=stVegaLiteChart] canvas").first.bounding_box()
    assert canvas["y"] + canvas["height"] <= 1000, "the x axis lies below the screen"


def test_a_log_that_grows_is_drawn_anew_where_the_reader_is(chromium, tmp_path):
    """A line every tenth of a second for twelve seconds: the page shows what came, and its zoom and the verdict stand in the title."""
    log = tmp_path / "growing.jsonl"
    lines = (f'{{"step": {i}, "loss": {2 + 6 / (1 + i / 50):.4f}}}\n' for i in range(1, 10_000))
    log.write_text("".join(next(lines) for _ in range(2000)))
    with serving(str(log)) as address:
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.add_init_script(NOTICES)
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        charts_drawn(page, 1)
        page.get_by_text("Follow logs as they grow").click()
        page.get_by_text("Last record").wait_for()
        seen = set()
        for _ in range(120):
            with log.open("a") as file:
                file.write(next(lines))
            page.wait_for_timeout(100)
            seen.add(page.locator("section[aria-label=verdict] dd").first.inner_text())
        assert len(seen) >= 3
        page.get_by_text("1 – 2,120").first.wait_for()
        assert page.title().startswith("✓ healthy")
        page.get_by_text("When a finding arises").click()
        page.get_by_text("Make a sound").click()
        page.get_by_text("Show a notice of the browser").click()
        page.wait_for_timeout(1000)
        with log.open("a") as file:
            file.write("".join(f'{{"step": {i}, "loss": NaN}}\n' for i in range(2121, 2160)))
        page.wait_for_function("window.told.length === 2")
        assert page.evaluate("window.told") == ["a sound", "growing.jsonl: non-finite-loss, step 2,121"]
        page.wait_for_function("document.title.startsWith('✗')")
        page.close()


@both_themes
def test_no_serious_accessibility_defect(page):
    upload(page, sample("overfitting"))
    charts_drawn(page)
    assert serious_defects(page) == {}


def serious_defects(page) -> dict[str, list[str]]:
    """What axe finds on the page, without the inner marks of the charts: each chart has a description."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    drawn = "document.querySelector('[data-test-script-state=notRunning]')"
    page.wait_for_function(f"{drawn} && !document.querySelector('[data-stale=true]')")  # else Streamlit fades it
    page.wait_for_timeout(1000)
    rules = {"runOnly": ["wcag2a", "wcag2aa"]}
    found = axe.Axe().run(page, context={"exclude": [[".marks"]]}, options=rules).response["violations"]
    return {
        v["id"]: [n["html"][:200] + n["failureSummary"] for n in v["nodes"]]
        for v in found
        if v["impact"] in ("serious", "critical")
    }
