"""The app as it is installed: from a wheel, without a checkout and without PyTorch."""

import subprocess
import sys
import zipfile

import pytest

from lmdiag.app.welcome import LESSONS
from tests.app.conftest import ROOT

OPEN_THE_GALLERY = """
import sys
sys.modules["torch"] = None  # not installed
sys.argv = ["script.py"]
from streamlit.testing.v1 import AppTest
import lmdiag.app.script
page = AppTest.from_file(lmdiag.app.script.__file__, default_timeout=120).run()
opens = [button for button in page.button if button.label == "Open"]
opens[0].click().run()
assert not page.exception, page.exception
print(lmdiag.__file__, len(opens), len(page.get("vega_lite_chart")))
"""


@pytest.mark.slow
def test_the_gallery_works_from_an_installed_wheel(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    done = subprocess.run(
        [sys.executable, "-c", OPEN_THE_GALLERY],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    where, cards, drawn = done.stdout.split()
    assert where.startswith(str(tmp_path))
    assert int(cards) == len(LESSONS)
    assert int(drawn) >= 1
