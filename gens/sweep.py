"""Fine-tune on every test scene of DTU from both reference views, one process after the other; ends with a table.

    bash gens/scripts/finetune.sh --resume CKPT finetune_dataset.data_dir DTU
    python gens/sweep.py --scenes scan24,scan37 --ref_views 23 --resume CKPT ...

Other flags and settings go to `main.py --mode finetune` unchanged. Started again, the sweep goes on where it was
stopped: finished scenes are left alone, a scene in the middle continues at its last checkpoint. A scene that fails does
not stop the others; the exit code then is 1.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.entry_point import run_command
from common.io.data_files import read_text
from common.paths import resolve_input
from gens.config import METHOD_FOLDER, load_config, parse_arguments
from gens.model_checkpoints import FOLDER
from gens.run_folder import run_root

DEFAULT_CONFIG = "confs/gens_finetune.conf"
SCENES = "datasets/dtu_split/test.txt"
REF_VIEWS = (23, 43)
DONE = ("finished", "was finished")


@dataclass(frozen=True)
class Row:
    """What became of one scene: "finished", "was finished" or the sentence it failed with."""

    scene: str
    ref_view: int
    result: str
    minutes: float
    psnr: float | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweep; RuntimeError at its end where a scene failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=lambda text: text.split(","), help="names; the 15 test scenes by default")
    parser.add_argument("--ref_views", type=_numbers, default=REF_VIEWS, help="23,43 by default")
    options, rest = parser.parse_known_args(arguments)
    if "--conf" not in rest:
        rest = ["--conf", DEFAULT_CONFIG, *rest]
    scenes = options.scenes or read_text(resolve_input(SCENES, METHOD_FOLDER)).split()
    rows: list[Row] = []
    jobs = [(scene, view) for view in options.ref_views for scene in scenes]
    try:
        for scene, view in tqdm(jobs, "fine-tuning", unit="scene", disable=None):
            rows.append(_finetune(scene, view, rest))
    finally:
        print(table(rows))
    failed = [row for row in rows if row.result not in DONE]
    if failed:
        raise RuntimeError(
            f"{len(failed)} of {len(rows)} scenes failed; start the same command again to try them again"
        )


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [f"{'scene':<28} {'view':>4} {'minutes':>8} {'PSNR':>6}  result"]
    for row in rows:
        psnr = "" if row.psnr is None else f"{row.psnr:.2f}"
        lines.append(f"{row.scene:<28} {row.ref_view:>4} {row.minutes:>8.1f} {psnr:>6}  {row.result}")
    done = [row for row in rows if row.result in DONE]
    known = [row.psnr for row in done if row.psnr is not None]
    mean = f", mean PSNR {sum(known) / len(known):.2f}" if known else ""
    return "\n".join([*lines, f"{len(done)} of {len(rows)} finished{mean}"])


def _finetune(scene: str, view: int, rest: Sequence[str]) -> Row:
    words = ["--mode", "finetune", "--scene", scene, "--ref_view", str(view), *rest]
    args = parse_arguments(words)
    cfg = load_config(args.conf, args.opts, scene, view)
    root, last = run_root(cfg, "finetune"), cfg.train.epochs - 1
    finished = root / FOLDER / f"model_{last:03d}.ckpt"
    if finished.is_file() and not cfg.general.restart:
        return Row(scene, view, "was finished", 0.0, _psnr(root, last))
    began = time.monotonic()
    problem = _run([sys.executable, str(METHOD_FOLDER / "main.py"), *words])
    minutes = (time.monotonic() - began) / 60
    if not problem and not finished.is_file():
        problem = f"it ended without {finished}"
    return Row(scene, view, problem or "finished", minutes, None if problem else _psnr(root, last))


def _run(command: Sequence[str]) -> str:
    """Run a command and show what it says; returns why it failed, empty where it did not."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, bufsize=1)
    sentence = ""
    try:
        for line in process.stderr:
            sys.stderr.write(line)
            if line.startswith("error: "):
                sentence = line.removeprefix("error: ").strip()
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        process.stderr.close()
    return "" if code == 0 else sentence or f"it ended with exit code {code}"


def _psnr(root: Path, last: int) -> float | None:
    path = root / f"val_step{last}.json"
    content: Any = json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}
    return content.get("mean", {}).get("psnr")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected view numbers like 23,43, got '{text}'") from None


if __name__ == "__main__":
    run_command(main)
