"""Writes COLMAP captures and undistorted workspaces; the layouts are described in `common/datasets/colmap.py`.

The sparse model is what COLMAP would have found: points seen by two views or more, keypoints without a point, images in
an order and with ids that have nothing to do with their names.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.scene import Distortion
from common.datasets.undistortion import distort_image, distort_points
from common.datasets.writers.units import points_behind
from common.io.colmap_model import Encoding, write_colmap_model
from common.io.colmap_records import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints, quaternion_of
from common.io.depth_maps import write_colmap_array
from common.io.images import write_image

NUM_POINTS = 800
CAPTURE_LENS = Distortion("opencv", (-0.06,))


def write_colmap(
    folder: Path, scene: RenderedScene, *, lens: Distortion | None = CAPTURE_LENS, encoding: Encoding = "bin"
) -> None:
    """Write a capture: photographs taken through a lens, and the sparse model in `sparse/0`.

    Args:
        folder: The one that holds all captures.
        scene: What to write.
        lens: None for a pinhole, or radial with one or two coefficients.
        encoding: Of the model.

    Raises:
        ValueError: The lens needs a camera model that is not written.
    """
    capture = Path(folder) / scene.name
    model = sparse_model(scene, lens)
    write_colmap_model(capture / "sparse" / "0", model, encoding)
    for index, view in enumerate(scene.views):
        write_image(capture / "images" / _name(index), distort_image(view.image, view.intrinsics, lens))


def write_colmap_dense(folder: Path, scene: RenderedScene) -> None:
    """Write an undistorted workspace with depth maps."""
    workspace = Path(folder) / scene.name
    write_colmap_model(workspace / "sparse", sparse_model(scene, None))
    names = [_name(index) for index in range(len(scene.views))]
    for name, view in zip(names, scene.views, strict=True):
        write_image(workspace / "images" / name, view.image)
        write_colmap_array(workspace / "stereo" / "depth_maps" / f"{name}.geometric.bin", view.depth)
    (workspace / "stereo" / "patch-match.cfg").write_text("".join(f"{name}\n__auto__, 20\n" for name in names))
    (workspace / "stereo" / "fusion.cfg").write_text("".join(f"{name}\n" for name in names))


def sparse_model(
    scene: RenderedScene,
    lens: Distortion | None = None,
    *,
    num_points: int = NUM_POINTS,
    ids: Literal["registration", "position"] = "registration",
) -> ColmapModel:
    """The model that COLMAP would make of a scene, without its noise.

    Args:
        scene: The views and their depth.
        lens: As in `write_colmap`.
        num_points: How many points to try; those that one view alone sees are left out.
        ids: "registration" mixes the images, leaves gaps in their ids and shares equal cameras; "position" numbers
            images 1 ... N, each with a camera of its own.
    """
    generator = np.random.default_rng(len(scene.views))
    points, colors = _surface_points(scene, num_points)
    observed = [observe(view, points, lens) for view in scene.views]
    kept = np.flatnonzero(np.sum([visible for _, visible in observed], axis=0) >= 2)
    order = generator.permutation(len(scene.views)).tolist() if ids == "registration" else range(len(scene.views))
    image_ids = [2 * rank + 1 if ids == "registration" else rank + 1 for rank in range(len(scene.views))]

    cameras, images, tracks = {}, {}, [[] for _ in kept]
    point_ids = np.where(np.isin(np.arange(len(points)), kept), np.arange(len(points)) + 1, -1)
    for image_id, index in zip(image_ids, order, strict=True):
        pixels, visible = observed[index]
        seen = np.flatnonzero(visible)
        for keypoint, point in enumerate(seen):
            if point_ids[point] > 0:
                tracks[np.searchsorted(kept, point)].append((image_id, keypoint))
        camera, pose = _camera(scene.views[index], lens), scene.views[index].world_to_cam
        equal = [camera_id for camera_id, other in cameras.items() if other == camera and ids == "registration"]
        camera_id = equal[0] if equal else len(cameras) + 1
        cameras[camera_id] = camera
        quaternion = quaternion_of(pose[:3, :3])
        images[image_id] = ColmapImage(_name(index), camera_id, quaternion, pose[:3, 3], pixels[seen], point_ids[seen])
    found = ColmapPoints(
        ids=point_ids[kept].astype(np.int64),
        xyz=points[kept],
        rgb=colors[kept],
        errors=np.full(len(kept), 0.5),
        tracks=tuple(np.array(track, dtype=np.int64).reshape(-1, 2) for track in tracks),
    )
    return ColmapModel(cameras, images, found)


def observe(
    view: RenderedView, points: Float[np.ndarray, "P 3"], lens: Distortion | None = None
) -> tuple[Float[np.ndarray, "P 2"], Bool[np.ndarray, " P"]]:
    """Corner-origin pixels of world points and whether the view shows them (its depth agrees within 2 percent)."""
    points_cam = points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
    depth = points_cam[:, 2]
    rays = points_cam[:, :2] / np.maximum(depth, 1e-9)[:, None]
    pixels = rays @ view.intrinsics[:2, :2].T + view.intrinsics[:2, 2]
    height, width = view.depth.shape
    column, row = np.rint(pixels.clip(-1, max(width, height))).astype(int).T
    inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shown = view.depth[np.where(inside, row, 0), np.where(inside, column, 0)]
    visible = inside & (np.abs(shown - depth) < 0.02 * depth)
    if lens is not None:
        pixels = distort_points(rays, lens) @ view.intrinsics[:2, :2].T + view.intrinsics[:2, 2]
    return pixels + 0.5, visible


def _surface_points(scene: RenderedScene, num_points: int) -> tuple[Float[np.ndarray, "P 3"], np.ndarray]:
    """Points that the views show, evenly from all of them, with their colours."""
    each = max(num_points // len(scene.views), 4)
    points, colors = [], []
    for view in scene.views:
        rows, columns = np.nonzero(view.depth > 0)
        chosen = np.linspace(0, len(rows) - 1, each).astype(int) if len(rows) else np.zeros(0, int)
        points.append(points_behind(view, columns[chosen], rows[chosen]))
        colors.append(view.image[rows[chosen], columns[chosen]])
    return np.concatenate(points), np.concatenate(colors)


def _camera(view: RenderedView, lens: Distortion | None) -> ColmapCamera:
    height, width = view.depth.shape
    (fx, _, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
    cx, cy = cx + 0.5, cy + 0.5
    if lens is None:
        return ColmapCamera("PINHOLE", width, height, (fx, fy, cx, cy))
    if lens.model != "opencv" or len(lens.coefficients) > 4:
        raise ValueError(f"a capture is written with up to four coefficients of OpenCV's lens model, got {lens}")
    if len(lens.coefficients) > 1 or fx != fy:
        padded = (*lens.coefficients, 0.0, 0.0, 0.0)[:4]
        return ColmapCamera("OPENCV", width, height, (fx, fy, cx, cy, *padded))
    return ColmapCamera("SIMPLE_RADIAL", width, height, (fx, cx, cy, lens.coefficients[0]))


def _name(index: int) -> str:
    return f"{index:05d}.jpg"
