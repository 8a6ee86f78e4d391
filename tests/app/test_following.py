"""A file that grows is read again when the reader follows it, and keeps its place in the list."""

from tests.app.conftest import words_on


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
