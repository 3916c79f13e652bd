"""Point clouds and meshes from rendered views (`save_ply True`).

    <result_dir>/pointclouds/<dtu|llff|nerf>/<scene>/images/<id>.png   the rendered picture
                                                     depth/<id>.pfm    its depth, and <id>.png in colours
                                                     cam/<id>.txt      its camera
                                                     <scene>.ply       every pixel of every view, unfiltered
                                                     <scene>_mesh.ply  ball pivoting, where Open3D is installed

<id> is <scene>_<target>_<frame>.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from common.io.atomic import atomic_path
from common.io.images import write_image
from common.io.pfm import write_pfm
from common.io.point_clouds import write_ply
from common.visualization import apply_colormap, to_uint8
from gefu.data.scenes import find_layout

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderedPoints:
    """One view's pixels as coloured points in the world, row by row."""

    points: Float[np.ndarray, "P 3"]
    colors: UInt8[np.ndarray, "P 3"]


class PointCloudWriter:
    """Collects the views of each scene while they are evaluated; `fuse` writes the clouds."""

    def __init__(self, cfg: Any):
        layout = find_layout(cfg.test_dataset_module)
        self._folder = Path(cfg.result_dir) / "pointclouds" / layout.name
        self._level = cfg.gefu.cas_config.num - 1
        self._scenes: dict[str, list[RenderedPoints]] = {}

    def add(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
        """Write picture, depth and camera of one evaluated view and remember its points."""
        meta = batch["meta"]
        scene, name = meta["scene"][0], f"{meta['scene'][0]}_{int(meta['tar_view'][0])}_{int(meta['frame_id'][0])}"
        height, width = (int(meta[f"{side}_{self._level}"][0]) for side in ("h", "w"))
        colors = to_uint8(outputs[f"rgb_level{self._level}"][0].cpu().numpy().reshape(height, width, 3))
        depth = outputs[f"depth_level{self._level}"][0].float().cpu().numpy().reshape(height, width)
        ext, ixt = batch["tar_ext"][0].cpu().numpy(), batch["tar_ixt"][0].cpu().numpy()
        near, far = (float(bound) for bound in batch["near_far"][0])

        folder = self._folder / scene
        write_image(folder / "images" / f"{name}.png", colors)
        write_pfm(folder / "depth" / f"{name}.pfm", depth)
        write_image(folder / "depth" / f"{name}.png", apply_colormap((depth - near) / (far - near), "jet"))
        write_camera(folder / "cam" / f"{name}.txt", ext, ixt)
        self._scenes.setdefault(scene, []).append(RenderedPoints(back_project(depth, ext, ixt), colors.reshape(-1, 3)))

    def fuse(self) -> None:
        """Write the cloud of every scene, and its mesh where Open3D is installed."""
        for scene, views in self._scenes.items():
            points = np.concatenate([view.points for view in views])
            colors = np.concatenate([view.colors for view in views])
            path = self._folder / scene / f"{scene}.ply"
            write_ply(path, points, colors)
            print(f"{len(points)} points are in {path}")
            try:
                write_mesh(path.with_name(f"{scene}_mesh.ply"), points, colors)
            except ImportError as error:
                absent = isinstance(error, ModuleNotFoundError)
                remedy = "install it with: pip install polyview[meshing]" if absent else "Open3D needs that library"
                _LOGGER.warning("no mesh was made: %s; %s", error, remedy)


def back_project(
    depth: Float[np.ndarray, "H W"], ext: Float[np.ndarray, "4 4"], ixt: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "P 3"]:
    """World points X = E^-1 (K^-1 (x, y, 1) depth) of every pixel, row by row."""
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].reshape(2, -1)
    rays = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float64)
    points_cam = np.linalg.inv(ixt.astype(np.float64)) @ rays * depth.reshape(-1)
    cam_to_world = np.linalg.inv(ext.astype(np.float64))
    return (cam_to_world[:3, :3] @ points_cam + cam_to_world[:3, 3:]).T.astype(np.float32)


def write_camera(path: Path, ext: Float[np.ndarray, "4 4"], ixt: Float[np.ndarray, "3 3"]) -> None:
    """World-to-camera and intrinsics as text: "extrinsic", four rows, a blank, "intrinsic", three rows."""

    def rows(matrix: np.ndarray) -> str:
        return "".join("".join(f"{value} " for value in row) + "\n" for row in matrix.tolist())

    with atomic_path(path) as temporary:
        temporary.write_text(f"extrinsic\n{rows(ext)}\nintrinsic\n{rows(ixt)}")


def write_mesh(path: Path, points: Float[np.ndarray, "P 3"], colors: UInt8[np.ndarray, "P 3"]) -> None:
    """A surface through the points by ball pivoting, radii 1.5 and 3 times the mean distance to the nearest neighbour.

    Raises:
        ImportError: Open3D is not installed, or a system library that it needs is not.
    """
    import open3d
    import trimesh

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.colors = open3d.utility.Vector3dVector(colors / 255)
    cloud.estimate_normals()
    radius = 1.5 * float(np.mean(cloud.compute_nearest_neighbor_distance()))
    radii = open3d.utility.DoubleVector([radius, 2 * radius])
    surface = open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(cloud, radii)
    mesh = trimesh.Trimesh(
        np.asarray(surface.vertices),
        np.asarray(surface.triangles),
        vertex_normals=np.asarray(surface.vertex_normals),
        vertex_colors=to_uint8(np.asarray(surface.vertex_colors)),
        process=False,
    )
    with atomic_path(path) as temporary:
        mesh.export(temporary, file_type="ply")
