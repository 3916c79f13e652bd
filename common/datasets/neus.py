"""Folders of IDR and NeuS.

    <case>/image/000000.png ...      sorted order is the index in the npz; the folder is called `images` in some copies
    <case>/mask/000.png ...          optional; same count and order, the number of digits may differ
    <case>/cameras_sphere.npz        projections to full-size pixels, and the sphere of interest
    <case>/cameras_large.npz         the same projections with a larger sphere; also found: cameras.npz

`poses_bounds.npy` or `sparse/` in the same folder come from another run in another world and are not combined with the
npz. Intrinsics are centre-origin, as IDR and NeuS cast their rays.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import image_file, list_photographs
from common.datasets.scene import MaskFile, Scene, View
from common.datasets.validation import check_view, checked_scene
from common.io.idr_cameras import decompose_projection, read_idr_cameras

CAMERA_FILES = ("cameras_sphere.npz", "cameras.npz", "cameras_large.npz")
IMAGE_FOLDERS = ("image", "images")
NEAREST_FRACTION = 0.05  # of the far depth, for cameras inside the sphere or close to it
MASK_THRESHOLD = 127


def read_neus(
    folder: str | Path,
    *,
    cameras: str | None = None,
    normalize: bool = False,
    mask_threshold: int = MASK_THRESHOLD,
    stated_size: tuple[int, int] | None = None,
) -> Scene:
    """The views of one case, in the order of the sorted images.

    Depth bounds enclose the sphere of `scale_mat`; without one a view has none.

    Args:
        folder: The case.
        cameras: Name of the npz; None takes cameras_sphere.npz, else cameras.npz, else cameras_large.npz.
        normalize: Move the world so that the sphere is the unit sphere; `Scene.to_original` leads back.
        mask_threshold: A mask pixel above this (of 255) shows the object.
        stated_size: (width, height) of the pictures that the projections are for; None: as stored.

    Raises:
        FileNotFoundError: No npz or no pictures.
        ValueError: Counts of pictures, masks and cameras differ, a matrix is not that of a camera, or `normalize`
            without a sphere.
    """
    folder = Path(folder)
    npz = _camera_file(folder, cameras)
    stored = read_idr_cameras(npz)
    photographs = next((found for name in IMAGE_FOLDERS if (found := list_photographs(folder / name))), [])
    masks = list_photographs(folder / "mask")
    if not photographs:
        raise FileNotFoundError(f"no pictures in {folder}/image; expected one for each camera of {npz.name}")
    _check_counts(folder, npz, len(stored.world_mats), len(photographs), len(masks))
    sphere = _sphere(stored.scale_mats, npz)
    if normalize and sphere is None:
        raise ValueError(f"{npz} has no scale_mat, so there is no sphere to normalise with; read it without")

    views = []
    for index, (path, world_mat) in enumerate(zip(photographs, stored.world_mats, strict=True)):
        where = f"{npz}: world_mat_{index}"
        try:
            # The product with the sphere decomposes to the camera in the sphere's world: K E S = a K E'.
            intrinsics, world_to_cam = decompose_projection(world_mat @ sphere if normalize else world_mat)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        near_far = _near_far(world_to_cam, np.eye(4) if normalize else sphere)
        mask = MaskFile(masks[index], mask_threshold) if masks else None
        image = image_file(path)
        if stated_size is not None:
            intrinsics = np.diag([*np.divide(image.size, stated_size), 1.0]) @ intrinsics
        view = View(path.stem, image, intrinsics, world_to_cam, near_far, mask=mask)
        check_view(view, where)
        views.append(view)
    to_original = sphere if normalize else None
    return checked_scene(Scene(folder.resolve().name, tuple(views), to_original=to_original), folder)


def _camera_file(folder: Path, name: str | None) -> Path:
    for candidate in [name] if name is not None else CAMERA_FILES:
        if (folder / candidate).is_file():
            return folder / candidate
    raise FileNotFoundError(f"no {name or ' or '.join(CAMERA_FILES)} in {folder}")


def _check_counts(folder: Path, npz: Path, num_cameras: int, num_images: int, num_masks: int) -> None:
    if num_images != num_cameras:
        raise ValueError(f"{folder} has {num_images} pictures but {npz.name} has {num_cameras} cameras")
    if num_masks not in (0, num_images):
        raise ValueError(f"{folder} has {num_images} pictures but {num_masks} masks")


def _sphere(scale_mats: Float[np.ndarray, "V 4 4"] | None, npz: Path) -> Float[np.ndarray, "4 4"] | None:
    """The one sphere of all views."""
    if scale_mats is None:
        return None
    first = scale_mats[0]
    if np.abs(scale_mats - first).max() > 1e-4 * np.abs(first).max():
        raise ValueError(f"{npz} has different scale_mat for different views; expected one sphere")
    radius = first[0, 0]
    if radius <= 0 or np.abs(first[:3, :3] - radius * np.eye(3)).max() > 1e-5 * radius:
        raise ValueError(f"{npz}: scale_mat_0 is not a positive scale and a translation")
    return first


def _near_far(
    world_to_cam: Float[np.ndarray, "4 4"], sphere: Float[np.ndarray, "4 4"] | None
) -> tuple[float, float] | None:
    """Depths between which the sphere lies; None where the camera has no sphere or has it behind."""
    if sphere is None:
        return None
    radius = sphere[0, 0]
    depth = float(world_to_cam[2] @ sphere[:, 3])
    far = depth + radius
    return (float(max(depth - radius, NEAREST_FRACTION * far)), float(far)) if far > 0 else None
