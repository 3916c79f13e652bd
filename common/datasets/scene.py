"""What a dataset reader returns: a `Scene` of posed `View`s. Paths and cameras only; nothing is loaded yet.

Frames: `world_to_cam` uses OpenCV camera axes (x right, y down, z forward), `x_cam = world_to_cam @ x_world`. Depth is
z in camera axes. Intrinsics are in pixels of the picture that the view names, as it is stored.

Pixel centres: "center" puts the centre of the top-left pixel at (0, 0), which is what every ray of ours uses; "corner"
puts it at (0.5, 0.5), which is how COLMAP, Metashape and nerfstudio write files. A reader states which one its numbers
are in and `Scene.with_pixel_origin` converts; the papers ignore the half pixel, so their numbers need it ignored.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

PixelOrigin = Literal["center", "corner"]


@dataclass(frozen=True)
class ImageFile:
    """One picture on disk.

    Attributes:
        path: The file.
        size: (width, height) in pixels of the stored picture, EXIF orientation ignored.
        background: Colour in [0, 1] that lies behind transparent pixels; None where the picture has no alpha.
    """

    path: Path
    size: tuple[int, int]
    background: float | None = None


@dataclass(frozen=True)
class DepthFile:
    """One depth map on disk.

    Attributes:
        path: The file.
        encoding: How it is stored: "pfm", "colmap" (dense array), "png16" (16-bit integers) or "npy".
        unit: Stored value times this is depth in scene units.
        halve_and_crop: (x0, y0, width, height) cut out after keeping every second pixel, or None (DTU's training crop).
        along_ray: True where the file holds the distance along the ray instead of z.
    """

    path: Path
    encoding: Literal["pfm", "colmap", "png16", "npy"]
    unit: float = 1.0
    halve_and_crop: tuple[int, int, int, int] | None = None
    along_ray: bool = False


@dataclass(frozen=True)
class MaskFile:
    """One object mask on disk: valid where the stored value (any channel, or alpha) is above `threshold` of 255.

    `inverted` marks layouts in which bright pixels are the ones to ignore.
    """

    path: Path
    threshold: int = 0
    inverted: bool = False


@dataclass(frozen=True)
class Distortion:
    """Lens distortion of a view; formulas and order of the coefficients are in `common/datasets/undistortion.py`.

    opencv: k1 k2 p1 p2 k3 k4 k5 k6. fisheye: k1 k2 k3 k4. fov: omega. thin_prism_fisheye: k1 k2 p1 p2 k3 k4 sx1 sy1.
    Trailing zeros may be left out.
    """

    model: Literal["opencv", "fisheye", "fov", "thin_prism_fisheye"]
    coefficients: tuple[float, ...]

    @property
    def is_zero(self) -> bool:
        """True where the lens is a pinhole; a fisheye lens without coefficients is not one."""
        return self.model in ("opencv", "fov") and not any(self.coefficients)


@dataclass(frozen=True)
class View:
    """One posed photograph.

    Attributes:
        name: Unique within the scene, as the layout names it (file stem, timestamp, rig-camera).
        image: The picture; None where the layout has only a pose (the view can be rendered but not compared).
        intrinsics: Pixels of `image`, upper triangular, last entry 1.
        world_to_cam: OpenCV axes.
        near_far: Positive depth bounds in scene units; None where the layout gives none.
        distortion: None (or `is_zero`) for a pinhole.
        depth, mask: None where the layout has none.
    """

    name: str
    image: ImageFile | None
    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]
    near_far: tuple[float, float] | None = None
    distortion: Distortion | None = None
    depth: DepthFile | None = None
    mask: MaskFile | None = None

    @property
    def center(self) -> Float[np.ndarray, "3"]:
        """Camera centre in the world."""
        rotation, translation = self.world_to_cam[:3, :3], self.world_to_cam[:3, 3]
        return -rotation.T @ translation


@dataclass(frozen=True)
class Scene:
    """Posed views of one static scene.

    Attributes:
        name: As the dataset names it.
        views: In the order that the layout's view indices refer to; an index into it is a "view id".
        splits: View ids by the layout's own split names ("train", "val", "test"); empty where it has none.
        pairs: Source view ids of each target, best first, where the layout ships a pair file; empty otherwise.
        pixel_origin: Where the centre of the top-left pixel lies in the numbers of `View.intrinsics`.
        to_original: Similarity that maps scene coordinates to those of the files, where the reader changed the world.
        points: Sparse points of a reconstruction, world frame, or None.
        mesh: File with the scene's surface, world frame, in any format that trimesh reads; None where there is none.
        notes: Sentences for the user about what the reader skipped or assumed.
    """

    name: str
    views: tuple[View, ...]
    splits: dict[str, tuple[int, ...]] = field(default_factory=dict)
    pairs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    pixel_origin: PixelOrigin = "center"
    to_original: Float[np.ndarray, "4 4"] | None = None
    points: Float[np.ndarray, "P 3"] | None = None
    mesh: Path | None = None
    notes: tuple[str, ...] = ()

    def with_pixel_origin(self, origin: PixelOrigin) -> "Scene":
        """The same scene with its principal points in the other pixel convention (half a pixel apart)."""
        if origin == self.pixel_origin:
            return self
        shift = -0.5 if origin == "center" else 0.5
        offset = np.array([[0.0, 0.0, shift], [0.0, 0.0, shift], [0.0, 0.0, 0.0]])
        views = tuple(dataclasses.replace(view, intrinsics=view.intrinsics + offset) for view in self.views)
        return dataclasses.replace(self, views=views, pixel_origin=origin)
