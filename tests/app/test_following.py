"""A file that grows is read again when the reader follows it, and keeps its place in the list."""

from tests.app.conftest import html_on, words_on


def write(path, steps: int) -> None:
    path.write_text("".join(f'{{"step": {i}, "loss": {3 + 5 / i}}}\n' for i in range(1, steps + 1)))


def test_new_points_appear_while_following(app, tmp_path):
    path = tmp_path / "growing.jsonl"
    write(path, 40)
    page = app(path)
    assert "1 – 40<" in words_on(page)
    key = page.radio(key="run_list").value
    write(path, 90)
    page.toggle(key="follow").set_value(True).run()
    page.run()
    assert not page.exception
    assert "1 – 90<" in words_on(page)
    assert page.radio(key="run_list").value == key


def test_a_file_that_disappears_stays_open_as_it_was(app, tmp_path):
    path = tmp_path / "gone.jsonl"
    write(path, 40)
    page = app(path)
    path.unlink()
    page.toggle(key="follow").set_value(True).run()
    assert not page.exception
    assert "1 – 40<" in words_on(page)


def test_only_what_was_added_is_read(app, tmp_path, monkeypatch):
    path = tmp_path / "growing.jsonl"
    write(path, 3000)
    page = app(path)
    page.toggle(key="follow").set_value(True).run()

    def refuse(*_):
        raise AssertionError("the whole file was read again")

    monkeypatch.setattr("lmdiag.app.reading.read_log", refuse)
    write(path, 3050)
    page.run()
    assert not page.exception
    assert "1 – 3,050<" in words_on(page)


def test_one_version_of_a_file_is_kept(app, tmp_path):
    from lmdiag.app.reading import _kept

    path = tmp_path / "growing.jsonl"
    for steps in (40, 60, 80):
        write(path, steps)
        assert f"1 – {steps}<" in words_on(app(path))
    assert sum(log.path == path for _, log in _kept().values()) == 1


def test_a_new_file_of_an_opened_folder_appears(app, tmp_path, monkeypatch):
    monkeypatch.setattr("lmdiag.app.following.RESCAN_S", 0.0)
    write(tmp_path / "first.jsonl", 40)
    page = app(tmp_path)
    page.toggle(key="follow").set_value(True).run()
    write(tmp_path / "second.jsonl", 70)
    page.run()
    page.run()
    assert len(page.radio(key="run_list").options) == 2


def test_an_alarm_that_comes_up_is_told(app, tmp_path):
    path = tmp_path / "growing.jsonl"
    write(path, 400)
    page = app(path)
    page.toggle(key="follow").set_value(True).run()
    with path.open("a") as log:
        log.write("".join(f'{{"step": {i}, "loss": NaN}}\n' for i in range(401, 440)))
    page.run()
    assert any("non-finite-loss" in toast.value.replace("\\", "") for toast in page.toast)


def test_an_alarm_calls_the_reader_back_only_if_asked_for(app, tmp_path):
    path = tmp_path / "growing.jsonl"
    for asked in (False, True):
        write(path, 400)
        page = app(path)
        page.toggle(key="follow").set_value(True).run()
        page.toggle(key="notice_browser").set_value(asked).run()
        with path.open("a") as log:
            log.write("".join(f'{{"step": {i}, "loss": NaN}}\n' for i in range(401, 440)))
        page.run()
        assert ("growing.jsonl: non-finite-loss, step 401" in html_on(page)) is asked
        page.run()
        assert "new Notification" not in html_on(page), "it is told once"


def test_how_long_ago_the_last_record_came_is_said(app, tmp_path):
    path = tmp_path / "growing.jsonl"
    write(path, 40)
    page = app(path)
    page.toggle(key="follow").set_value(True).run()
    assert "Last record" in words_on(page)
