"""What fine-tuning on a scene brings to GenS's mesh: generated scenes that nothing was trained or tuned on.

    python benchmarks/gens_finetuning.py
    python benchmarks/gens_finetuning.py --scenes 6 --steps 200

Runs `gens/main.py` as a user would: `--mode val` with the generic weights, then `--mode finetune` on the same three
photographs, which leaves a mesh at its end; with `confs/gens_finetune.conf` at the size of the shipped weights.
Chamfer distances to the true mesh in millimetres, as in `gens_quality.py`, whose seeds these are. Pseudo depths are
not given: photographs alone decide.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import gens
from common.demo.surfaces import REFERENCE, REGIONS, SurfaceScene, generated_surface, scored
from common.entry_point import run_command
from common.io.meshes import read_mesh
from common.renderer import SurfaceMesh

FIRST_SEED = 700
MAIN = Path(gens.__file__).parent / "main.py"
SIZE = (
    *("model.volume.volume_dims", "[64,32,16,8,4]"),
    *("model.implicit_surface.render.n_samples", "32", "model.implicit_surface.render.n_importance", "32"),
    *("finetune_dataset.factor", "0.8", "finetune_dataset.img_hw", "[128,160]", "finetune_dataset.n_rays", "128"),
)
PICTURE_SIZE = (200, 160)  # before `factor`


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the distances before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--weights", default=str(gens.SHIPPED_WEIGHTS), help="generic weights")
    parser.add_argument("--resolution", type=int, default=128, help="points along a side of the grid of the mesh")
    parser.add_argument("--folder", type=Path, default=Path("datasets/quality"), help="keeps the scenes")
    parser.add_argument("--output", type=Path, default=Path("record/gens_finetuning"), help="runs with their meshes")
    options = parser.parse_args(arguments)
    rows: dict[str, list[list[float]]] = {"generic": [], f"{options.steps} steps": []}
    for seed in tqdm(range(FIRST_SEED, FIRST_SEED + options.scenes), "scenes", unit="scene"):
        one = generated_surface(options.folder, seed, PICTURE_SIZE)
        for row, name in zip(rows.values(), ("val", "finetune"), strict=True):
            row.append(distances(reconstruct(name, one, options), one))
    print(f"{'':>16}" + "".join(f"{region:>20}" for region in REGIONS) + "   by scene")
    for name, row in rows.items():
        each = "   ".join("/".join(f"{value:.2f}" for value in values) for values in row)
        print(f"{name:>16}" + "".join(f"{mean:>20.2f}" for mean in np.mean(row, axis=0)) + f"   {each}")


def reconstruct(mode: str, one: SurfaceScene, options: argparse.Namespace) -> Path:
    """Run the program on a scene; the newest mesh that it leaves."""
    folder = options.output / one.scene.name / mode
    words = [
        *("--conf", "confs/gens_finetune.conf", "--mode", mode, "--resume", options.weights),
        *("--scene", one.scene.name, "--ref_view", str(REFERENCE), "--mesh_resolution", str(options.resolution)),
        *(
            "general.base_exp_dir",
            str(folder),
            "general.restart",
            "True",
            "finetune_dataset.data_dir",
            str(data_folder(one)),
        ),
        *(*SIZE, "train.epochs", str(options.steps)),
        *("train.val_freq", str(options.steps), "train.save_freq", str(options.steps)),
    ]
    subprocess.run([sys.executable, str(MAIN), *words], check=True)
    return max(folder.rglob("meshes/*.ply"), key=lambda path: path.stat().st_mtime)


def data_folder(one: SurfaceScene) -> Path:
    """The folder that a generated scene was read from."""
    return one.scene.views[0].image.path.parents[2]


def distances(path: Path, one: SurfaceScene) -> list[float]:
    """Chamfer distance in each region."""
    vertices, faces = read_mesh(path)
    mesh = SurfaceMesh(torch.from_numpy(vertices).float(), torch.from_numpy(faces))
    return [score.overall for score in scored(mesh, one).values()]


if __name__ == "__main__":
    run_command(main)
