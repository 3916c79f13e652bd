"""Captures described by `transforms.json`: instant-ngp, nerfstudio, and NeRF Synthetic's three files.

    <folder>/transforms.json, or transforms_train.json, transforms_val.json, transforms_test.json
    <folder>/<file_path of a frame>     extension optional

Frames without a photograph are skipped, the others keep the order of the file. The world stays that of the file.
Intrinsics are the numbers in the file: corner-origin. Depth and masks are those that the frames name.
"""

import dataclasses
from pathlib import Path

import numpy as np

from common.datasets.nerf_synthetic import opengl_to_world_to_cam
from common.datasets.photographs import find_photograph, image_file, with_short_names
from common.datasets.scene import DepthFile, MaskFile, Scene, View
from common.datasets.validation import check_view, check_world_to_cam, checked_scene, inside
from common.io.transforms_json import TransformsFile, TransformsFrame, read_transforms_json, resolve_lens

SPLITS = ("train", "val", "test")
MILLIMETRE = 1e-3  # nerfstudio's default unit of depth pictures


def read_transforms(path: str | Path, *, depth_unit: float = MILLIMETRE, original_world: bool = False) -> Scene:
    """The frames that have a photograph, in the order of the file.

    Args:
        path: The json, or the folder that has it.
        depth_unit: Stored depth times this is depth in the unit of the reconstruction; a file that states
            `integer_depth_scale` overrides it.
        original_world: Undo nerfstudio's `applied_transform` and `applied_scale`, so that point clouds and meshes of
            the reconstruction fit.

    Raises:
        FileNotFoundError: No json, or none of the photographs.
        ValueError: The file is damaged, names files outside its folder, or a photograph has another size than stated.
    """
    path = Path(path)
    views, splits, notes = [], {}, []
    paths = _json_paths(path)
    for json_path in paths:
        content = read_transforms_json(json_path)
        found = [_read_frame(json_path, index, content, depth_unit) for index in range(len(content.frames))]
        start = len(views)
        present = [(frame, view) for frame, view in zip(content.frames, found, strict=True) if view is not None]
        views += [_in_original_world(view, content) if original_world else view for _, view in present]
        if len(paths) > 1:
            splits[json_path.stem.removeprefix("transforms_")] = tuple(range(start, len(views)))
        else:
            splits = _listed_splits(content, [frame.file_path for frame, _ in present])
        missing = len(found) - len(present)
        if missing:
            notes.append(f"skipped {missing} of {len(found)} frames of {json_path.name} without a photograph")
    if not views:
        raise FileNotFoundError(f"none of the photographs that {paths[0]} names is there")
    folder = paths[0].parent
    name = folder.resolve().name
    scene = Scene(name, with_short_names(views), splits, pixel_origin="corner", notes=tuple(notes))
    return checked_scene(scene, path)


def _json_paths(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}")
    if (path / "transforms.json").is_file():
        return [path / "transforms.json"]
    paths = [path / f"transforms_{split}.json" for split in SPLITS]
    paths = [candidate for candidate in paths if candidate.is_file()]
    if not paths:
        raise FileNotFoundError(f"no transforms.json in {path}")
    return paths


def _read_frame(json_path: Path, index: int, content: TransformsFile, depth_unit: float) -> View | None:
    frame = content.frames[index]
    where = f"{json_path}: frame {index} ('{frame.file_path[:100]}')"
    check_world_to_cam(frame.cam_to_world, where)  # what makes a pose is the same for its inverse
    photograph = find_photograph(json_path.parent, frame.file_path, where)
    if photograph is None:
        return None
    image = image_file(photograph)
    size, intrinsics, lens = resolve_lens(frame, image.size, where)
    if size != image.size:
        raise ValueError(
            f"{where} is made for {size[0]} x {size[1]} pixels but {photograph} has {image.size[0]} x {image.size[1]};"
            " use the photographs that the file was made for"
        )
    view = View(
        name=frame.file_path,
        image=image,
        intrinsics=intrinsics,
        world_to_cam=opengl_to_world_to_cam(frame.cam_to_world),
        distortion=lens,
        depth=_depth_file(json_path.parent, frame, content, depth_unit, where),
        mask=_mask_file(json_path.parent, frame, photograph, where),
    )
    check_view(view, where)
    return view


def _depth_file(
    folder: Path, frame: TransformsFrame, content: TransformsFile, depth_unit: float, where: str
) -> DepthFile | None:
    if frame.depth_path is None:
        return None
    path = inside(folder, frame.depth_path.replace("\\", "/"), where)
    if not path.is_file():
        return None
    encoding = "npy" if path.suffix == ".npy" else "png16"
    if content.depth_unit is not None:
        return DepthFile(path, encoding, unit=content.depth_unit)
    # Depth is that of the reconstruction; the poses in the file were scaled.
    scale = np.cbrt(np.linalg.det(content.original_to_world[:3, :3]))
    return DepthFile(path, encoding, unit=float(depth_unit * scale))


def _mask_file(folder: Path, frame: TransformsFrame, photograph: Path, where: str) -> MaskFile | None:
    """Black is to be ignored in nerfstudio's masks and kept in instant-ngp's `dynamic_mask_<name>.png`."""
    if frame.mask_path is not None:
        path = inside(folder, frame.mask_path.replace("\\", "/"), where)
        return MaskFile(path) if path.is_file() else None
    path = photograph.with_name(f"dynamic_mask_{photograph.stem}.png")
    return MaskFile(path, inverted=True) if path.is_file() else None


def _listed_splits(content: TransformsFile, file_paths: list[str]) -> dict[str, tuple[int, ...]]:
    """View ids by the file's own lists; names in them without a photograph are left out."""
    position = {path: index for index, path in enumerate(file_paths)}
    return {
        name: tuple(position[path] for path in listed if path in position) for name, listed in content.splits.items()
    }


def _in_original_world(view: View, content: TransformsFile) -> View:
    """The view with x_file = S x_original taken back: R' = R R_s, t' = (R b + t) / a; depths divide by a."""
    similarity = content.original_to_world
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    world_to_cam = view.world_to_cam @ similarity
    world_to_cam[:3] /= scale
    depth = view.depth and dataclasses.replace(view.depth, unit=view.depth.unit / scale)
    return dataclasses.replace(view, world_to_cam=world_to_cam, depth=depth)
