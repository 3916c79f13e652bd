"""The cube in which a surface is sought, from the cameras that look at it.

Two rules:

- `frustum_cube`: around everything that any camera sees between its depth bounds. Generous; what GenS trains with
  (its Sec. 4 on DTU and BlendedMVS, whose depth bounds are tight).
- `subject_cube`: for photographs with loose depth bounds. Around what several cameras see together: sparse points where
  there are some, else the volume that all frusta share. Photographers aim at their subject, so what every picture shows
  is likely to be it.

A cube is axis-aligned in the world its cameras are given in.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from common.cameras import Camera
from common.visualization import side_by_side

FEWEST_POINTS = 20
POINT_PERCENTILES = (2.0, 98.0)
POINT_MARGIN = 1.25  # sparse points lie on texture, not on outlines
GRID = 32  # points a side that sample the shared volume
CLOSEST_CAMERA = 1.25  # distance of the nearest camera in radii: rays must start outside the cube's inner sphere


@dataclass(frozen=True)
class Cube:
    """An axis-aligned cube.

    Attributes:
        center: World frame.
        radius: Half a side, scene units.
    """

    center: Float[np.ndarray, "3"]
    radius: float

    @property
    def to_world(self) -> Float[np.ndarray, "4 4"]:
        """The matrix that maps [-1, 1]^3 to the cube (the paper's `scale_mat`)."""
        matrix = np.diag([self.radius, self.radius, self.radius, 1.0])
        matrix[:3, 3] = self.center
        return matrix

    @property
    def corners(self) -> Float[np.ndarray, "8 3"]:
        """World frame; x changes slowest."""
        return self.center + self.radius * np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


def frustum_cube(cameras: Sequence[Camera], factor: float = 1.0) -> Cube:
    """Around the frusta of all cameras between their depth bounds.

    The corners of a picture are the pixels (0, 0) and (width, height), as in the paper.

    Args:
        cameras: At least one.
        factor: The cube's size is multiplied by this.

    Raises:
        ValueError: No camera, a factor that is not positive, or depth bounds that are not 0 < near < far.
    """
    _check(cameras, factor)
    corners = np.concatenate([_frustum_corners(camera) for camera in cameras])
    return _around(corners.min(0), corners.max(0), factor)


def subject_cube(
    cameras: Sequence[Camera], points: Float[np.ndarray, "P 3"] | None = None, factor: float = 1.1
) -> Cube:
    """Around what the cameras see together.

    With at least 20 sparse points that two cameras see: the 2nd to 98th percentile of these points along each axis,
    grown by a quarter. Without: the points that all cameras see between their depth bounds; where no point is seen by
    all, by as many cameras as possible, but at least two. The cube never reaches so far that a camera comes closer to
    its centre than 1.25 radii.

    Args:
        cameras: At least one; a single camera gives its whole frustum.
        points: Of a reconstruction, world frame.
        factor: The cube's size is multiplied by this.

    Raises:
        ValueError: As `frustum_cube`; also where no point is seen by two cameras.
    """
    _check(cameras, factor)
    cube = _cube_of_points(cameras, points, factor) if points is not None else None
    if cube is None:
        cube = _cube_of_shared_volume(cameras, factor)
    nearest = min(np.linalg.norm(_numbers(camera)[2] - cube.center) for camera in cameras)
    return Cube(cube.center, min(cube.radius, float(nearest) / CLOSEST_CAMERA))


def check_cube_meets_masks(cube: Cube, cameras: Sequence[Camera], masks: Sequence[Bool[np.ndarray, "_ _"]]) -> None:
    """Make sure that the cube holds something of the object.

    Args:
        cube: To check.
        cameras: One for each mask, at the masks' sizes.
        masks: True where a picture shows the object.

    Raises:
        ValueError: A mask is empty, or in some view no ray through the mask meets the cube.
    """
    for index, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
        rows, columns = np.nonzero(mask)
        if not len(rows):
            raise ValueError(
                f"the mask of view {index} is empty: nothing of the object is marked in it; check the mask's file and"
                " threshold, or leave the masks out"
            )
        pixel_to_world, _, center = _numbers(camera)
        directions = np.stack([columns, rows, np.ones_like(rows)], axis=1) @ pixel_to_world.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = (cube.center - center + np.array([[-cube.radius], [cube.radius]]))[:, None] / directions
        enters, leaves = ends.min(0).max(1), ends.max(0).min(1)
        if not ((enters <= leaves) & (leaves > 0)).any():
            raise ValueError(
                f"the box misses the object: none of the {len(rows)} rays through the mask of view {index} meets the"
                f" cube of radius {cube.radius:.4g} around {np.round(cube.center, 4).tolist()}; give a larger box or"
                " check the camera's units and depth bounds"
            )


def draw_cube(
    cube: Cube, cameras: Sequence[Camera], photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]], names: Sequence[str] = ()
) -> UInt8[np.ndarray, "H W 3"]:
    """The photographs side by side with the cube's edges drawn on them; the edges at the far side are darker.

    Args:
        cube: To show.
        cameras: One for each photograph, at the photographs' sizes.
        photographs: RGB.
        names: Labels, one for each photograph or none.
    """
    pictures = [_with_edges(photograph, cube, camera) for camera, photograph in zip(cameras, photographs, strict=True)]
    return side_by_side(pictures, names, gap=8)


def _check(cameras: Sequence[Camera], factor: float) -> None:
    if not cameras or not factor > 0:
        raise ValueError(f"a cube needs cameras and a positive factor, got {len(cameras)} cameras and {factor}")
    for index, camera in enumerate(cameras):
        near, far = camera.near_far
        if not 0 < near < far < np.inf:
            raise ValueError(
                f"view {index} has the depth bounds ({near}, {far}), expected 0 < near < far; correct the camera file"
                " or give near_far"
            )


def _numbers(camera: Camera) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"], Float[np.ndarray, "3"]]:
    """World direction of unit depth from homogeneous pixel, cam_to_world, and centre, in float64."""
    cam_to_world = np.linalg.inv(camera.world_to_cam.detach().cpu().double().numpy())
    intrinsics = camera.intrinsics.detach().cpu().double().numpy()
    return cam_to_world[:3, :3] @ np.linalg.inv(intrinsics), cam_to_world, cam_to_world[:3, 3]


def _frustum_corners(camera: Camera) -> Float[np.ndarray, "8 3"]:
    pixel_to_world, _, center = _numbers(camera)
    pixels = np.array([[x, y, 1.0] for x in (0.0, camera.width) for y in (0.0, camera.height)])
    directions = pixels @ pixel_to_world.T
    return np.concatenate([center + depth * directions for depth in camera.near_far])


def _around(low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], factor: float) -> Cube:
    return Cube((low + high) / 2, factor * float((high - low).max()) / 2)


def _times_seen(cameras: Sequence[Camera], points: Float[np.ndarray, "P 3"]) -> np.ndarray:
    """How many cameras see each point between their depth bounds."""
    counts = np.zeros(len(points), np.int64)
    for camera in cameras:
        world_to_cam = camera.world_to_cam.detach().cpu().double().numpy()
        points_cam = points @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
        depth = points_cam[:, 2]
        within = (depth >= camera.near_far[0]) & (depth <= camera.near_far[1])
        homogeneous = points_cam @ camera.intrinsics.detach().cpu().double().numpy().T
        pixels = homogeneous[:, :2] / np.where(within, depth, 1.0)[:, None]
        counts += within & (pixels >= 0).all(1) & (pixels <= [camera.width, camera.height]).all(1)
    return counts


def _cube_of_points(cameras: Sequence[Camera], points: Float[np.ndarray, "P 3"], factor: float) -> Cube | None:
    seen = points[_times_seen(cameras, points) >= min(2, len(cameras))]
    if len(seen) < FEWEST_POINTS:
        return None
    low, high = np.percentile(seen, POINT_PERCENTILES, axis=0)
    return _around(low, high, POINT_MARGIN * factor)


def _cube_of_shared_volume(cameras: Sequence[Camera], factor: float) -> Cube:
    corners = np.concatenate([_frustum_corners(camera) for camera in cameras])
    low, high = corners.min(0), corners.max(0)
    for _ in range(2):  # the second grid lies around what the first one found, so that it is finer
        grid = np.stack(np.meshgrid(*np.linspace(low, high, GRID).T, indexing="ij"), axis=-1).reshape(-1, 3)
        counts = _times_seen(cameras, grid)
        if counts.max() < min(2, len(cameras)):
            raise ValueError(
                f"no point is seen by two of the {len(cameras)} views between their depth bounds; choose views that"
                " show the same object, or give the box"
            )
        step = (high - low) / (GRID - 1)
        shared = grid[counts == counts.max()]
        low, high = np.maximum(shared.min(0) - step, low), np.minimum(shared.max(0) + step, high)
    return _around(shared.min(0), shared.max(0), factor)


def _with_edges(photograph: np.ndarray, cube: Cube, camera: Camera) -> np.ndarray:
    picture = np.ascontiguousarray(photograph).copy()
    world_to_cam = camera.world_to_cam.detach().cpu().double().numpy()
    corners = cube.corners @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
    edges = [(a, b) for a, b in itertools.combinations(range(8), 2) if (a ^ b) in (1, 2, 4)]
    middle, closest = corners[:, 2].mean(), 0.01 * abs(corners[:, 2]).max()
    width = max(1, round(picture.shape[0] / 240))
    for a, b in sorted(edges, key=lambda edge: -corners[list(edge), 2].mean()):
        start, end = corners[a], corners[b]
        if max(start[2], end[2]) <= closest:
            continue
        start, end = _in_front(start, end, closest), _in_front(end, start, closest)
        line = np.stack([start, end]) @ camera.intrinsics.detach().cpu().double().numpy().T
        pixels = (line[:, :2] / line[:, 2:]).clip(-1e4, 1e4).round().astype(int)
        color = (255, 176, 0) if (start[2] + end[2]) / 2 <= middle else (150, 95, 0)
        cv2.line(picture, pixels[0].tolist(), pixels[1].tolist(), color, width, cv2.LINE_AA)
    return picture


def _in_front(point: np.ndarray, other: np.ndarray, closest: float) -> np.ndarray:
    """The point, or where the line to the other one becomes `closest` deep if the point lies before that."""
    if point[2] >= closest:
        return point
    return point + (closest - point[2]) / (other[2] - point[2]) * (other - point)
