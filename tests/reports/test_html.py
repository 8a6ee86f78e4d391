"""The HTML report: one file, one script of its own, nothing from outside, and every name from a log escaped."""

import base64
import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lmdiag.diagnose import Diagnosis, diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.reports import html
from lmdiag.reports.entries import main_finding
from lmdiag.reports.left_out import Suppressed, Unreadable
from lmdiag.reports.readout import readout
from lmdiag.reports.report import Report
from lmdiag.run import Run, Series, Skipped

pytest.importorskip("jinja2", reason="jinja2 is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quotes\" 'and' {{ 7 * 7 }}"


def diverging(name: str = "a run", points: int = 400) -> Diagnosis:
    steps = np.arange(1, points + 1)
    loss = 3 + 4 * np.exp(-steps / 40)
    loss[points // 2 :] += np.linspace(0, 5, points - points // 2)
    loss[10] = np.nan
    run = Run(name, {"loss": Series(steps, loss), "grad_norm": Series(steps, np.ones(points))}, source=name)
    finding = Finding(
        f"The loss rose: {name}",
        points // 2,
        points,
        "loss",
        {name: 1.5},
        (f"Try {name}.",),
        Severity.ERROR,
        rule="divergence",
    )
    return Diagnosis(run, (finding,), (), "", None)


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f" {data}"


def test_holds_verdict_finding_advice_and_charts():
    document = html.render(Report((diverging(),)))
    text = " ".join(Tags(document).text.split())
    for words in (
        "a run: unhealthy",
        "error divergence steps 200–400",
        "The loss rose: a run",
        "a run 1.5",
        "Try a run.",
    ):
        assert words in text
    tags = [tag for tag, _ in Tags(document).found]
    assert tags.count("figure") == tags.count("svg") == 3


def test_the_table_of_several_runs_names_the_main_finding():
    page = html.render(Report((diverging("bad"), diagnose(Run("void", {})))))
    table = page[page.index("<table>") : page.index("</table>")]
    assert "<th>main finding</th>" in table
    assert f"<td>{main_finding(diverging('bad'))}</td>" in table
    assert "<td>–</td>" in table


def test_runs_one_script_of_its_own_and_needs_nothing_from_outside():
    document = html.render(Report((diverging(),)))
    (script,) = re.findall(r"<script>(.*?)</script>", document, re.DOTALL)
    allowed = f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; {allowed}\"" in document
    for tag, attributes in Tags(document).found:
        assert tag not in ("link", "iframe", "object", "embed")
        assert tag != "script" or set(attributes) <= {"type"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not re.search(r"url\((?!#)", document)


def test_every_name_from_a_log_is_escaped():
    report = Report((diverging(HOSTILE),), (Unreadable(HOSTILE, HOSTILE, HOSTILE),))
    document = html.render(report)
    tags = Tags(document).found
    assert [attributes.get("type") for tag, attributes in tags if tag == "script"] == ["application/json", None]
    assert not [tag for tag, _ in tags if tag == "img"]
    assert "&lt;script&gt;" in document
    assert "{{ 7 * 7 }}" in document


def test_the_drawings_are_well_formed_and_their_ids_differ():
    document = html.render(Report((diverging("a"), diverging("b"))))
    drawings = re.findall(r"<svg.*?</svg>", document, re.DOTALL)
    assert len(drawings) == 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    ids = re.findall(r'\bid="([^"]+)"', document)
    assert len(ids) == len(set(ids))


def test_the_values_of_every_step_under_the_pointer_are_those_of_the_log():
    run = replace(rich().run, series={**rich().run.series, HOSTILE: Series(np.array([400]), np.array([np.nan]))})
    text = readout(run, ["loss", "val/loss", HOSTILE, "not there"])
    assert "<" not in text
    told = json.loads(text)
    row = told["steps"].index(250)
    loss = run["loss"].values[249]
    assert told["values"]["loss"][row] == f"{loss:.4g}"
    assert told["values"]["val/loss"][row] == f"{run['val/loss'].values[11]:.4g} (240)"
    assert told["values"][HOSTILE][-1] == "NaN"
    assert set(told["values"]) == {"loss", "val/loss", HOSTILE}


def test_stays_below_a_megabyte_for_many_and_long_runs():
    report = Report(tuple(diverging(f"run {i}", 20_000) for i in range(12)))
    document = html.render(report)
    assert len(document.encode()) < 1_000_000
    assert document.count("<section") == 12


def test_a_run_without_anything_to_draw_is_reported():
    document = html.render(Report((diagnose(Run("empty", {})),)))
    assert "not judged" in document
    assert "<svg" not in document


def rich() -> Diagnosis:
    """A run whose log holds everything that the report can draw."""
    steps = np.arange(1, 401)
    noise = np.random.default_rng(0)
    series = {
        "loss": Series(steps, 3 + 4 * np.exp(-steps / 40) + noise.normal(0, 0.05, 400)),
        "val/loss": Series(steps[19::20], 3.05 + 4 * np.exp(-steps[19::20] / 40)),
        "grad_norm": Series(steps, np.exp(noise.normal(-0.5, 0.4, 400))),
        "lr": Series(steps, np.linspace(1e-3, 1e-4, 400)),
        "tokens_per_sec": Series(steps, np.where(steps > 300, 5e4, 9e4)),
        **{f"layers/block.{i}/grad_norm": Series(steps[::10], np.exp(noise.normal(0, 0.2, 40))) for i in range(3)},
    }
    config = {"grad_clip": 1.0, "model": {"vocab_size": 500}}
    return diagnose(Run("rich", series, source="rich.jsonl", config=config))


def test_the_title_names_the_run_or_how_many_there_are():
    assert "<title>rich.jsonl: suspect · lmdiag</title>" in html.render(Report((rich(),)))
    assert "<title>2 training runs: suspect · lmdiag</title>" in html.render(Report((rich(), rich())))


def test_the_best_value_is_the_same_in_the_drawing_and_beside_it():
    run = rich().run
    higher = replace(run["val/loss"], values=run["val/loss"].values + 0.2288)
    document = html.render(Report((diagnose(replace(run, series={**run.series, "val/loss": higher})),)))
    assert (">best 3.28 at " in document, ">best 3.279 at " in document, "(val/loss 3.279)" in document) == (
        False,
        True,
        True,
    )


def test_everything_that_belongs_in_the_report_is_in_it():
    document = html.render(Report((rich(),)))
    drawings = re.findall(r"<svg.*?</svg>", document, re.DOTALL)
    text = " ".join(Tags(document).text.split())
    for words in (
        "loss (nats/token)",
        "perplexity",
        "val/loss",
        "uniform guess",
        "clipped at 1",
        "learning rate",
        "tokens/s",
    ):
        assert any(words in drawing for drawing in drawings), words
    assert any("block.2" in drawing for drawing in drawings)
    assert any("grad_norm by layer: median of the layer" in drawing for drawing in drawings)
    assert "rules could look; why the others could not" in text
    assert "checkpoint to keep step 400 (val/loss 3.05)" in text


def test_a_run_that_goes_on_shows_where_its_loss_will_end():
    diagnosis = rich()
    run = replace(diagnosis.run, config={**diagnosis.run.config, "max_steps": 800})
    text = " ".join(Tags(html.render(Report((replace(diagnosis, run=run),)))).text.split())
    assert re.search(r"forecast for step 800 [23]\.\d+ \(\d\.\d+ to \d\.\d+\)", text)
    assert "forecast" not in Tags(html.render(Report((diagnosis,)))).text


def test_a_finding_stands_with_what_it_explains_and_not_beside_it():
    cause, effect = (
        diverging().findings[0],
        Finding("It swings.", 210, 400, rule="oscillation", severity=Severity.WARNING),
    )
    effect = replace(effect, consequence_of="divergence")
    document = html.render(Report((replace(diverging(), findings=(cause, effect)),)))
    assert document.count("<article") == 1
    assert "Explained by it ! oscillation , steps 210–400: It swings." in " ".join(Tags(document).text.split())


def test_what_does_not_count_and_how_the_log_was_read_are_said():
    diagnosis = rich()
    run = replace(diagnosis.run, skipped=(Skipped(7, "a torn record"),), notes=("steps were counted",))
    gone = Suppressed(run, diverging().findings[0], "planned")
    text = Tags(html.render(Report((replace(diagnosis, run=run),), suppressed=(gone,)))).text
    for words in (
        "Not read: a torn record (line 7).",
        "steps were counted",
        "1 finding does not count (divergence): planned.",
    ):
        assert words in text


def test_of_very_many_runs_most_stand_in_the_table_only():
    document = html.render(Report(tuple(diagnose(Run(f"run {i}", {})) for i in range(300))))
    assert document.count("<section") == html.MOST_TOLD
    assert "run 299" in document
    assert "The other runs are in the table only" in document


@pytest.mark.browser
def test_it_reads_without_scripts_and_fits_the_page(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    (tmp_path / "run.html").write_text(html.render(Report((rich(),))), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (400, 1100):
            page = browser.new_context(java_script_enabled=False, viewport={"width": width, "height": 800}).new_page()
            asked = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto((tmp_path / "run.html").as_uri())
            assert asked == [(tmp_path / "run.html").as_uri()]
            assert page.get_by_text("rules could look").is_visible()
            assert page.locator("main").bounding_box()["width"] <= width
            assert page.locator("figure svg").count() == 6
            boxes = [
                panel.bounding_box() for panel in page.locator(".panel").all()
            ]  # a wide drawing scrolls in its panel
            assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
            label = page.locator("figure svg text", has_text="uniform guess").first
            assert label.bounding_box()["height"] >= 10  # large enough to read, on a phone as well
        assert page.pdf(format="A4").startswith(b"%PDF")
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pointer_reads_every_chart_of_the_run_without_a_network(tmp_path, scheme):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    (tmp_path / "run.html").write_text(html.render(Report((rich(),))), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme=scheme)
        errors = []
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "run.html").as_uri())
        figure = page.locator("figure", has_text="Gradient norm").first
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])
        told = page.locator("output.readout").inner_text()
        step = int(re.search(r"step ([\d,]+)", told)[1].replace(",", ""))
        assert 180 < step < 220
        assert f"grad_norm {rich().run['grad_norm'].values[step - 1]:.4g}" in " ".join(told.split())
        assert page.locator("line.crosshair").count() == page.locator("figure[data-x]").count() >= 4
        page.locator("figure").first.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("output.readout").inner_text().startswith("step")
        ink = page.locator("figure svg text", has_text="learning rate").first
        light = sum(map(int, re.findall(r"\d+", ink.evaluate("mark => getComputedStyle(mark).fill"))[:3])) > 380
        assert light == (scheme == "dark")
        assert errors == []
        browser.close()
