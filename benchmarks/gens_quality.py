"""Surfaces from three photographs on generated scenes that nothing was trained or tuned on: GenS and classical methods.

    python benchmarks/gens_quality.py
    python benchmarks/gens_quality.py --weights outputs/gens/exp_dtu/checkpoints/latest.ckpt --conf confs/synthetic.conf

Chamfer distance to the true mesh (millimetres), of both surfaces what the three photographs show inside the box that
they see together; first of everything, then of what they show within the objects' outlines. The visual hull is told
these outlines, which the others are not, and has no ground. Seeds from 700 on are only used here. Meshes and pictures
of them are saved; without --weights only the classical methods are measured.
"""

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int

from common.baselines.depth_fusion import DepthFusion
from common.baselines.reconstruction import source_cameras
from common.baselines.visual_hull import VisualHull
from common.bounding_cubes import Cube, subject_cube
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from common.datasets.loading import load_mask
from common.datasets.scene import MaskFile, Scene
from common.datasets.writers.dtu_gens import write_dtu_gens
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.io.images import write_image
from common.io.masks import write_mask
from common.io.meshes import read_mesh, write_mesh
from common.meshes.cleaning import faces_seen_by, first_hit_faces
from common.meshes.preview import render_mesh
from common.metrics.meshes import MESH_PROTOCOLS, MeshProtocol, MeshScores, score_surface
from common.renderer import SurfaceMesh
from common.synthetic import generate
from common.synthetic.ray_casting import RayCaster, camera_rays
from common.visualization import side_by_side

FIRST_SEED = 700
REFERENCE, NUM_VIEWS = 23, 26  # the first rows of the rig hold the reference and its sources
FINEST = 48  # true faces are split until this many of them fit in half a side of the box
REGIONS = ("all that is seen", "objects")

Surface = tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "T 3"]]
Method = Callable[["QualityScene"], SurfaceMesh]


@dataclass(frozen=True)
class QualityScene:
    """A scene, three of its views (the reference first) and the true surface in the box that they see together."""

    scene: Scene
    source_ids: list[int]
    truth: Surface

    @property
    def cameras(self) -> list[Camera]:
        """Of the three views."""
        return source_cameras(self.scene, self.source_ids)

    @property
    def cube(self) -> Cube:
        """What the three views see together."""
        return subject_cube(self.cameras)


@dataclass(frozen=True)
class Row:
    """What one method reached: scores by region and scene (None where it has no mesh there), and its seconds."""

    title: str
    scores: dict[str, list[MeshScores | None]]
    seconds: list[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    options = _parse(arguments)
    methods: dict[str, Method] = {
        "visual hull": lambda one: _reconstructed(VisualHull(options.resolution), one),
        "depth fusion": lambda one: _reconstructed(DepthFusion(options.resolution), one),
    }
    if options.weights:
        methods = {"GenS": _gens(options)} | methods
    rows = [Row(title, {region: [] for region in REGIONS}, []) for title in methods]
    for seed in range(FIRST_SEED, FIRST_SEED + options.scenes):
        one = quality_scene(options.folder, seed, tuple(options.size))
        pictures = [render_mesh(_surface_mesh(one.truth), one.cameras[0])]
        for row in rows:
            mesh = _measure(row, methods[row.title], one)
            if mesh is not None:
                name = f"{one.scene.name}_{row.title.replace(' ', '_')}"
                write_mesh(options.output / f"{name}.ply", mesh)
                pictures.append(render_mesh(replace(mesh, colors=None), one.cameras[0]))
        write_image(options.output / f"{one.scene.name}.png", side_by_side(pictures, gap=6))
    print(report(rows))
    print(f"meshes and pictures (truth, {', '.join(methods)}): {options.output}")


def report(rows: Sequence[Row]) -> str:
    """A table for each region; where GenS takes part, also its distance against that of the better other."""
    lines = [MESH_PROTOCOLS["sampled"].describe()]
    for region in REGIONS:
        lines.append(f"\n{region:<18}{'accuracy':>10}{'complete':>10}{'Chamfer':>10}{'seconds':>9}   Chamfer by scene")
        for row in rows:
            scores = row.scores[region]
            means = "".join(f"{_mean(scores, name):10.3f}" for name in ("accuracy", "completeness", "overall"))
            each = " ".join("  none" if one is None else f"{one.overall:6.2f}" for one in scores)
            lines.append(f"{row.title:<18}{means}{np.mean(row.seconds):9.1f}   {each}")
        if len(rows) > 2:
            first, *others = (_mean(row.scores[region], "overall") for row in rows)
            lines.append(
                f"{rows[0].title}: {first / min(others):.2f} times the distance of the better classical method"
            )
    return "\n".join(lines)


def quality_scene(folder: Path, seed: int, size: tuple[int, int]) -> QualityScene:
    """A generated scene in GenS's layout of DTU with the objects' outlines; one that is finished is read only."""
    root, name = folder / f"gens_{size[0]}x{size[1]}", f"scan{seed}"
    truth = root / "Meshes" / f"{name}.ply"  # written last
    if not truth.is_file():
        made = generate(seed, "dtu_full", size, NUM_VIEWS, name)
        write_dtu_gens(root, made)
        for index, view in enumerate(made.views):
            write_mask(root / "Objects" / name / f"{index}.png", view.mask)
        with atomic_path(truth) as temporary:
            made.mesh.export(temporary, file_type="ply")
    scene = read_dtu(root, name, "raw")
    views = (replace(v, mask=MaskFile(root / "Objects" / name / f"{i}.png")) for i, v in enumerate(scene.views))
    scene = replace(scene, views=tuple(views))
    ids = [REFERENCE, *scene.pairs[REFERENCE][:2]]
    return QualityScene(scene, ids, true_surface(read_mesh(truth), subject_cube(source_cameras(scene, ids))))


def true_surface(mesh: Surface, cube: Cube) -> Surface:
    """The part of a mesh near the cube in faces so small that cutting them off whole makes no difference."""
    vertices, faces = mesh
    corners = vertices[faces] - cube.center
    is_near = (corners.max(1) > -cube.radius).all(1) & (corners.min(1) < cube.radius).all(1)
    vertices, faces = trimesh.remesh.subdivide_to_size(vertices, faces[is_near], cube.radius / FINEST)
    return np.asarray(vertices, np.float64), np.asarray(faces, np.int64)


def scored(
    mesh: SurfaceMesh, one: QualityScene, protocol: MeshProtocol = MESH_PROTOCOLS["sampled"]
) -> dict[str, MeshScores]:
    """Chamfer distances by region; a mesh that shows nothing there raises ValueError."""
    surface = mesh.vertices.double().numpy(), mesh.faces.numpy()
    masks = [load_mask(one.scene.views[index]) for index in one.source_ids]
    return {
        region: score_surface(*(visible(part, one, chosen) for part in (surface, one.truth)), protocol)
        for region, chosen in zip(REGIONS, (None, masks), strict=True)
    }


def visible(surface: Surface, one: QualityScene, masks: Sequence[Bool[np.ndarray, "_ _"]] | None) -> Surface:
    """The faces in the box that the photographs show, or that they show within masks."""
    vertices, faces = surface
    cube = one.cube
    inside = (np.abs(vertices[faces].mean(1) - cube.center) < cube.radius).all(1)
    if masks is None:
        return vertices, faces[inside & faces_seen_by(vertices, faces, one.cameras)]
    caster = RayCaster(vertices, faces)
    seen = np.zeros(len(faces), bool)
    for camera, mask in zip(one.cameras, masks, strict=True):
        twice = np.repeat(np.repeat(mask, 2, 0), 2, 1).ravel()
        x, y = ((np.arange(2 * side) + 0.5) / 2 - 0.5 for side in (camera.width, camera.height))
        origins, directions = camera_rays(camera.intrinsics.numpy(), camera.world_to_cam.numpy(), x, y)
        seen |= first_hit_faces(caster, len(faces), origins[twice], directions[twice])
    return vertices, faces[inside & seen]


def _measure(row: Row, method: Method, one: QualityScene) -> SurfaceMesh | None:
    """Let a method reconstruct a scene and add what it reached to its row."""
    start, mesh = time.perf_counter(), None
    scores: dict[str, MeshScores | None] = dict.fromkeys(REGIONS)
    try:
        mesh = method(one)
        row.seconds.append(time.perf_counter() - start)
        scores |= scored(mesh, one)
    except ValueError as error:
        logging.warning("%s has no mesh of %s: %s", row.title, one.scene.name, error)
        row.seconds.extend([time.perf_counter() - start] if mesh is None else [])
    for region, score in scores.items():
        row.scores[region].append(score)
    return mesh


def _mean(scores: Sequence[MeshScores | None], name: str) -> float:
    """Over all scenes; NaN where one is missing, as leaving it out would flatter."""
    return float(np.mean([np.nan if one is None else getattr(one, name) for one in scores]))


def _reconstructed(method: VisualHull | DepthFusion, one: QualityScene) -> SurfaceMesh:
    return method.reconstruct(one.scene, one.source_ids)


def _gens(options: argparse.Namespace) -> Method:
    from gens.config import load_config
    from gens.model_checkpoints import load_generic
    from gens.networks.network import build_network

    network = build_network(load_config(options.conf, options.opts).model)
    load_generic(network, options.weights)
    return partial(_gens_mesh, network.to(options.device).eval(), options)


def _gens_mesh(network: torch.nn.Module, options: argparse.Namespace, one: QualityScene) -> SurfaceMesh:
    """As `main.py --mode val` does it, without cleaning by masks."""
    from common.batches import to_device
    from gens.config import load_config
    from gens.data.datasets import DTUDataset
    from gens.validation import MeshSettings, reconstruct

    root = options.folder / f"gens_{options.size[0]}x{options.size[1]}"
    words = {"data_dir": root.absolute(), "scene": [one.scene.name], "ref_view": one.source_ids[:1]}
    words |= {"src_views": one.source_ids[1:], "num_src_view": 2, "dataset_name": "DTUDataset"}
    opts = [word for key, value in words.items() for word in (f"val_dataset.{key}", str(value))]
    dataset = DTUDataset(load_config(options.conf, [*options.opts, *opts]).val_dataset, training=False)
    item = to_device(dataset[0], torch.device(options.device))
    with torch.no_grad():
        return reconstruct(network, network.build_scene(item), item, MeshSettings(options.resolution))


def _surface_mesh(surface: Surface) -> SurfaceMesh:
    return SurfaceMesh(torch.from_numpy(surface[0]).float(), torch.from_numpy(surface[1]))


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
