"""The closer looks at a run: gradients, speed and memory, and the log itself."""

import pytest

from tests.app.conftest import SAMPLES, specs_on, words_on


def look_at(page, name):
    page.button_group(key="look").set_value(name).run()
    assert not page.exception
    return page


def test_gradients_show_norms_layers_and_clipping(app):
    page = look_at(app(next(p for p in SAMPLES if p.stem == "healthy-transformer")), "Gradients")
    specs = "".join(specs_on(page))
    assert "grad_norm by layer: median of the layer" in specs
    assert "usual: about 0.001" in specs
    assert "Clipped at 1: " in words_on(page)


def test_a_log_without_gradients_or_speed_is_told_what_to_record(app):
    page = app()
    log = b"".join(b'{"step": %d, "loss": %f}\n' % (i, 3 + 5 / i) for i in range(1, 60))
    page.file_uploader[0].upload("bare.jsonl", log).run()
    assert "no gradient statistics" in look_at(page, "Gradients").info[0].value
    assert "neither speed nor memory" in look_at(page, "Speed and memory").info[0].value


def test_the_log_shows_its_header_and_its_text_samples(app):
    page = look_at(app(next(p for p in SAMPLES if p.stem == "healthy-transformer")), "The log")
    facts = page.dataframe[0].value
    assert dict(zip(facts["name"], facts["value"]))["grad_clip"] == "1.0"
    assert page.code[0].value.strip()


@pytest.mark.parametrize(
    "record",
    [
        '{"step": %d, "loss": "NaN"}',
        '{"step": %d, "loss": 2.5, "layers/a/grad_norm": 0.5, "layers/b/grad_norm": 0.25}',
        '{"step": 12345678, "loss": %d}',
    ],
)
def test_charts_with_nothing_to_read_out_are_drawn_all_the_same(app, record):
    page = app()
    page.file_uploader[0].upload("odd.jsonl", "\n".join(record % i for i in range(1, 40)).encode()).run()
    assert not page.exception
    for look in ("Gradients", "Speed and memory"):
        look_at(page, look)
