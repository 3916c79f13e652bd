"""COLMAP: a sparse model with its photographs, or the undistorted ("dense") workspace made from it.

    <folder>/images/...                                     photographs, named as in the model
    <folder>/sparse/{cameras,images,points3D}.{bin,txt}     the model of an undistorted workspace, or
    <folder>/sparse/<n>/...                                 one or several sub-models
    <folder>/stereo/depth_maps/<image name>.geometric.bin   dense depth of an undistorted workspace, or
    <folder>/dense/stereo/depth_maps/...                    of the workspace below the model's folder

The folder may also be the model's own. Views are sorted by name; ids are not positions. Intrinsics are the numbers in
the file: corner-origin. Photographs with a lens keep it in `View.distortion`, and `common.datasets.loading`
undistorts them.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import image_file, with_short_names
from common.datasets.scene import DepthFile, Scene, View
from common.datasets.validation import check_points_in_front, check_view, checked_scene, inside
from common.io.colmap_model import find_model_encoding, read_colmap_model
from common.io.colmap_records import ColmapImage, ColmapModel, intrinsics_and_lens, world_to_cam_of
from common.io.depth_maps import read_colmap_array_size

# NeuRay's rule for its own captures: percentiles of the depths of a view's points, widened.
DEPTH_PERCENTILES = (2.0, 98.0)
DEPTH_MARGINS = (0.8, 1.2)


def read_colmap(folder: str | Path, *, images: str = "images", model: str | None = None) -> Scene:
    """The views of a COLMAP model that have a photograph, sorted by name, with its sparse points.

    Depth bounds of a view are 0.8 times the 2nd and 1.2 times the 98th percentile of the depths of the points that it
    observes.

    Args:
        folder: Of the capture, of the undistorted workspace, or of the model itself.
        images: Name of the folder with the photographs, in the capture's folder.
        model: Folder of the model below `folder`; None looks in `sparse`, takes the sub-model with most images and
            says so.

    Raises:
        FileNotFoundError: No model, or none of its photographs.
        ValueError: A file is damaged, a lens model is not supported, or a photograph has another size than its camera.
    """
    folder = Path(folder)
    model_folder, colmap, notes = choose_model(folder, model)
    image_folder = find_image_folder(folder, model_folder, images)
    where = f"{model_folder}/images.{find_model_encoding(model_folder)}"
    points_of_id = dict(zip(colmap.points.ids.tolist(), colmap.points.xyz, strict=True))

    views = []
    for image in sorted(colmap.images.values(), key=lambda image: image.name):
        path = inside(image_folder, image.name, where)
        if path.is_file():
            views.append(_read_view(path, image, colmap, points_of_id, image_folder, where))
    if not views:
        raise FileNotFoundError(f"none of the {len(colmap.images)} images of {where} is in {image_folder}")
    if len(views) < len(colmap.images):
        notes.append(f"skipped {len(colmap.images) - len(views)} of {len(colmap.images)} images without a photograph")
    scene = Scene(
        name=image_folder.parent.resolve().name,
        views=with_short_names(views),
        pixel_origin="corner",
        points=colmap.points.xyz if len(colmap.points.ids) else None,
        notes=tuple(notes),
    )
    return checked_scene(scene, folder)


def has_colmap_model(folder: str | Path) -> bool:
    """Whether `read_colmap` finds a model in this folder."""
    return bool(_model_folders(Path(folder)))


def choose_model(folder: Path, name: str | None = None) -> tuple[Path, ColmapModel, list[str]]:
    """Folder and content of the model of a capture, and notes for the user; arguments and errors of `read_colmap`."""
    candidates = [folder / name] if name is not None else _model_folders(folder)
    if not candidates:
        raise FileNotFoundError(f"no COLMAP model in {folder}, {folder}/sparse or {folder}/sparse/0")
    models = [read_colmap_model(candidate) for candidate in candidates]
    best = max(range(len(models)), key=lambda index: len(models[index].images))
    if len(models) == 1:
        return candidates[0], models[0], []
    counts = ", ".join(f"{path.name}: {len(colmap.images)}" for path, colmap in zip(candidates, models, strict=True))
    note = f"took sub-model {candidates[best].name}, which has most images ({counts})"
    return candidates[best], models[best], [note]


def find_image_folder(folder: Path, model_folder: Path, images: str) -> Path:
    """The folder of the photographs: in the capture's folder, or above the model's if that is what was given."""
    for parent in (folder, model_folder.parent, model_folder.parent.parent):
        if (parent / images).is_dir():
            return parent / images
    raise FileNotFoundError(f"no folder '{images}' with photographs in {folder}")


def depth_bounds(
    depths: Float[np.ndarray, " P"],
    percentiles: tuple[float, float] = DEPTH_PERCENTILES,
    margins: tuple[float, float] = DEPTH_MARGINS,
) -> tuple[float, float] | None:
    """(near, far) around the depths of sparse points, those behind the camera left out; None where none is left.

    Args:
        depths: z of the points in camera axes.
        percentiles: Which depths the bounds start from, so that stray points do not count.
        margins: Factors on the two.
    """
    depths = depths[depths > 0]
    if not len(depths):
        return None
    near, far = np.percentile(depths, percentiles) * margins
    return float(near), float(far)


def _read_view(
    path: Path,
    image: ColmapImage,
    colmap: ColmapModel,
    points_of_id: dict[int, np.ndarray],
    image_folder: Path,
    where: str,
) -> View:
    camera = colmap.cameras[image.camera_id]
    photo = image_file(path)
    if photo.size != (camera.width, camera.height):
        raise ValueError(
            f"{path} has {photo.size[0]} x {photo.size[1]} pixels but camera {image.camera_id} of {where} has"
            f" {camera.width} x {camera.height}; use the photographs that the model was made from, not resized"
        )
    intrinsics, lens = intrinsics_and_lens(camera)
    world_to_cam = world_to_cam_of(image)
    seen = [points_of_id[point_id] for point_id in image.point_ids.tolist() if point_id in points_of_id]
    points = np.array(seen).reshape(-1, 3)
    view = View(
        name=image.name,
        image=photo,
        intrinsics=intrinsics,
        world_to_cam=world_to_cam,
        near_far=depth_bounds(points @ world_to_cam[2, :3] + world_to_cam[2, 3]),
        distortion=lens,
        depth=_find_depth(image_folder, image.name, photo.size) if lens is None or lens.is_zero else None,
    )
    origin = f"{where} (image '{image.name}')"
    check_points_in_front(points, view, origin)
    check_view(view, origin)
    return view


def _find_depth(image_folder: Path, name: str, size: tuple[int, int]) -> DepthFile | None:
    """The dense depth map of an image, if it is there and was made for pictures of this size."""
    for workspace in (image_folder.parent, image_folder.parent / "dense"):
        path = workspace / "stereo" / "depth_maps" / f"{name}.geometric.bin"
        if path.is_file() and read_colmap_array_size(path) == size:
            return DepthFile(path, "colmap")
    return None


def _model_folders(folder: Path) -> list[Path]:
    """Folders with a model, in the order in which they are preferred."""
    for candidate in (folder, folder / "sparse"):
        if find_model_encoding(candidate):
            return [candidate]
    below = sorted((folder / "sparse").glob("*"), key=lambda path: (len(path.name), path.name))
    return [path for path in below if find_model_encoding(path)]
