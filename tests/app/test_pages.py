"""The pages beside the run: comparing runs, and the rules with their settings."""

import tomllib

import pytest

from lmdiag.app.rules_page import as_toml
from lmdiag.config import from_mapping
from lmdiag.rules import RULES
from tests.app.conftest import SAMPLES, specs_on, words_on


def page_named(page, name):
    page.button_group(key="page").set_value(name).run()
    assert not page.exception
    return page


def test_comparing_shows_every_run_overlaid_and_the_settings_that_differ(app):
    page = page_named(app(*SAMPLES[:3]), "Compare")
    table = page.dataframe[0].value
    assert len(table) == 3
    assert len(specs_on(page)) == 1
    assert all(name.strip("…") in specs_on(page)[0] for name in table["run"])
    assert "setting" in page.dataframe[1].value
    page.toggle(key="compare-grouped").set_value(True).run()
    assert "(n = 1)" in specs_on(page)[0]


def test_a_candidate_is_held_against_its_baselines(app):
    healthy = [p for p in SAMPLES if p.stem in ("loss-spike", "gradient-spike", "divergence")]
    page = page_named(app(*healthy), "Compare")
    page.selectbox(key="compare-candidate").select("divergence").run()
    page.multiselect(key="compare-baselines").set_value(["gradient-spike"]).run()
    assert not page.exception
    assert "divergence" in "".join(e.value for e in [*page.error, *page.success, *page.info])


def test_one_run_alone_cannot_be_compared(app):
    assert "at least two" in page_named(app(SAMPLES[0]), "Compare").info[0].value


@pytest.mark.parametrize("name", ["loss-spike", "divergence"])
def test_a_rule_shows_its_page_and_what_it_says(app, name):
    page = page_named(app(), "Rules")
    page.selectbox(key="rule").select(name).run()
    assert not page.exception
    assert next(r.title for r in RULES if r.name == name) in words_on(page)
    assert {f"sample: {path.name}" for path in SAMPLES} == set(page.dataframe[0].value["run"])


def test_another_threshold_changes_the_findings_and_gives_the_block_to_keep_it(app):
    page = page_named(app(), "Rules")
    page.selectbox(key="rule").select("loss-spike").run()
    page.number_input(key="setting-loss-spike-smallest").set_value(1000.0).run()
    assert not page.exception
    assert "[tool.lmdiag.rules.loss-spike]" in page.code[0].value
    assert "◆" in list(page.dataframe[0].value["changed"])


def test_the_exported_block_is_read_back_as_the_same_settings():
    rule = next(r for r in RULES if r.name == "loss-spike")
    changed = {name: value for name, value in rule.settings.items() if isinstance(value, (bool, int, float))}
    document = tomllib.loads(as_toml(rule, changed))
    assert from_mapping(document["tool"]["lmdiag"]).rules == {"loss-spike": changed}


def test_the_metric_of_a_finding_is_drawn_and_any_other_can_be(app):
    page = app(next(sample for sample in SAMPLES if sample.stem == "memory-growth"))
    assert any("mem_bytes (bytes) over steps" in chart.proto.alt for chart in page.get("vega_lite_chart"))
    more = next(box for box in page.multiselect if box.label == "More metrics")
    assert "mem_bytes" not in more.options
    other = more.options[0]
    more.set_value([other]).run()
    assert not page.exception
    assert any(
        chart.proto.alt.startswith(other.split("/")[-1]) or other in chart.proto.alt
        for chart in page.get("vega_lite_chart")
    )
