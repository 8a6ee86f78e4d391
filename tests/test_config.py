"""Settings come from the nearest file, are overridden by name, and are refused when they do not fit."""

import pytest

from lmdiag.config import FILE_NAMES, Settings, from_mapping, load, override, read
from lmdiag.errors import BadSetting


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_no_file_gives_the_defaults(tmp_path):
    assert read(tmp_path / "lmdiag.toml") is None
    assert from_mapping({}) == Settings()


def test_the_nearest_file_wins(tmp_path):
    write(tmp_path / "pyproject.toml", '[tool.lmdiag]\nfail-on = "info"\n')
    assert load(tmp_path / "runs" / "today").fail_on == "info"
    write(tmp_path / "runs" / "lmdiag.toml", 'fail-on = "warning"\n')
    assert load(tmp_path / "runs" / "today").fail_on == "warning"


def test_a_pyproject_without_our_table_is_passed_over(tmp_path):
    write(tmp_path / "lmdiag.toml", 'ignore = ["throughput"]\n')
    write(tmp_path / "inner" / "pyproject.toml", "[tool.other]\nx = 1\n")
    settings = load(tmp_path / "inner")
    assert settings.ignore == ("throughput",)
    assert settings.source == str(tmp_path / "lmdiag.toml")


@pytest.mark.parametrize("name", ["lmdiag.toml", ".lmdiag.toml", "pyproject.toml"])
def test_the_tables_of_a_pyproject_hold_in_every_file(tmp_path, name):
    text = '[tool.lmdiag]\nfail-on = "info"\n[tool.lmdiag.rules.plateau]\nwindow = 3\n[[tool.lmdiag.per-path]]\nmatch = "a"\n'
    settings = read(write(tmp_path / name, text))
    assert (settings.fail_on, settings.rules, settings.per_path) == ("info", {"plateau": {"window": 3}}, (("a", {}),))


@pytest.mark.parametrize("text", ["fail-on = 'info'\n[tool.lmdiag]\n", "[tool.lmdiag]\n[rules.plateau]\nwindow = 3\n"])
def test_settings_inside_and_outside_of_our_table_are_refused(tmp_path, text):
    with pytest.raises(BadSetting, match=r"lmdiag\.toml: '(fail-on|rules)' stands beside \[tool\.lmdiag\]"):
        read(write(tmp_path / "lmdiag.toml", text))


def test_a_table_of_another_tool_is_no_setting(tmp_path):
    with pytest.raises(BadSetting, match="unknown setting 'tool'"):
        read(write(tmp_path / "lmdiag.toml", "[tool.other]\nx = 1\n"))


def test_every_key_is_read(tmp_path):
    file = write(
        tmp_path / "lmdiag.toml",
        'select = ["numerics"]\nignore = "loss-spike"\nfail_on = "never"\n[rules.plateau]\nleast-share = 0.5\n',
    )
    assert read(file) == Settings(
        select=("numerics",),
        ignore=("loss-spike",),
        fail_on="never",
        rules={"plateau": {"least_share": 0.5}},
        source=str(file),
    )


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path):
    (tmp_path / "lmdiag.toml").write_bytes(b'\xef\xbb\xbffail-on = "info"\r\n')
    assert load(tmp_path).fail_on == "info"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"fail-om": "error"}, 'did you mean "fail-on"?'),
        ({"fail-on": "fatal"}, "choose one of error, warning, info, never"),
        ({"select": [1]}, "select must be a list of names"),
        ({"rules": {"plateau": 3}}, "one table per rule"),
        ({"source": "x"}, "unknown setting 'source'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(document, said):
    with pytest.raises(BadSetting, match=r"a\.toml: ") as caught:
        from_mapping(document, "a.toml")
    assert said in str(caught.value)


def test_broken_toml_names_file_and_line(tmp_path):
    file = write(tmp_path / "lmdiag.toml", "select = nothing\n")
    with pytest.raises(BadSetting, match=r"lmdiag\.toml: .*line 1"):
        read(file)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("fail-on=info", Settings(("a",), fail_on="info")),
        ("select=numerics,spikes", Settings(("numerics", "spikes"))),
        ('select=["b"]', Settings(("b",))),
        ("rules.plateau.window = 3", Settings(("a",), rules={"plateau": {"window": 3}})),
    ],
)
def test_single_values_are_overridden(assignment, expected):
    assert override(Settings(("a",)), [assignment]) == expected


def test_overriding_one_rule_setting_keeps_the_others():
    settings = from_mapping({"rules": {"plateau": {"window": 3, "share": 0.1}, "loss-spike": {"z": 5}}})
    assert override(settings, ["rules.plateau.window=9"]).rules == {
        "plateau": {"window": 9, "share": 0.1},
        "loss-spike": {"z": 5},
    }


def test_overriding_does_not_change_the_original():
    settings = from_mapping({"rules": {"plateau": {"window": 3}}})
    override(settings, ["rules.plateau.window=9"])
    assert settings.rules == {"plateau": {"window": 3}}


PER_PATH = {
    "rules": {"plateau": {"window": 3}},
    "per-path": [
        {"match": "runs/gan-*", "ignore": ["spikes"], "rules": {"plateau": {"share": 0.5}}},
        {"match": "*-big.csv", "select": ["numerics"]},
    ],
}


@pytest.mark.parametrize(
    ("path", "select", "ignore", "plateau"),
    [
        ("runs/a.csv", (), (), {"window": 3}),
        ("runs/gan-a.csv", (), ("spikes",), {"window": 3, "share": 0.5}),
        ("runs/gan-big.csv", ("numerics",), ("spikes",), {"window": 3, "share": 0.5}),
        ("deep/er/x-big.csv", ("numerics",), (), {"window": 3}),
    ],
)
def test_settings_for_some_paths_are_put_over_the_general_ones_in_order(path, select, ignore, plateau):
    settings = from_mapping(PER_PATH).for_path(path)
    assert (settings.select, settings.ignore, settings.rules) == (select, ignore, {"plateau": plateau})


@pytest.mark.parametrize(
    ("table", "said"),
    [({"ignore": []}, "has no match"), ({"match": "a", "fail-on": "info"}, "unknown setting"), ("a", "list of tables")],
)
def test_settings_for_paths_that_do_not_fit_are_refused(table, said):
    with pytest.raises(BadSetting) as caught:
        from_mapping({"per-path": [table]})
    assert said in str(caught.value)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_our_table_must_be_one(tmp_path, name):
    (tmp_path / name).write_text("[tool]\nlmdiag = 5\n")
    with pytest.raises(BadSetting, match=r"tool.lmdiag must be a table, not 5"):
        load(tmp_path)
