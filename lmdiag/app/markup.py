"""Text from logs made harmless, names made short, and a verdict in one sentence."""

from __future__ import annotations

import base64
import html as _html
import re

from lmdiag.diagnose import Diagnosis
from lmdiag.looks import Look
from lmdiag.reports.phrases import looked, visible

LONGEST_NAME = 60
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$^=&]|:(?=\u2060))")
_FOUND_LATER = re.compile(r":(?=[\w+\-/]+[:\[]|//)|(?<=www)(?=\.)|@(?=\w)", re.IGNORECASE)  # codes of emoji, addresses


def badge(look: Look) -> str:
    """Return the Markdown of a badge with the word and the icon of a verdict or a severity."""
    return f":{look.colour.badge}-badge[{look.symbol} {look.word}]"


def plain(text: str) -> str:
    """Return text so that Streamlit's Markdown shows it as it is: no markup, links, formulas, colours or emoji codes.

    >>> plain("a_b *c* <b>")
    'a\\\\_b \\\\*c\\\\* \\\\<b\\\\>'
    """
    # A word joiner keeps these from being found even after the backslashes are gone.
    return _MARKDOWN.sub(r"\\\1", _FOUND_LATER.sub("\\g<0>\u2060", visible(text)))


def sentences(*texts: str) -> str:
    """Return texts, such as an error and what to do, as sentences that Markdown shows as they are.

    >>> sentences("nothing is there", "", "check the path")
    'Nothing is there. Check the path.'
    """
    return " ".join(plain(text[:1].upper() + text[1:].rstrip(".")) + "." for text in texts if text)


def html(text: str) -> str:
    """Return text so that HTML shows it as it is.

    >>> html("<script>")
    '&lt;script&gt;'
    """
    return _html.escape(visible(text))


def image(svg: str, alt: str, style: str) -> str:
    """Return an SVG as an image element: Streamlit removes drawings that stand in the page itself."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html(alt)}" style="{style}">'


def short(name: str, length: int = LONGEST_NAME) -> str:
    """Return a name that fits on the page, its middle left out where it is too long.

    >>> short("a" * 80, 9)
    'aaaa…aaaa'
    """
    if len(name) <= length:
        return name
    half = (length - 1) // 2
    return f"{name[:half]}…{name[len(name) - half :]}"


def headline(diagnosis: Diagnosis) -> str:
    """Say the verdict in one sentence: the first alarm, else what is worth knowing, or why there is nothing."""
    alarms = [f for f in diagnosis.findings if f.alarms]
    if alarms:
        return alarms[0].message
    if diagnosis.findings and diagnosis.verdict != "not-judged":
        return f"No alarm; worth knowing: {', '.join(dict.fromkeys(f.rule for f in diagnosis.findings))}."
    return looked(diagnosis)
