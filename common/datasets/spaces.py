"""Spaces: scenes taken by a rig of 16 cameras from several places.

    <scene>/models.json                     list over rig positions of lists over cameras
    <scene>/cam_<CC>/image_<RRR>.JPG        named by `relative_path`
    colmap_forward_cache/space/<scene>/dense_out/stereo/depth_maps/<rig>-<cam>.jpg.geometric.bin        NeuRay's

Of every entry: `position` (centre p), `orientation` (rotation vector a), `focal_length`, `pixel_aspect_ratio`
(fy = f ratio), `principal_point`, `width`, `height`. World to camera is [exp([a]x) | -exp([a]x) p]. Heights differ
within a rig, and in scenes 008, 038 and 039 the numbers belong to pictures of another size; they are scaled to the true
one. Depth bounds are NeuRay's constants. Where pixels are counted from is not documented; corner-origin is assumed.
"""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from common.datasets.photographs import cached_depth, find_photograph, image_file
from common.datasets.scene import ImageFile, Scene, View
from common.datasets.validation import check_view, checked_scene
from common.io.data_files import read_json

NEAR_FAR = (0.7, 100.0)


def read_spaces(folder: str | Path, *, depth_cache: str | Path | None = None) -> Scene:
    """The views of one scene, named `<rig position>-<camera>`, rig by rig.

    Args:
        folder: The one with `models.json`.
        depth_cache: The folder `colmap_forward_cache`, or None.

    Raises:
        FileNotFoundError: No models.json, or none of its pictures.
        ValueError: An entry is broken; the sentence names it.
    """
    folder = Path(folder)
    path = folder / "models.json"
    rigs = read_json(path)
    if not isinstance(rigs, list) or not all(isinstance(rig, list) for rig in rigs):
        raise ValueError(f"{path} must be a list of rig positions, each a list of cameras")
    entries = [(f"{i}-{j}", entry) for i, rig in enumerate(rigs) for j, entry in enumerate(rig)]
    views, num_rescaled = [], 0
    for name, entry in entries:
        where = f"{path}: view {name}"
        if not isinstance(entry, dict) or not isinstance(entry.get("relative_path"), str):
            raise ValueError(f"{where} has no relative_path")
        photograph = find_photograph(folder, entry["relative_path"], where)
        if photograph is not None:
            view, rescaled = _read_view(name, entry, image_file(photograph), where)
            depth = cached_depth(depth_cache, f"space/{folder.resolve().name}", name)
            views.append(dataclasses.replace(view, depth=depth))
            num_rescaled += rescaled
    if not views:
        raise FileNotFoundError(f"none of the {len(entries)} pictures that {path} names is there")
    notes = []
    if len(views) < len(entries):
        notes.append(f"skipped {len(entries) - len(views)} of {len(entries)} views without a picture")
    if num_rescaled:
        notes.append(f"scaled the intrinsics of {num_rescaled} views to the size of their pictures")
    return checked_scene(Scene(folder.resolve().name, tuple(views), pixel_origin="corner", notes=tuple(notes)), folder)


def _read_view(name: str, entry: dict, image: ImageFile, where: str) -> tuple[View, bool]:
    position, orientation = _numbers(entry, "position", 3, where), _numbers(entry, "orientation", 3, where)
    (focal,), (ratio,) = _numbers(entry, "focal_length", 1, where), _numbers(entry, "pixel_aspect_ratio", 1, where)
    center = _numbers(entry, "principal_point", 2, where)
    stated = np.concatenate([_numbers(entry, "width", 1, where), _numbers(entry, "height", 1, where)])
    if (stated < 1).any():
        raise ValueError(f"{where} states a size of {stated[0]:g} x {stated[1]:g} pixels")
    intrinsics = np.array([[focal, 0.0, center[0]], [0.0, focal * ratio, center[1]], [0.0, 0.0, 1.0]])
    intrinsics[:2] *= (np.array(image.size) / stated)[:, None]
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = Rotation.from_rotvec(orientation).as_matrix()
    world_to_cam[:3, 3] = -world_to_cam[:3, :3] @ position
    view = View(name, image, intrinsics, world_to_cam, NEAR_FAR)
    check_view(view, where)
    return view, tuple(stated) != image.size


def _numbers(entry: dict, key: str, count: int, where: str) -> Float[np.ndarray, " N"]:
    value = entry.get(key)
    values = value if isinstance(value, list) else [value]
    good = [isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1e100 for item in values]
    if len(values) != count or not all(good):
        raise ValueError(f"{where}: {key} must be {count} finite numbers, got {str(value)[:60]}")
    return np.array(values, dtype=np.float64)
