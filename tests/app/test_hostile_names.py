"""Names from a log stay text: no HTML, no Markdown, no links, no formulas, no emoji codes."""

import json
import re

import pytest

from lmdiag.app.markup import html, plain, short
from tests.app.conftest import html_on, markdown_on

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "**bold** _it_ `code` # head",
    ":red[text] :smile: :material/home: $x^2$",
    "https://example.com/a.jsonl www.example.com me@example.com",
    "a" * 5000,
    "line\nbreak\n\n# heading",
    "\x1b[31mred\x07",
]


def log(name: str) -> bytes:
    records = [{"type": "run", "schema": "lmdiag-log/1", "run_id": name, "name": name}]
    records += [{"type": "step", "step": i, "loss": 3.0 + 1 / i, name: 1.0} for i in range(1, 60)]
    records += [{"type": "eval", "step": 10 * i, "split": name, "loss": 3.0 + 0.3 * i} for i in range(1, 6)]
    return "\n".join(json.dumps(r) for r in records).encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_never_becomes_markup(app, name):
    page = app()
    page.file_uploader[0].upload(f"{name[:80]}.jsonl", log(name), "application/json").run()
    assert not page.exception
    assert not re.search(r"<(script|img src=x)", html_on(page), re.IGNORECASE)
    words = markdown_on(page)
    assert not re.search(r"(?<!\\)<(script|img)", words, re.IGNORECASE)
    assert not re.search(r"(?<!\\)\]\(javascript", words)
    assert not re.search(r":red\[(?!:material/)|(?<!\\):smile:", words)


@pytest.mark.parametrize("name", HOSTILE)
def test_plain_escapes_every_sign_that_markdown_reads(name):
    escaped = plain(name)
    for i, sign in enumerate(escaped):
        if sign in "*_`[]()<>#$~|":
            assert escaped[i - 1] == "\\"
    assert not re.search(r"://|www\\?\.|@\w", escaped)  # found for addresses, escaped or not
    assert "\n" not in escaped
    assert "\x1b" not in escaped


def test_html_escapes_tags_and_quotes():
    assert html('<a href="x">\'') == "&lt;a href=&quot;x&quot;&gt;&#x27;"


def test_long_names_keep_both_ends():
    assert short("begin" + "x" * 100 + "end", 11) == "begin…xxend"
