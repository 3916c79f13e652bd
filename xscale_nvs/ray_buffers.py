"""What the pixels of a view see, with `ss_ratio`^2 sub-samples each (XScale-NVS, Sec. 3.5, steps 1-4).

The picture is rasterised `ss_ratio` times finer; sub-sample m = a ss + b of pixel (row i, column j) is the fine pixel
(i ss + a, j ss + b). A pixel is covered if the fine coverage, resized bilinearly with corners aligned, is positive
there: output row i looks at fine row s = i (H ss - 1) / (H - 1), and at the next one where s is fractional. Everything
works on bands of rows, so that memory does not grow with the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped
from torch import Tensor

from common.cameras import Camera, camera_center
from common.ops.rasterize import MeshRasterizer
from xscale_nvs.scene_mesh import SceneMesh, SurfacePoints

SAMPLES_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Samples:
    """What some rows of a picture see; N sub-samples per pixel.

    Attributes:
        face: Triangle, or -1.
        barycentric: Weights of its first and second corner.
        covered: Pixels that see the mesh, by the paper's rule.
        camera_center: World.
    """

    face: Int32[Tensor, "H W N"]
    barycentric: Float32[Tensor, "H W N 2"]
    covered: Bool[Tensor, "H W"]
    camera_center: Float32[Tensor, "3"]

    def points(self, mesh: SceneMesh) -> SurfacePoints:
        """Positions, normals and viewing directions of every sub-sample."""
        return mesh.points(self.face, self.barycentric, self.camera_center)


def bands(height: int, width: int, ss_ratio: int) -> Iterator[slice]:
    """The rows of a picture in bands of bounded size."""
    rows = max(1, SAMPLES_AT_ONCE // (width * ss_ratio**2))
    return (slice(first, min(first + rows, height)) for first in range(0, height, rows))


def see_rows(rasterizer: MeshRasterizer, camera: Camera, ss_ratio: int, rows: slice) -> Samples:
    """What some rows of a view see.

    Args:
        rasterizer: Holds the mesh.
        camera: Of the view, at the size of its photograph; its `near_far` bounds what counts.
        ss_ratio: Fine pixels per pixel and axis.
        rows: Of the photograph.
    """
    first, last, _ = rows.indices(camera.height)
    fine = supersampled(camera, ss_ratio)
    seen = rasterizer.visibility(
        fine.intrinsics,
        fine.world_to_cam,
        fine.height,
        fine.width,
        *camera.near_far,
        slice(first * ss_ratio, last * ss_ratio),
    )
    return Samples(
        face=_sub_samples(seen.face, ss_ratio),
        barycentric=_sub_samples(seen.barycentric, ss_ratio),
        covered=coverage(seen.face >= 0, range(first, last), camera.height, ss_ratio),
        camera_center=camera_center(camera.world_to_cam).float().to(seen.depth.device),
    )


def supersampled(camera: Camera, ss_ratio: int) -> Camera:
    """The camera of a picture `ss_ratio` times finer over the same field of view."""
    intrinsics = camera.intrinsics.clone()
    intrinsics[:2, 2] += 0.5
    intrinsics[:2] *= ss_ratio
    intrinsics[:2, 2] -= 0.5
    return replace(camera, intrinsics=intrinsics, height=camera.height * ss_ratio, width=camera.width * ss_ratio)


def coverage(
    is_seen: Bool[Tensor, "fine_rows fine_columns"], rows: range, height: int, ss_ratio: int
) -> Bool[Tensor, "H W"]:
    """Which pixels of some rows are covered.

    Args:
        is_seen: Fine pixels of those rows that see the mesh.
        rows: Of the picture.
        height: Of the whole picture, in pixels.
        ss_ratio: Fine pixels per pixel and axis.
    """
    if ss_ratio == 1:
        return is_seen
    width = is_seen.shape[1] // ss_ratio
    upper, lower = (part[rows.start : rows.stop] - rows.start * ss_ratio for part in _sources(height, ss_ratio))
    left, right = _sources(width, ss_ratio)
    either = is_seen[upper] | is_seen[lower]
    return either[:, left] | either[:, right]


def _sources(size: int, ss_ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """The two fine rows (the same one twice where s is whole) that each row looks at, in PyTorch's float32 arithmetic.

    Both are the row's own in exact arithmetic; beyond float32's resolution they are kept so.
    """
    fine = size * ss_ratio
    step = np.float32(fine - 1) / np.float32(size - 1) if size > 1 else np.float32(0)
    source = step * np.arange(size, dtype=np.float32)
    first = np.minimum(source.astype(np.int64), fine - 1)
    second = np.where(source > first, np.minimum(first + 1, fine - 1), first)
    own = np.arange(size) * ss_ratio
    return np.clip(first, own, own + ss_ratio - 1), np.clip(second, own, own + ss_ratio - 1)


def _sub_samples(fine: Shaped[Tensor, "..."], ss_ratio: int) -> Shaped[Tensor, "..."]:
    """(h ss, w ss, ...) to (h, w, ss ss, ...)."""
    if ss_ratio == 1:
        return fine.unsqueeze(2)
    height, width = fine.shape[0] // ss_ratio, fine.shape[1] // ss_ratio
    parts = fine.unflatten(1, (width, ss_ratio)).unflatten(0, (height, ss_ratio))  # h a w b
    return parts.transpose(1, 2).flatten(2, 3)
