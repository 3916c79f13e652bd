"""The cameras of a batch, as the levels of the cascade need them.

A batch is the paper's dictionary: `src_exts`, `tar_ext` world to camera, `src_ixts`, `tar_ixt` intrinsics at the full
image size, `near_far`, and `rays_<level>`, the rays of the whole picture (origin, direction, pixel), which may be
missing.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from common.cameras import camera_center, crop_intrinsics, scale_intrinsics
from common.feature_sampling import target_to_source
from common.rays import camera_rays
from gefu.networks.settings import LevelSettings

Batch = Mapping[str, Any]


def scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Height and width at a level's scale."""
    return round(size[0] * factor), round(size[1] * factor)


def target_matrix(
    batch: Batch, source_scale: float, target_scale: float, start: tuple[int, int] = (0, 0)
) -> Float[Tensor, "B S 3 4"]:
    """Target to source between maps of the given scales; the target's begins at row and column `start`."""
    target = scale_intrinsics(batch["tar_ixt"].double(), target_scale)
    target = crop_intrinsics(target, left=float(start[1]), top=float(start[0]))
    return target_to_source(batch["src_ixts"], batch["src_exts"], target, batch["tar_ext"], source_scale)


def sweep_matrix(batch: Batch, level: LevelSettings, start: tuple[int, int] = (0, 0)) -> Float[Tensor, "B S 3 4"]:
    """Target to source between the level's volume and the features that are warped into it."""
    return target_matrix(batch, level.warp_scale, level.volume_scale, start)


def blend_cameras(
    batch: Batch, level: LevelSettings
) -> tuple[Float[Tensor, "B S 3 3"], Float[Tensor, "B S 4 4"], Float[Tensor, "B 3"]]:
    """Source intrinsics at the size of the level's picture, source poses, centre of the target."""
    intrinsics = scale_intrinsics(batch["src_ixts"], level.render_scale)
    return intrinsics, batch["src_exts"], camera_center(batch["tar_ext"])


def target_rays(
    batch: Batch, index: int, level: LevelSettings, size: tuple[int, int], window: tuple[slice, slice] | None = None
) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B H W 3"]]:
    """Centre and directions of the level's rays: those of the loader where the batch has them, else from the camera.

    Args:
        batch: See the module.
        index: Of the level.
        level: Its settings.
        size: Height and width of the whole picture.
        window: Rows and columns of the rays that are wanted; None wants all.
    """
    rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
    rays = batch.get(f"rays_{index}")
    if rays is None:
        intrinsics = scale_intrinsics(batch["tar_ixt"].double(), level.render_scale)
        intrinsics = crop_intrinsics(intrinsics, left=float(columns.start), top=float(rows.start))
        shape = rows.stop - rows.start, columns.stop - columns.start
        origins, directions = camera_rays(intrinsics, batch["tar_ext"], *shape)
        return origins.to(batch["tar_ixt"]), directions.to(batch["tar_ixt"])
    if rays.shape[1] != size[0] * size[1]:
        raise ValueError(
            f"rays_{index} must hold every pixel of a {size[0]} x {size[1]} picture, got {rays.shape[1]} rays"
        )
    return rays[:, 0, :3], rays[..., 3:6].unflatten(1, size)[:, rows, columns]
