"""Surfaces from three photographs on generated scenes that nothing was trained or tuned on: GenS and classical methods.

    python benchmarks/gens_quality.py
    python benchmarks/gens_quality.py --weights outputs/gens/exp_dtu/checkpoints/latest.ckpt --conf confs/synthetic.conf

Chamfer distance to the true mesh (millimetres), of both surfaces what the three photographs show inside the box that
they see together; first of everything, then of what they show within the objects' outlines. The visual hull is told
these outlines, which the others are not, and has no ground. Seeds from 700 on are only used here. Meshes and pictures
of them are saved; without --weights only the classical methods are measured.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import gens
from common.baselines.depth_fusion import DepthFusion
from common.baselines.visual_hull import VisualHull
from common.demo.compare import Contestant
from common.demo.surface_section import SurfaceOutcome, compare_surfaces
from common.demo.surfaces import REGIONS, SurfaceScene, generated_surface
from common.entry_point import run_command
from common.io.images import write_image
from common.io.meshes import write_mesh
from common.meshes.preview import render_mesh
from common.metrics.meshes import MESH_PROTOCOLS
from common.renderer import SurfaceMesh
from common.visualization import side_by_side

FIRST_SEED = 700


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    options = _parse(arguments)
    contestants = [
        Contestant("hull", "visual hull", partial(VisualHull, options.resolution), is_baseline=True),
        Contestant("fusion", "depth fusion", partial(DepthFusion, options.resolution), is_baseline=True),
    ]
    if options.weights:
        words = (options.weights, options.conf, options.opts, options.device, options.resolution)
        contestants.insert(0, Contestant("gens", "GenS", partial(gens.renderer, *words)))
    seeds = tqdm(range(FIRST_SEED, FIRST_SEED + options.scenes), "scenes", unit="scene")
    scenes = [generated_surface(options.folder, seed, tuple(options.size)) for seed in seeds]
    outcomes = compare_surfaces(contestants, scenes)
    for number, one in enumerate(scenes):
        save(options.output, number, one, outcomes)
    print(report(outcomes))
    print(f"meshes and pictures (truth, {', '.join(c.title for c in contestants)}): {options.output}")


def report(outcomes: Sequence[SurfaceOutcome]) -> str:
    """A table for each region; where GenS takes part, also its distance against that of the better other."""
    lines = [MESH_PROTOCOLS["sampled"].describe()]
    for region in REGIONS:
        lines.append(f"\n{region:<18}{'accuracy':>10}{'complete':>10}{'Chamfer':>10}{'seconds':>9}   Chamfer by scene")
        for outcome in outcomes:
            means = "".join(f"{outcome.mean(region, name):10.3f}" for name in ("accuracy", "completeness", "overall"))
            scores = outcome.scores[region]
            each = " ".join("  none" if one is None else f"{one.overall:6.2f}" for one in scores)
            lines.append(f"{outcome.contestant.title:<18}{means}{np.mean(outcome.seconds):9.1f}   {each}")
        if len(outcomes) > 2:
            first, *others = (outcome.mean(region) for outcome in outcomes)
            title = outcomes[0].contestant.title
            lines.append(f"{title}: {first / min(others):.2f} times the distance of the better classical method")
    return "\n".join(lines)


def save(folder: Path, number: int, one: SurfaceScene, outcomes: Sequence[SurfaceOutcome]) -> None:
    """Write everybody's mesh of a scene, and a picture of all of them beside the truth."""
    vertices, faces = (torch.from_numpy(part) for part in one.truth)
    pictures = [render_mesh(SurfaceMesh(vertices.float(), faces), one.cameras[0])]
    for outcome in outcomes:
        mesh = outcome.meshes[number]
        if mesh is not None:
            name = f"{one.scene.name}_{outcome.contestant.title.replace(' ', '_')}"
            write_mesh(folder / f"{name}.ply", mesh)
            pictures.append(render_mesh(replace(mesh, colors=None), one.cameras[0]))
    write_image(folder / f"{one.scene.name}.png", side_by_side(pictures, gap=6))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=6, help="how many scenes")
    parser.add_argument("--weights", help="generic checkpoint of GenS; without it only the classical methods are run")
    parser.add_argument("--conf", default="confs/gens.conf", help="configuration that the weights belong to")
    parser.add_argument("--size", type=int, nargs=2, default=(400, 300), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--resolution", type=int, default=256, help="points along a side of everybody's grid")
    parser.add_argument("--folder", type=Path, default=Path("datasets/quality"), help="keeps the scenes")
    parser.add_argument("--output", type=Path, default=Path("record/gens_quality"), help="meshes and pictures")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings of GenS to override")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
