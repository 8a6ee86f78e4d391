"""Several processes train what one process trains."""

import os
import socket
import subprocess
import sys

import pytest

from tests.trainers.conftest import TINY, read, values
from tests.trainers.test_faults import ROOT


def torchrun(log, *arguments):
    """Train in two processes on the CPU; return the records of rank 0."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "trainers"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "transformer", *TINY, "--steps", "6", "--log-file", str(log), *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return read(log)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "optimizer"),
    [
        (["--accumulation", 2, "--all-ranks"], "adamw"),
        (["--fsdp", "--checkpoint-every", 3], "adamw"),
        (["--fsdp", "--checkpoint-every", 3, "--recompute"], "muon"),
    ],
)
def test_two_processes_equal_one(train, tmp_path, arguments, optimizer):
    arguments = [*arguments, "--optimizer", optimizer]
    rel = {"adamw": 1e-3, "muon": 1e-2}[optimizer]  # Muon makes matrices orthogonal in bf16
    one = train("--steps", 6, "--layers-every", 1, "--optimizer", optimizer, log="one.jsonl")
    two = torchrun(tmp_path / "two.jsonl", "--layers-every", 1, *arguments)
    assert two[0]["world_size"] == 2
    for name in ("loss", "grad_norm", "param_norm", "update_norm"):
        assert values(two, name) == pytest.approx(values(one, name), rel=rel), name
    layers = values(one, "layers")[-1]
    assert {name: norms["update_ratio"] for name, norms in values(two, "layers")[-1].items()} == pytest.approx(
        {name: norms["update_ratio"] for name, norms in layers.items()}, rel=rel
    )
    assert values(two, "loss", "eval") == pytest.approx(values(one, "loss", "eval"), rel=1e-4)
    others = [p.name for p in tmp_path.glob("two.rank*")]
    assert others == (["two.rank1.jsonl"] if "--all-ranks" in arguments else [])


@pytest.mark.slow
@pytest.mark.parametrize("split", [["--fsdp"], []], ids=["fsdp", "ddp"])
def test_two_processes_resume_as_if_they_had_not_stopped(train, tmp_path, split):
    common = ["--schedule", "constant", "--warmup-steps", 1, "--dropout", 0.1, *split]
    whole = torchrun(tmp_path / "whole.jsonl", *common)
    torchrun(tmp_path / "cut.jsonl", *common, "--steps", 3, "--checkpoint-every", 1, "--keep", 2)
    kept = {path.name: path for path in (tmp_path / "cut.checkpoints").glob("step-*")}
    assert set(kept) == {f"step-0000000{n}{'' if split else '.pt'}" for n in (2, 3)}
    if split:  # each process wrote its own share, and neither all of it
        sizes = [path.stat().st_size for path in kept["step-00000003"].glob("*.distcp")]
        assert len(sizes) == 2
        assert max(sizes) < 0.75 * sum(sizes)
    records = torchrun(tmp_path / "cut.jsonl", *common, "--resume")
    again = [i for i, r in enumerate(records) if r["type"] == "run"][1]
    assert records[again]["resumed_from_step"] == 3
    for name in ("loss", "grad_norm", "param_norm"):
        assert values(records[again:], name) == pytest.approx(values(whole, name)[3:], rel=1e-6), name


@pytest.mark.slow
def test_two_hosts_that_meet_train_what_one_process_trains(train, tmp_path):
    """Two agents of torchrun, as on two machines, find each other at an address."""
    one = train("--steps", 6, log="one.jsonl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "two"]
    command = [sys.executable, "-m", "torch.distributed.run", *meeting, "--rdzv-endpoint", f"127.0.0.1:{port}"]
    run = ["-m", "trainers", "transformer", *TINY, "--steps", "6", "--all-ranks", "--log-file", "two.jsonl"]
    hosts = [
        subprocess.Popen(
            [*command, "--local-addr", "127.0.0.1", *run],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for host in hosts:
        _, said = host.communicate(timeout=300)
        assert host.returncode == 0, said
    for log in ("two.jsonl", "two.rank1.jsonl"):
        two = read(tmp_path / log)
        assert two[0]["world_size"] == 2
        assert values(two, "loss") == pytest.approx(values(one, "loss"), rel=1e-3)


def test_splitting_needs_several_processes(train, capsys):
    train("--fsdp", code=2)
    assert "torchrun" in capsys.readouterr().err
