"""Stores that are zip archives: what they hold is read by name, and no more of it than a log can be."""

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import read, read_runs, runs_of
from lmdiag.sources.source import Source

STORES = Path(__file__).parent / "stores"


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def test_the_archive_of_clearml_holds_what_the_folder_holds(tmp_path):
    (folder,) = (STORES / "clearml" / "log" / "whole").glob("*/offline-*")
    zipped = Path(shutil.make_archive(str(tmp_path / folder.name), "zip", folder))
    whole, packed = read(folder), read(zipped)
    assert str(packed["loss"].values.tolist()) == str(whole["loss"].values.tolist())
    assert (packed.name, packed.config["max_steps"]) == (whole.name, 40)


def test_an_archive_of_comet_that_was_never_filled_says_where_the_values_are(tmp_path):
    empty = tmp_path / f"{'a' * 32}.zip"
    empty.write_bytes(archive())
    runs, ((_, problem),) = read_runs([empty])
    assert runs == []
    assert "messages.json" in problem.hint


def test_an_archive_that_unpacks_to_more_than_a_log_is_refused():
    packed = archive(messages__json=bytes(1 << 27))
    with pytest.raises(UnreadableLog, match="unpacks to more"):
        runs_of(Source(f"{'a' * 32}.zip", content=packed))


def test_other_archives_are_for_the_user_to_unpack():
    with pytest.raises(UnreadableLog, match="is a zip archive") as error:
        runs_of(Source("a.zip", content=archive(train__log=b"step 1 loss 2")))
    assert error.value.hint.startswith("unpack it")
