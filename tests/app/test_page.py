"""The page of a run: the verdict that `diagnose` gives, its findings, charts and downloads."""

import pytest

import lmdiag
from lmdiag import looks
from lmdiag.app.run_page import LOOKS
from lmdiag.app.welcome import LESSONS
from lmdiag.diagnose import diagnose
from tests.app.conftest import SAMPLES, specs_on, words_on

LOG = b"".join(b'{"step": %d, "loss": %f, "lr": 0.001, "grad_norm": 1.5}\n' % (i, 3 + 5 / i) for i in range(1, 200))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_every_sample_shows_the_verdict_and_the_findings_of_diagnose(app, path):
    diagnosis = diagnose(lmdiag.read(path))
    page = app(path)
    assert not page.exception
    words = words_on(page)
    assert f">{looks.LOOKS[diagnosis.shown].word.capitalize()}</h1>" in words
    assert [f.rule for f in diagnosis.findings if f"**{f.rule.replace('-', chr(92) + '-')}**" not in words] == []
    shows = [b for b in page.button if b.label == "Show on the curves"]
    assert len(shows) == len(diagnosis.findings)
    assert all(len(spec) < 500_000 for spec in specs_on(page))
    for look in LOOKS:
        page.button_group(key="look").set_value(look).run()
        assert not page.exception
        assert f">{looks.LOOKS[diagnosis.shown].word.capitalize()}</h1>" in words_on(page)


def opens_on(page):
    return [button for button in page.button if button.label == "Open" and str(button.key).startswith("open-")]


def test_the_first_screen_offers_samples_by_what_they_teach_and_all_if_asked(app):
    page = app()
    assert not page.exception
    assert "Is this training run healthy?" in words_on(page)
    assert [button.help for button in opens_on(page)] == [f"{stem}.jsonl" for stem in LESSONS]
    page.toggle(key="all_samples").set_value(True).run()
    assert sorted(button.help for button in opens_on(page)) == [path.name for path in SAMPLES]
    opens_on(page)[0].click().run()
    assert not page.exception
    assert specs_on(page)


def test_uploads_are_opened_and_listed(app):
    page = app()
    page.file_uploader[0].upload("a.jsonl", LOG).upload("b.jsonl", LOG[: len(LOG) // 2])
    page.run()
    assert not page.exception
    assert len(page.radio[0].options) == 2
    assert len(page.dataframe[0].value) == 2


def test_the_same_upload_twice_is_one_run_and_one_of_the_same_name_is_another(app):
    page = app()
    page.file_uploader[0].upload("a.jsonl", LOG, "application/json").run()
    page.sidebar.file_uploader[0].upload("again.jsonl", LOG, "application/json").run()
    assert len(page.radio[0].options) == 1
    assert "again\\.jsonl holds the same as a\\.jsonl" in page.toast[0].value
    page.sidebar.file_uploader[0].upload("a.jsonl", LOG[: len(LOG) // 2], "application/json").run()
    assert len(page.radio[0].options) == 2
    assert "Another a\\.jsonl is open" in page.toast[0].value


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02" * 99, b"no numbers here\n", b'{"step": 1}\n'])
def test_a_file_that_is_no_log_gets_a_message_and_hides_nothing(app, content):
    page = app(SAMPLES[0])
    page.sidebar.file_uploader[0].upload("bad.bin", content, "application/octet-stream").run()
    assert not page.exception
    assert len(page.error) == 1
    assert "bad" in page.error[0].value
    assert specs_on(page), "the run that was open is still shown"
    next(b for b in page.button if b.label == "Dismiss").click().run()
    assert not page.error


def test_a_path_that_does_not_exist_is_said(app):
    page = app("nowhere.jsonl")
    assert not page.exception
    assert "nowhere" in page.error[0].value


def test_a_finding_zooms_the_charts_and_back(app):
    page = app(next(p for p in SAMPLES if p.stem == "loss-spike"))
    whole = specs_on(page)
    next(b for b in page.button if b.label == "Show on the curves").click().run()
    assert specs_on(page) != whole
    assert page.text_input[0].value.count("–") == 1
    next(b for b in page.button if b.label == "Show the whole run").click().run()
    assert specs_on(page) == whole


def box(page, label):
    return next(box for box in page.selectbox if box.label == label)


def test_perplexity_other_axes_and_scales_draw_without_errors(app):
    page = app(SAMPLES[0])
    before = specs_on(page)
    box(page, "Curve").select("perplexity").run()
    assert '"title": "perplexity"' in "".join(specs_on(page))
    for axis in box(page, "Over").options:
        box(page, "Over").select(axis).run()
        assert not page.exception
    box(page, "Smoothing").select("strong").run()
    page.button_group(key="scale").set_value(["Log", "Full"]).run()
    assert not page.exception
    assert specs_on(page) != before


def test_closing_everything_leads_back_to_the_first_screen(app):
    page = app(SAMPLES[0])
    next(b for b in page.button if b.label == "Close all").click().run()
    assert "Is this training run healthy?" in words_on(page)


@pytest.mark.parametrize("name", ["divergence", "memory-growth", "overfitting"])
def test_showing_a_finding_always_marks_it_and_puts_its_metric_first(app, name):
    """Also one that is as long as the run, to which no zoom leads."""
    page = app(next(p for p in SAMPLES if p.stem == name))
    cause = diagnose(lmdiag.read(next(p for p in SAMPLES if p.stem == name))).findings[0]
    before = specs_on(page)
    next(b for b in page.button if b.label == "Show on the curves").click().run()
    assert not page.exception
    assert specs_on(page) != before
    described = page.get("vega_lite_chart")[0].proto.alt
    assert cause.rule in described.split(". ")[2]  # behind the findings and the first panel, what is marked on it
    next(b for b in page.button if b.label == "Show the whole run").click().run()
    assert specs_on(page) == before


def test_the_verdict_says_what_to_do_and_consequences_have_no_advice(app):
    page = app(next(p for p in SAMPLES if p.stem == "lr-jump"))
    said = "The learning rate jumps from 0.00189 to 0.0187 at step 181"
    assert f"{said} <strong>→ Restore the state of the scheduler · keep step 300</strong>" in words_on(page)
    words = [element.value for element in page.markdown]
    below = words[next(i for i, text in enumerate(words) if text.startswith("**step\\-rewind**")) :]
    assert not [text for text in below if "What to try" in text]
    assert words_on(page).count("The learning rate jumps from 0.00189") == 1


def test_a_run_without_alarm_says_what_is_worth_knowing_and_not_that_nothing_is(app):
    said = words_on(app(next(p for p in SAMPLES if p.stem == "slowdown")))
    assert "No alarm; worth knowing: worse-than-reference, slowdown." in said
    assert "Nothing" not in said
    said = words_on(app(next(p for p in SAMPLES if p.stem == "healthy-transformer")))
    assert "Nothing found: " in said
    assert "Nothing needs action." in said


def test_a_verdict_too_long_for_its_line_is_cut_between_two_parts_and_its_card_has_all_of_it(app):
    page = app(next(p for p in SAMPLES if p.stem == "divergence"))
    assert "is too high <strong>→ Learning rate 0.011, cosine schedule, clip gradients at 1 · Start again<" in words_on(
        page
    )
    assert any("too high: from step 4 on the loss rose" in text.value.replace("\\", "") for text in page.markdown)
