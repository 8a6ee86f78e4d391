"""The address of the page opens the same logs, run, axis and zoom again, and opens nothing else."""

from streamlit.testing.v1 import AppTest

from tests.app.conftest import ROOT, SAMPLES, specs_on, words_on


def at(**parameters: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    return page.run()


def address_of(page: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}


def box(page: AppTest, label: str):
    return next(box for box in page.selectbox if box.label == label)


def test_an_address_round_trips(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py"])
    page = at(open="loss-spike,divergence", page="Run")
    box(page, "Over").select("relative").run()
    next(b for b in page.button if b.label == "Show on the curves").click().run()
    address = address_of(page)
    assert address["open"] == "divergence,loss-spike"
    assert address["axis"] == "relative"
    assert "@" in address["finding"]
    first, _, last = address["steps"].partition("-")
    assert int(first) < int(last)
    again = at(**address)
    assert not again.exception
    assert specs_on(again) == specs_on(page)
    assert address_of(again) == address


def test_an_address_of_nonsense_opens_the_first_screen(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py"])
    page = at(open="../../etc/passwd,<script>", run="x/0", axis="__class__", steps="1e9--3")
    assert not page.exception
    assert "Is this training run healthy?" in words_on(page)


def test_an_axis_that_a_run_does_not_have_is_left_out(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py"])
    key = address_of(at(open=SAMPLES[0].stem))["run"]
    page = at(open=SAMPLES[0].stem, run=key, axis="moon", steps="0-99999999")
    assert not page.exception
    assert box(page, "Over").value == "step"


def test_a_page_that_is_loaded_anew_says_which_logs_must_be_added_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py"])
    page = at()
    log = b"".join(b'{"step": %d, "loss": %f}\n' % (i, 3 + 5 / i) for i in range(1, 100))
    page.file_uploader[0].upload("a.jsonl", log, "application/json").run()
    again = at(**address_of(page))
    assert "1 uploaded log went when the page was loaded anew" in again.warning[0].value
    again.run()
    assert address_of(again)["uploads"] == "1"
    again.file_uploader[0].upload("a.jsonl", log, "application/json").run()
    assert not again.warning
    assert not at(uploads="<b>").warning
