"""Validation: the mesh, the pictures and the errors of every item (spec 9.2 and 10.1).

Files in the folder of the run:

meshes/<scene>_<tag>.ply                                       world units, coloured
val_img|val_normal|val_sdf_depth|val_render_depth/<file_name>_<tag>.png
val_box/<file_name>_<tag>.png                                    the cube on the photographs
val_<tag>.json                                                 errors of every item and their means
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from common.batches import to_device
from common.bounding_cubes import Cube, draw_cube
from common.cameras import Camera
from common.distributed import gather_texts, is_main_process, mean_over_processes, rank
from common.io.atomic import atomic_path
from common.io.images import write_image
from common.io.meshes import write_mesh
from common.meshes import extract_surface
from common.renderer import SurfaceMesh
from gens.data.items import Item
from gens.data.loaders import seed_step
from gens.mesh_cleaning import clean_mesh
from gens.networks.blending import look_at_sources
from gens.networks.rendering import SceneVolumes

ERRORS = ("color_loss", "psnr", "render_depth_loss", "sdf_depth_loss")
DEEPEST = 2.5  # depth pictures end here, cube units
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeshSettings:
    """How meshes are made.

    Attributes:
        resolution: Points along a side of the grid.
        is_cleaned: Keep what the object masks show.
        seed: Of the jitter of rendered rays.
    """

    resolution: int = 512
    is_cleaned: bool = False
    seed: int = 0


def validate(
    network: nn.Module,
    items: Iterable[Item],
    root: Path,
    tag: str,
    mesh: MeshSettings,
    device: torch.device,
    needs_meshes: bool = False,
) -> dict[str, float]:
    """Reconstruct and score every item; returns the means over all items of all processes.

    An item whose surface cannot be extracted still gets its pictures and errors; the log says why it has no mesh.

    Args:
        network: On `device`; left in eval mode.
        items: Of a validation loader.
        root: Output folder.
        tag: Ends the names of the files, such as "epoch0".
        mesh: How meshes are made.
        device: Of the network and of the process group.
        needs_meshes: In the end, fail where an item has no mesh.

    Raises:
        FileNotFoundError, ValueError: Data that is missing or damaged.
        RuntimeError: With `needs_meshes`: an item has no mesh.
    """
    network.eval()
    failures: list[str] = []
    rows: dict[str, dict[str, float]] = {}
    for number, item in enumerate(tqdm(items, desc="validation", unit="item", disable=not is_main_process() or None)):
        seed_step(mesh.seed, number, rank())
        rows[item["file_name"]], problem = validate_item(network, to_device(item, device), root, tag, mesh)
        if problem:
            _LOGGER.error("no mesh of %s: %s", item["scene"], problem)
            failures.append(f"{item['scene']}: {problem}")
        _LOGGER.info("%s: %s", item["file_name"], _sentence(rows[item["file_name"]]))
    means, everybodys = {}, {}
    for name in ERRORS:
        values = [row[name] for row in rows.values() if name in row]
        means |= mean_over_processes({name: sum(values, 0.0)}, len(values), device)
    for text in gather_texts(json.dumps(rows), device):
        everybodys |= json.loads(text)
    if is_main_process():
        with atomic_path(root / f"val_{tag}.json") as temporary:
            temporary.write_text(json.dumps({"items": everybodys, "mean": means}, indent=1), encoding="utf8")
        _LOGGER.info("mean: %s", _sentence(means))
    if failures and needs_meshes:
        raise RuntimeError(f"{len(failures)} of {len(rows)} items have no mesh, first {failures[0]}")
    return means


@torch.no_grad()
def validate_item(
    network: nn.Module, item: Item, root: Path, tag: str, mesh: MeshSettings
) -> tuple[dict[str, float], str]:
    """Write an item's mesh and pictures.

    Returns:
        Its errors (those of depth only where the depth is known), and why it has no mesh, empty where it has one.
    """
    scene = network.build_scene(item)
    problem = ""
    try:
        surface = reconstruct(network, scene, item, mesh)
        write_mesh(root / "meshes" / f"{item['scene']}_{tag}.ply", surface)
    except ValueError as error:
        problem = str(error)
    views = network.render_view(scene, item)
    pictures = {
        "val_img": views["img_fine"].cpu().numpy().astype(np.uint8),
        "val_normal": views["normal_img"].cpu().numpy().astype(np.uint8),
        "val_sdf_depth": depth_picture(views["sdf_depth"].cpu().numpy()),
        "val_render_depth": depth_picture(views["render_depth"].cpu().numpy()),
        "val_box": box_picture(item),
    }
    for folder, picture in pictures.items():
        write_image(root / folder / f"{item['file_name']}_{tag}.png", picture)
    return errors(views, item), problem


def reconstruct(network: nn.Module, scene: SceneVolumes, item: Item, mesh: MeshSettings) -> SurfaceMesh:
    """The surface of an item in the world, with the colours that the source views blend to.

    Raises:
        ValueError: There is no surface in the cube, or cleaning leaves nothing of it.
    """
    surface = extract_surface(
        network.sdf_field(scene),
        torch.stack([item["bound_min"], item["bound_max"]]).cpu(),
        mesh.resolution,
        colors=partial(surface_colors, network, scene),
        device=item["imgs"].device,
        progress=f"mesh of {item['scene']}",
    )
    if mesh.is_cleaned:
        surface = clean_mesh(surface, item["masks"], item["intrs"], item["c2ws"])
    to_world = item["scale_mat"].double().cpu()
    vertices = surface.vertices.double() @ to_world[:3, :3].T + to_world[:3, 3]
    return SurfaceMesh(vertices.float(), surface.faces, surface.colors)


def surface_colors(network: nn.Module, scene: SceneVolumes, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
    """The blended colours of points of the cube, in [0, 1]."""
    colors = network.implicit_surface.color_network(*look_at_sources(scene.sources, points))
    return (colors * (256 / 255)).clamp(0, 1)


def errors(views: Mapping[str, Tensor], item: Mapping[str, Any]) -> dict[str, float]:
    """Colour error and PSNR over all rays; mean depth errors, cube units, where the reference depth is known."""
    difference = views["color_fine"].cpu() - item["color"].cpu()
    found = {
        "color_loss": difference.abs().mean().item(),
        "psnr": -10 * math.log10(max(difference.square().mean().item(), 1e-20)),
    }
    if "depth_ref" in item:
        rows, columns = views["render_depth"].shape
        step = item["depth_ref"].shape[0] // rows  # the rays lie on a slightly different lattice; kept as in the paper
        truth = item["depth_ref"][::step, ::step][:rows, :columns].cpu()
        known = truth > 0
        if known.any():
            for name in ("render_depth", "sdf_depth"):
                found[f"{name}_loss"] = (views[name].cpu() - truth)[known].abs().mean().item()
    return found


def box_picture(item: Item) -> UInt8[np.ndarray, "H W 3"]:
    """The item's photographs with the edges of the cube in which its surface is sought."""
    height, width = item["imgs"].shape[-2:]
    near_far = item["near"].item(), item["far"].item()
    cameras = [
        Camera(intrinsics[:3, :3], torch.linalg.inv(pose), height, width, near_far)
        for intrinsics, pose in zip(item["intrs"].cpu(), item["c2ws"].cpu(), strict=True)
    ]
    photographs = (item["imgs"].cpu() * 256).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    center = (item["bound_min"] + item["bound_max"]).cpu().double().numpy() / 2
    radius = (item["bound_max"] - item["bound_min"]).max().item() / 2
    return draw_cube(Cube(center, radius), cameras, list(photographs))


def depth_picture(depth: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Depth in the colours of Matplotlib's magma, from 0 to 2.5 cube units."""
    index = (np.nan_to_num(depth) / DEEPEST * 256).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(index, cv2.COLORMAP_MAGMA)[..., ::-1])


def _sentence(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
