"""Training across scenes: what it leaves, and that it continues exactly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.checkpoints import load_checkpoint
from gens.main import main
from tests.nested import assert_equal
from tests.processes import free_port

ROOT = Path(__file__).parents[2]
FLAGS = ["--conf", "confs/gens.conf", "--mode", "train", "--no_cuda", "--mesh_resolution", "16"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def finished(tiny_dtu, tiny_words, tmp_path_factory, one_thread):
    """The folder of a run of two epochs."""
    root = tmp_path_factory.mktemp("finished")
    main([*FLAGS, *tiny_words(tiny_dtu, root)])
    return root


def test_a_run_leaves_what_the_readme_promises(finished, manifest):
    names = sorted(path.name for path in (finished / "checkpoints").iterdir())
    assert names == ["latest.ckpt", "latest.previous.ckpt", "model_000.ckpt", "model_001.ckpt"]
    content = load_checkpoint(finished / "checkpoints" / "model_001.ckpt")
    assert {name: list(value.shape) for name, value in content["model"].items()} == manifest["gens"]
    assert content["epoch"] == 1
    groups = content["optimizer"]["param_groups"]
    assert [len(group["params"]) for group in groups] == [45, 189]
    (record,) = (finished / "codes_recording").iterdir()
    assert sorted(path.name for path in record.iterdir()) == ["command.txt", "revision.txt", "settings.conf"]
    assert (finished / "val_img" / "scan1_view0_light3_epoch1.png").is_file()
    assert list((finished / "logs").iterdir())


def test_resuming_is_exact_and_needs_no_flag(finished, tiny_dtu, tiny_words, tmp_path):
    """Quirk 2 of the release: its optimiser state could not be restored."""
    words = tiny_words(tiny_dtu, tmp_path / "flag")
    main([*FLAGS, "--resume", str(finished / "checkpoints" / "model_000.ckpt"), *words])
    first, second = (load_checkpoint(root / "checkpoints" / "model_001.ckpt") for root in (finished, tmp_path / "flag"))
    assert_equal(first, second)
    before = (tmp_path / "flag" / "checkpoints" / "model_001.ckpt").stat().st_mtime_ns
    main([*FLAGS, *words])  # finished: nothing to do
    assert (tmp_path / "flag" / "checkpoints" / "model_001.ckpt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_left_alone(finished, tiny_dtu, tiny_words, tmp_path):
    words = [*tiny_words(tiny_dtu, tmp_path), "train.save_iter", "1"]
    command = [sys.executable, "gens/main.py", *FLAGS, *words]
    latest = tmp_path / "checkpoints" / "latest.ckpt"
    process = subprocess.Popen(command, cwd=ROOT, env=ONE_THREAD, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not latest.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    own = load_checkpoint(latest)["polyview"]
    assert (own["epoch"], own["position"]) < (1, 0), "killed too late to show anything"
    main([*FLAGS, *words])
    first, second = (load_checkpoint(root / "checkpoints" / "model_001.ckpt") for root in (finished, tmp_path))
    assert_equal(first, second)


@pytest.mark.slow
def test_torchrun_trains_and_one_process_reports(tiny_dtu, tiny_words, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]
    words = [*tiny_words(tiny_dtu, tmp_path), "train.epochs", "1"]
    done = subprocess.run(
        [*command, "gens/main.py", *FLAGS, *words],
        cwd=ROOT,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    content = load_checkpoint(tmp_path / "checkpoints" / "model_000.ckpt")
    steps = {state["step"].item() for state in content["optimizer"]["state"].values()}
    assert steps == {1.0}  # two items, two processes
    assert done.stderr.count("epoch: 0  step: 1") == 1
    assert done.stderr.count("mean: color_loss") == 1
