"""Posed photographs in the layout that a method or another program wants.

A folder of MVSNet, `transforms.json`, a COLMAP model of undistorted pictures, or a scene of XScale-NVS. Pictures lose
their lens on the way, cameras stay where they are.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.conversion.pictures import store_picture
from common.conversion.xscale_scene import plain_name, write_xscale_scene
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.scene import Scene, View
from common.datasets.view_selection import paired_views
from common.io.atomic import atomic_path
from common.io.colmap_model import write_colmap_model
from common.io.colmap_records import ColmapCamera, ColmapImage, ColmapModel, no_points, quaternion_of
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera
from common.io.pair_file import write_pair_file

NUM_DEPTHS = 192
LARGEST_SKEW = 0.01  # pixels


def write_mvsnet_scene(folder: Path, scene: Scene) -> None:
    """Write `cams`, `images` and `pair.txt`; sources are the scene's own, else the 10 nearest cameras.

    Views without depth bounds get bounds that are estimated from the pictures.

    Raises:
        ValueError: No view has a picture, or the pictures have too little in common to estimate depth bounds.
    """
    scene = scene.with_pixel_origin("center")
    if any(view.near_far is None for view in _pictured(scene)):
        scene = with_estimated_bounds(scene)
    ids = [index for index, view in enumerate(scene.views) if view.image is not None]
    for position, index in enumerate(tqdm(ids, "Writing pictures", unit="picture")):
        view = scene.views[index]
        near, far = view.near_far
        depth_line = (near, (far - near) / (NUM_DEPTHS - 1), float(NUM_DEPTHS), far)
        store_picture(folder / "images" / f"{position:08d}.jpg", view, scene.pixel_origin)
        camera = MvsnetCamera(view.intrinsics, view.world_to_cam, depth_line)
        write_mvsnet_camera(folder / "cams" / f"{position:08d}_cam.txt", camera)
    sources = {index: paired_views(scene, index, 10) for index in ids}
    # Sources without scores: their rank stands in, so that the order survives.
    pairs = {
        ids.index(index): [(ids.index(source), float(len(found) - rank)) for rank, source in enumerate(found)]
        for index, found in sources.items()
    }
    write_pair_file(folder / "pair.txt", pairs)


def write_transforms_scene(folder: Path, scene: Scene) -> None:
    """Write `transforms.json` as nerfstudio and instant-ngp read it, and `images`.

    Raises:
        ValueError: No view has a picture, a camera has skew, or two views get one name.
    """
    frames = []
    for name, view in _stored(folder, scene):
        (fx, _, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
        lens = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": view.image.size[0], "h": view.image.size[1]}
        cam_to_world = np.linalg.inv(view.world_to_cam) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"images/{name}", **lens, "transform_matrix": cam_to_world.tolist()})
    with atomic_path(folder / "transforms.json") as temporary:
        temporary.write_text(json.dumps({"camera_model": "PINHOLE", "frames": frames}, indent=1), encoding="utf8")


def write_colmap_scene(folder: Path, scene: Scene) -> None:
    """Write `sparse`, a COLMAP model without points whose cameras have no lens, and `images`.

    Raises:
        ValueError: As `write_transforms_scene`.
    """
    cameras: dict[ColmapCamera, int] = {}
    images = {}
    for name, view in _stored(folder, scene):
        (fx, _, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
        camera_id = cameras.setdefault(ColmapCamera("PINHOLE", *view.image.size, (fx, fy, cx, cy)), len(cameras) + 1)
        pose, nothing = view.world_to_cam, np.zeros((0, 2))
        images[len(images) + 1] = ColmapImage(
            name, camera_id, quaternion_of(pose[:3, :3]), pose[:3, 3], nothing, np.zeros(0, np.int64)
        )
    by_id = {camera_id: camera for camera, camera_id in cameras.items()}
    write_colmap_model(folder / "sparse", ColmapModel(by_id, images, no_points()))


TARGETS: dict[str, Callable[[Path, Scene], object]] = {
    "xscale": write_xscale_scene,
    "mvsnet": write_mvsnet_scene,
    "transforms": write_transforms_scene,
    "colmap": write_colmap_scene,
}


def _pictured(scene: Scene) -> list[View]:
    views = [view for view in scene.views if view.image is not None]
    if not views:
        raise ValueError(f"scene '{scene.name}' has no view with a picture, so there is nothing to write")
    return views


def _stored(folder: Path, scene: Scene) -> list[tuple[str, View]]:
    """Views with the names of their pictures, which are written to `images`; intrinsics are corner-origin."""
    named = {}
    for view in _pictured(scene.with_pixel_origin("corner")):
        if abs(view.intrinsics[0, 1]) > LARGEST_SKEW:
            raise ValueError(
                f"view '{view.name}' has a skew of {view.intrinsics[0, 1]:g} pixels, which this layout cannot say;"
                " write 'xscale' or 'mvsnet'"
            )
        name = f"{plain_name(view.name)}.jpg"
        if name in named:
            raise ValueError(f"views '{named[name].name}' and '{view.name}' would both be called '{name}'; rename one")
        named[name] = view
    for name, view in tqdm(named.items(), "Writing pictures", unit="picture"):
        store_picture(folder / "images" / name, view, "corner")
    return list(named.items())
