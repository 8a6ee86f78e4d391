"""What the app is served with is the same from the command line and from a checkout."""

import tomllib

from lmdiag.cli.app import SETTINGS, command
from tests.app.conftest import ROOT


def flat(table: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_both_ways_to_start_the_app_have_the_same_settings():
    assert flat(tomllib.loads((ROOT / ".streamlit/config.toml").read_text())) == SETTINGS


def test_the_command_carries_every_setting_and_the_chosen_address():
    line = command(("a.jsonl",), 9000, "0.0.0.0", browser=False)
    assert "--server.address=0.0.0.0" in line
    assert "--browser.gatherUsageStats=false" in line
    assert {option.partition("=")[0] for option in line if option.startswith("--")} >= {
        f"--{name}" for name in SETTINGS
    }
