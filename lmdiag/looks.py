"""How verdicts and severities look, everywhere: a word, an icon and a colour, never colour alone."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """One colour: its name in a terminal, its value as text on white and on a dark page, and its name in Streamlit."""

    terminal: str
    light: str
    dark: str
    badge: str


class Look(NamedTuple):
    """How a verdict or a severity is shown; `symbol` is the icon of Streamlit that says what `icon` says."""

    word: str
    icon: str
    symbol: str
    colour: Colour


# On white, on dark (#0d1117 to #161b22) and on a tint of itself each can be read as text (a contrast of 4.5), and
# readers with deuteranopia or protanopia can tell red, amber and green apart.
RED = Colour("red", "#B3123F", "#FF6B5E", "red")
AMBER = Colour("yellow", "#8A6100", "#E3B341", "orange")
GREEN = Colour("green", "#007A59", "#4AC29A", "green")
BLUE = Colour("blue", "#2B6A99", "#79B8E8", "blue")
GREY = Colour("cyan", "#4B5563", "#9AA4B2", "gray")

LOOKS = {  # verdicts, worst first, and severities
    "unhealthy": Look("unhealthy", "✗", ":material/cancel:", RED),
    "suspect": Look("suspect", "!", ":material/warning:", AMBER),
    "not-judged": Look("not judged", "?", ":material/help:", GREY),
    "known": Look("known", "–", ":material/bookmark:", GREY),
    "unfinished": Look("healthy so far", "✓", ":material/check_circle:", GREEN),
    "healthy": Look("healthy", "✓", ":material/check_circle:", GREEN),
    "error": Look("error", "✗", ":material/cancel:", RED),
    "warning": Look("warning", "!", ":material/warning:", AMBER),
    "info": Look("info", "i", ":material/info:", BLUE),
}
