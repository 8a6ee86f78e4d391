"""What the app is served with is the same from the command line and from a checkout."""

import tomllib

import pytest

from lmdiag.cli.app import SETTINGS, command, hosts
from tests.app.conftest import ROOT


def flat(table: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_both_ways_to_start_the_app_have_the_same_settings():
    allowed = {
        "server.allowedHosts": [*hosts("127.0.0.1")]
    }  # for `lmdiag app` in the environment: it may be refused as an option
    assert flat(tomllib.loads((ROOT / ".streamlit/config.toml").read_text())) == SETTINGS | allowed


def test_the_command_carries_every_setting_and_the_chosen_address():
    line = command(("a.jsonl",), 9000, "0.0.0.0", browser=False)
    assert "--server.address=0.0.0.0" in line
    assert "--browser.gatherUsageStats=false" in line
    assert {option.partition("=")[0] for option in line if option.startswith("--")} >= {
        f"--{name}" for name in SETTINGS
    }


def test_a_page_of_another_origin_makes_the_server_ask_nobody_outside(app, monkeypatch):
    from streamlit import net_util
    from streamlit.web.server.server_util import is_url_from_allowed_origins

    app()
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda *_, **__: pytest.fail("it asked"))
    assert not is_url_from_allowed_origins("http://elsewhere.example")
