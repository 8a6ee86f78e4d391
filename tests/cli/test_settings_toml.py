"""`--show-settings` prints a settings file that reads back as the settings that hold."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lmdiag.cli.settings_toml import settings_toml
from lmdiag.config import FAIL_ON, Settings, Suppression, from_mapping

WORDS = st.text("abc-", min_size=1, max_size=5)
NAMES = st.lists(WORDS, max_size=3).map(tuple)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)
VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60) | st.booleans() | TEXTS
RULES = st.dictionaries(st.text("abc", min_size=1), st.dictionaries(st.text("xyz", min_size=1), VALUES), max_size=2)
RULES_OF_PATH = st.dictionaries(
    st.text("abc", min_size=1), st.dictionaries(st.text("xyz", min_size=1), VALUES), min_size=1, max_size=2
)
READING = {"reader": TEXTS, "map": st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=2), "pattern": TEXTS}
SUPPRESSIONS = st.builds(
    Suppression,
    WORDS,
    TEXTS,
    TEXTS,
    st.none() | st.tuples(st.integers(0, 9), st.integers(9, 99)),
    st.none() | st.dates(),
)
SETTINGS = st.builds(
    Settings,
    NAMES,
    NAMES,
    NAMES,
    st.sampled_from(FAIL_ON),
    st.just("") | TEXTS,
    RULES,
    st.lists(
        st.tuples(TEXTS, st.fixed_dictionaries({}, optional={"ignore": NAMES, "rules": RULES_OF_PATH} | READING)),
        max_size=2,
    ).map(tuple),
    st.lists(SUPPRESSIONS, max_size=2).map(tuple),
)


@given(SETTINGS)
def test_what_is_printed_reads_back(settings):
    assert from_mapping(tomllib.loads(settings_toml(settings))) == settings


def test_the_source_is_named():
    assert settings_toml(replace(Settings(), source="a/lmdiag.toml")).startswith("# a/lmdiag.toml\n")


def test_options_and_files_are_added_up(run, tmp_path):
    (tmp_path / "lmdiag.toml").write_text("ignore = ['spikes']\nselect = ['numerics']\n")
    done = run("check", "--show-settings", "--fail-on", "info", "--extend-select", "plateau", "--config", "ignore=data")
    assert done.code == 0
    assert tomllib.loads(done.out) == {
        "select": ["numerics"],
        "extend-select": ["plateau"],
        "ignore": ["data"],
        "fail-on": "info",
        "baseline": "",
    }
    assert run("check", "--show-settings", "--isolated").out.startswith("# defaults\n")
