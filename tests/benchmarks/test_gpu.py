"""The script for a GPU runs every part on a CPU, too, so that on the day there is a device one command suffices."""

import pytest

torch = pytest.importorskip("torch")

from benchmarks import gpu  # noqa: E402


def test_training_resuming_and_post_training_run_and_are_judged(tmp_path):
    log = gpu.trained(tmp_path, "cpu", "transformer", "a", f"{gpu.TINY} --context 64 --steps 22")
    assert "parameters" in gpu.speed_of(log)
    assert "tokens/s" in gpu.speed_of(log)
    assert gpu.resumed(tmp_path, "cpu") == "20 of 20 steps, losses differ by at most 0"
    model = tmp_path / "a.checkpoints" / "final"
    after = gpu.trained(tmp_path, "cpu", "dpo", "dpo", f"--pretrained {model} --steps 60 {gpu.FEW}")
    assert gpu.judged(after).startswith(("healthy", "suspect"))


def test_a_part_that_fails_is_a_result_and_not_the_end(tmp_path):
    log = gpu.trained(tmp_path, "nowhere", "transformer", "a", gpu.TINY)
    assert gpu.speed_of(log) == gpu.judged(log) == "failed: it wrote no log"
    assert gpu.run("no.such.module").startswith("failed: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_says_what_can_be_tried(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["gpu", "--output", str(tmp_path / "a.md")])
    with pytest.raises(SystemExit, match="there is no CUDA device here"):
        gpu.main()
    assert not list(tmp_path.iterdir())
