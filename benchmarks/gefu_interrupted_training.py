"""Kill a training run again and again, and compare what it ends with to a run that nobody disturbed.

    python benchmarks/gefu_interrupted_training.py --data datasets/dtu_tiny --kills 20

Kills (SIGKILL) fall in turn into the start, the steps, and the writing of a checkpoint, each at a random moment. After
the last one the command is started once more and runs to its end. Weights, optimiser and schedule must then be the
same, bit for bit.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from common.checkpoints import load_checkpoint
from common.entry_point import run_command

ROOT = Path(__file__).parent.parent
EXPERIMENT = "gefu/dtu_pretrain"
PATIENCE = 600.0  # seconds until a run that shows no sign of life is given up


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare a disturbed and an undisturbed run; RuntimeError where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in DTU's layout with small pictures")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=40, help="of the whole run; a checkpoint is written after each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        moments = compare_runs(options.data, Path(folder), options.kills, options.steps, options.seed)
    print(f"{len(moments)} kills, {options.steps} steps: same weights, optimiser and schedule")
    print("  ".join(moments))


def compare_runs(data: Path, folder: Path, kills: int, steps: int, seed: int = 0) -> list[str]:
    """Both runs below `folder`; returns where each kill fell, as "moment@last finished step".

    Raises:
        RuntimeError: A run failed, or the two ended differently; the sentence names the first difference.
    """
    undisturbed = command(data, folder / "undisturbed", steps)
    _finish(undisturbed)
    disturbed = command(data, folder / "disturbed", steps)
    generator = random.Random(seed)
    moments = []
    for number in range(kills):
        kind = ("start", "step", "write")[number % 3]
        moments.append(f"{kind}@{_kill_once(disturbed, folder / 'disturbed', kind, generator)}")
    _finish(disturbed)
    first, second = (load_checkpoint(_latest(folder / name)) for name in ("undisturbed", "disturbed"))
    for part in ("net", "optim", "scheduler", "recorder", "epoch"):
        difference = first_difference(first[part], second[part], part)
        if difference:
            raise RuntimeError(f"after {moments} the runs differ in {difference}")
    leftovers = [path.name for path in _latest(folder / "disturbed").parent.glob(".*")]
    if leftovers:
        raise RuntimeError(f"the disturbed run left {leftovers}")
    return moments


def command(data: Path, output: Path, steps: int) -> list[str]:
    """A training command that saves after every step."""
    settings = {
        "train_dataset.data_root": data,
        "train_dataset.ann_file": "",
        "train.num_workers": 0,
        "gefu.cas_config.volume_planes": "8,8",
        "gefu.perceptual_weight": 0.0,
        "skip_eval": True,
        "fix_random": True,
        "gpus": "[-1]",
        "ep_iter": 5,
        "train.epoch": -(-steps // 5),
        "train.scheduler.decay_epochs": 2,
        "save_ep": 1000,
        "save_iter": 1,
        "log_interval": 1,
        "trained_model_dir": output / "trained_model",
        "record_dir": output / "record",
    }
    words = [str(word) for pair in settings.items() for word in pair]
    return [sys.executable, str(ROOT / "gefu" / "train_net.py"), "--cfg_file", "configs/gefu/dtu_pretrain.yaml", *words]


def first_difference(first: Any, second: Any, name: str) -> str:
    """The path of the first entry that is not the same in two nested values; empty where all are."""
    if isinstance(first, torch.Tensor):
        return "" if torch.equal(first, second) else name
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = [(first[key], second[key], f"{name}.{key}") for key in first]
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = [(one, other, f"{name}.{index}") for index, (one, other) in enumerate(zip(first, second, strict=True))]
    else:
        return "" if first == second else name
    return next((found for one, other, path in pairs if (found := first_difference(one, other, path))), "")


def _finish(words: Sequence[str]) -> None:
    done = subprocess.run(words, env=_environment(), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the run ended with exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


def _kill_once(words: Sequence[str], output: Path, kind: str, generator: random.Random) -> int:
    """Start the command and kill it at a moment of the given kind; returns the last step that a checkpoint holds."""
    log = output / "log.txt"
    output.mkdir(exist_ok=True)
    with log.open("w") as stream:
        process = subprocess.Popen(words, env=_environment(), cwd=ROOT, stderr=stream, stdout=stream)
        try:
            if kind == "start":
                time.sleep(generator.uniform(0.0, 5.0))
            else:
                _wait(process, lambda: "step:" in log.read_text())
                time.sleep(generator.uniform(0.0, 2.0))
            if kind == "write":
                folder = _latest(output).parent
                _wait(process, lambda: any(path.stat().st_size for path in folder.glob(".latest-*") if path.exists()))
        finally:
            process.kill()
            process.wait()
    return load_checkpoint(_latest(output))["recorder"]["step"] if _latest(output).exists() else 0


def _wait(process: subprocess.Popen, happened: Any) -> None:
    """Until something happened or the process ended."""
    began = time.monotonic()
    while process.poll() is None:
        try:
            if happened():
                return
        except FileNotFoundError:  # the file was renamed while it was looked at
            pass
        if time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"no sign of life from the training run after {PATIENCE:.0f} s")
        time.sleep(0.002)


def _latest(output: Path) -> Path:
    return output / "trained_model" / EXPERIMENT / "latest.pth"


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    run_command(main)
