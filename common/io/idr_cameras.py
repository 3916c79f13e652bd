"""Cameras of IDR, NeuS, SparseNeuS and pixelNeRF's DTU: `cameras*.npz` with 4x4 matrices per image.

    world_mat_i = [K E[:3]; 0 0 0 1]      world to (u z, v z, z) in pixels of the full-size image
    scale_mat_i = [a I, b; 0 0 0 1]       unit sphere to world: x_world = a x_sphere + b; the same for every i

`camera_mat_i` is never read: it is a pixel normalisation in the DTU files and K in others. The stored inverses are
rounded to float32 (off by up to 0.06 mm in DTU), so they are not read either.
"""

import lzma
import re
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from jaxtyping import Float

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file

# A 4x4 float64 matrix with its header takes 256 bytes; a member that claims much more is not a camera.
LARGEST_MEMBER = 4096
# What zipfile and NumPy raise for damaged, encrypted or hostile archives.
UNREADABLE = (
    *(ValueError, TypeError, OSError, EOFError, KeyError, MemoryError, OverflowError, RuntimeError, SyntaxError),
    *(struct.error, tokenize.TokenError, lzma.LZMAError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class IdrCameras:
    """Content of one `cameras*.npz`.

    Attributes:
        world_mats: Projections of the views, in the order of the sorted images.
        scale_mats: Sphere to world, one a view; None where the file has none.
    """

    world_mats: Float[np.ndarray, "V 4 4"]
    scale_mats: Float[np.ndarray, "V 4 4"] | None


def read_idr_cameras(path: str | Path) -> IdrCameras:
    """Projections and sphere of a `cameras*.npz`, in float64.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not such a file, an index is missing, or a matrix has another shape or is not finite.
    """
    path = Path(path)
    check_data_file(path)
    try:
        matrices = _read_matrices(path)
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a camera npz of the IDR family: {error}") from None
    world_mats = _stack(path, matrices, "world_mat")
    if world_mats is None:
        raise ValueError(f"{path} has no world_mat_0; expected world_mat_i for every image")
    scale_mats = _stack(path, matrices, "scale_mat")
    if scale_mats is not None and len(scale_mats) != len(world_mats):
        raise ValueError(f"{path} has {len(world_mats)} world_mat but {len(scale_mats)} scale_mat")
    return IdrCameras(world_mats, scale_mats)


def write_idr_cameras(path: str | Path, cameras: IdrCameras) -> None:
    """Write `world_mat_i` and, where there are any, `scale_mat_i` (float64)."""
    arrays = {f"world_mat_{index}": matrix for index, matrix in enumerate(cameras.world_mats)}
    if cameras.scale_mats is not None:
        arrays |= {f"scale_mat_{index}": matrix for index, matrix in enumerate(cameras.scale_mats)}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def decompose_projection(
    projection: Float[np.ndarray, "_ 4"],
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """`(intrinsics, world_to_cam)` of a 3x4 (or 4x4, last row ignored) projection of any scale and sign.

    Raises:
        ValueError: The left 3x3 block has no inverse, so there is no camera centre.
    """
    projection = np.asarray(projection[:3], dtype=np.float64)
    scale = np.abs(projection[:, :3]).max()
    if not np.isfinite(projection).all() or scale == 0 or np.linalg.cond(projection[:, :3] / scale) > 1e12:
        raise ValueError("the projection matrix is not that of a camera: its left 3x3 block cannot be inverted")
    upper, rotation = scipy.linalg.rq(projection[:, :3])
    signs = np.sign(np.diag(upper))
    intrinsics, rotation = upper * signs, signs[:, None] * rotation
    rotation *= np.sign(np.linalg.det(rotation))  # P and -P are the same projection
    center = -np.linalg.solve(projection[:, :3], projection[:, 3])
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3], world_to_cam[:3, 3] = rotation, -rotation @ center
    return intrinsics / intrinsics[2, 2], world_to_cam


def _read_matrices(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if re.match(r"(world|scale)_mat_\d+\.npy$", member.filename) and member.file_size > LARGEST_MEMBER:
                raise ValueError(f"{member.filename} has {member.file_size} bytes, too many for a 4x4 matrix")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if re.fullmatch(r"(world|scale)_mat_\d{1,7}", name)}


def _stack(path: Path, matrices: dict[str, np.ndarray], prefix: str) -> np.ndarray | None:
    count = sum(name.startswith(prefix) for name in matrices)
    if not count:
        return None
    stacked = np.zeros((count, 4, 4))
    for index in range(count):
        matrix = matrices.get(f"{prefix}_{index}")
        if matrix is None:
            raise ValueError(f"{path} has {count} {prefix} entries but no {prefix}_{index}")
        if matrix.shape not in ((4, 4), (3, 4)) or matrix.dtype.kind not in "fiu":
            raise ValueError(
                f"{path}: {prefix}_{index} is {matrix.dtype} of shape {matrix.shape}, expected 4x4 numbers"
            )
        if not np.isfinite(matrix).all():
            raise ValueError(f"{path}: {prefix}_{index} has values that are not finite")
        stacked[index] = np.eye(4)
        stacked[index, : len(matrix)] = matrix
    return stacked
