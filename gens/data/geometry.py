"""The frame an item lives in (spec 3.2): the reference camera's, scaled so that a cube around all frusta is [-1, 1]^3.

    world (of the files)  --reference camera-->  reference frame  --(x - center) / radius-->  cube

An item's cameras, rays, depths and points are in the cube; `scale_mat` leads back to the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from common.bounding_cubes import check_cube_meets_masks, frustum_cube
from common.cameras import Camera


@dataclass(frozen=True)
class ItemGeometry:
    """Cameras of an item's views in its cube.

    Attributes:
        intrs: Intrinsics at the working size, in the upper left corner.
        c2ws: Camera to cube.
        near_fars: Of the rays of each view: 0.95 (D - 1) and 1.05 (D + 1), D the camera's distance from the centre.
        scale_mat: Cube to world.
        scale_factor: Cube units of one world unit.
    """

    intrs: Float[np.ndarray, "V 4 4"]
    c2ws: Float[np.ndarray, "V 4 4"]
    near_fars: Float[np.ndarray, "V 2"]
    scale_mat: Float[np.ndarray, "4 4"]
    scale_factor: float


def item_geometry(
    cameras: Sequence[Camera], factor: float, mask: Bool[np.ndarray, "H W"] | None = None
) -> ItemGeometry:
    """The geometry of an item whose first view is the reference.

    Args:
        cameras: In the world, with depth bounds, at the working size.
        factor: Scales the cube; smaller is tighter.
        mask: Where the reference view shows the object; the cube is checked against it.

    Raises:
        ValueError: Depth bounds that cannot be, an empty mask, or a cube that misses the object.
    """
    to_world = torch.linalg.inv(cameras[0].world_to_cam.double())
    relative = [replace(camera, world_to_cam=camera.world_to_cam.double() @ to_world) for camera in cameras]
    cube = frustum_cube(relative, factor)
    if mask is not None:
        check_cube_meets_masks(cube, relative[:1], [mask])
    return cube_geometry(relative, cube.to_world, to_world.numpy())


def cube_geometry(
    cameras: Sequence[Camera],
    cube_to_frame: Float[np.ndarray, "4 4"],
    frame_to_world: Float[np.ndarray, "4 4"],
) -> ItemGeometry:
    """The geometry of cameras given in some frame, for any axis-aligned cube of it."""
    radius, center = cube_to_frame[0, 0], cube_to_frame[:3, 3]
    intrs = np.tile(np.eye(4), (len(cameras), 1, 1))
    c2ws = np.tile(np.eye(4), (len(cameras), 1, 1))
    for index, camera in enumerate(cameras):
        intrs[index, :3, :3] = camera.intrinsics.numpy()
        c2ws[index] = np.linalg.inv(camera.world_to_cam.double().numpy())
        c2ws[index, :3, 3] = (c2ws[index, :3, 3] - center) / radius
    distances = np.linalg.norm(c2ws[:, :3, 3], axis=1)
    return ItemGeometry(
        intrs=intrs.astype(np.float32),
        c2ws=c2ws.astype(np.float32),
        near_fars=np.stack([0.95 * (distances - 1), 1.05 * (distances + 1)], axis=1).astype(np.float32),
        scale_mat=(frame_to_world @ cube_to_frame).astype(np.float32),
        scale_factor=float(1.0 / radius),
    )
