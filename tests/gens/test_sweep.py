"""The sweep of fine-tuning: one scene fails, the others finish, and a second start leaves them alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gens.sweep import Row, main, table

ROOT = Path(__file__).parents[2]


def test_the_table_counts_what_is_finished():
    rows = [Row("scan24", 23, "finished", 12.0, 20.0), Row("scan37", 23, "no picture", 0.5, None)]
    rows.append(Row("scan24", 43, "was finished", 0.0, 22.0))
    lines = table(rows).splitlines()
    assert lines[1].split() == ["scan24", "23", "12.0", "20.00", "finished"]
    assert lines[-1] == "2 of 3 finished, mean PSNR 21.00"


@pytest.mark.slow
def test_one_failing_scene_does_not_stop_the_others(
    tiny_dtu, tiny_finetuning, sphere_checkpoint, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [*tiny_finetuning(tiny_dtu, tmp_path), "train.epochs", "1"]
    at = words.index("finetune_dataset.scene")
    words = [*words[:at], *words[at + 4 :]]  # scene and ref_view come from the sweep
    flags = ["--scenes", "scan9,scan1", "--ref_views", "0", "--resume", str(sphere_checkpoint), "--no_cuda"]
    command = [*flags, "--mesh_resolution", "16", *words]
    with pytest.raises(RuntimeError, match="1 of 2 scenes failed"):
        main(command)
    output = capfd.readouterr().out
    assert "no picture" in output
    assert "1 of 2 finished" in output
    done = tmp_path / "scan1" / "view0" / "checkpoints" / "model_000.ckpt"
    before = done.stat().st_mtime_ns
    with pytest.raises(RuntimeError, match="1 of 2 scenes failed"):
        main(command)
    assert "was finished" in capfd.readouterr().out
    assert done.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("script", "sentence"), [("run", "name their checkpoint with --resume"), ("finetune", "--resume")]
)
def test_scripts_reach_the_program(script, sentence, tmp_path):
    arguments = ["--mode", "val", "--no_cuda"] if script == "run" else ["--scenes", "scan24", "--ref_views", "23"]
    environment = {**os.environ, "PYTHON": sys.executable, "PROCESSES": "1"}
    done = subprocess.run(
        ["bash", f"gens/scripts/{script}.sh", *arguments, "general.base_exp_dir", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
