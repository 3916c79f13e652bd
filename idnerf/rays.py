"""Rays of the target camera and the depths sampled on them.

A ray has unit z in the camera frame, so a sample's depth is measured along the optical axis. "Legacy" is the released
setting: pixel centres on integers, samples at both ends of the range. Otherwise pixel centres lie at +0.5, and samples
in the middle of equal intervals.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from common.cameras import Camera, crop_intrinsics
from common.rays import camera_rays, pixel_grid
from idnerf.projection import transform


def rays_of(camera: Camera, legacy: bool = True) -> tuple[Float[Tensor, "3"], Float[Tensor, "HW 3"]]:
    """Camera centre, and the direction (unit z, not unit length) of every pixel, row by row."""
    if legacy:
        return _released_rays(camera)
    intrinsics = crop_intrinsics(camera.intrinsics, 0.5, 0.5)
    center, directions = camera_rays(intrinsics, camera.world_to_cam, camera.height, camera.width)
    return center, directions.reshape(-1, 3)


def _released_rays(camera: Camera) -> tuple[Float[Tensor, "3"], Float[Tensor, "HW 3"]]:
    """Points at depth 1 minus the centre, rounded as the released program rounds them (see `transform`)."""
    cam_to_world = torch.linalg.inv(camera.world_to_cam.double()).to(camera.world_to_cam)
    to_camera = torch.linalg.solve_triangular(camera.intrinsics, torch.eye(3).to(camera.intrinsics), upper=True)
    x, y = pixel_grid(camera.height, camera.width, camera.intrinsics).reshape(-1, 2).T
    directions = transform(cam_to_world, *transform(to_camera, x, y, torch.ones_like(x)))
    center = cam_to_world[:3, 3]
    return center, torch.stack(directions, dim=-1) - center


def sample_depths(
    near_far: tuple[float, float],
    samples: int,
    legacy: bool = True,
    inverse: bool = False,
    u: Float[Tensor, "R S"] | None = None,
) -> Float[Tensor, "R S"]:
    """Depths near + (far - near) (k + u) / n, where n is S - 1 (legacy) or S.

    Args:
        near_far: Depth bounds.
        samples: Number S of samples on a ray.
        legacy: See above.
        inverse: Return 1 / (depth + 1e-8), as the released `nerf.depth.param: inverse` does.
        u: Places in [0, 1) within the intervals, drawn at random in training. By default 0 (legacy) or 0.5, for one
            ray. With legacy spacing the last sample of a drawn set may lie beyond far.
    """
    near, far = near_far
    if u is None:
        u = torch.full((1, samples), 0.0 if legacy else 0.5)
    step = torch.arange(samples, device=u.device, dtype=u.dtype) + u
    depths = near + step / (samples - 1 if legacy else samples) * (far - near)
    return 1 / (depths + 1e-8) if inverse else depths
