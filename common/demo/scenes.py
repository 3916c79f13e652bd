"""What the demo renders: scenes split into source views and held-out views."""

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.baselines.source_views import resized_intrinsics
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from common.datasets.loading import load_image
from common.datasets.open_scene import open_scene
from common.datasets.scene import ImageFile, Scene, View
from common.datasets.view_selection import nearest_views
from common.datasets.writers.dtu import write_dtu
from common.datasets.writers.xscale import write_xscale
from common.datasets.xscale import read_xscale
from common.io.images import write_image
from common.io.meshes import read_mesh
from common.synthetic import generate
from common.trajectories import interpolated_path

NUM_SOURCES = 3

# The usual evaluation split of DTU's 49 positions (MVSNeRF, GeFu): held-out views and the views to choose sources from.
DTU_HELD_OUT = (24, 32, 23, 44)
DTU_SOURCES = (25, 21, 33, 22, 14, 15, 26, 30, 31, 35, 34, 43, 46, 29, 16, 36)


@dataclass(frozen=True)
class HeldOut:
    """One view to render and the views it is rendered from (indices into the scene's views)."""

    target: int
    sources: tuple[int, ...]


@dataclass(frozen=True)
class DemoScene:
    """A scene and what to render of it.

    Attributes:
        title: For people.
        origin: Where it comes from, one sentence.
        scene: Centre-origin pixels; every view named in `held_out` has a picture and depth bounds.
        held_out: The views to render.
        frames_per_leg: Of the camera path, from one stop to the next.
        stops: Views that the camera path goes through; None takes the sources of the first held-out view.
        surface_is_given: Everybody renders the scene's mesh, so that their depths are no finding.
    """

    title: str
    origin: str
    scene: Scene
    held_out: tuple[HeldOut, ...]
    frames_per_leg: int = 12
    stops: tuple[int, ...] | None = None
    surface_is_given: bool = False

    def camera(self, index: int) -> Camera:
        """The camera of a view of the scene."""
        view = self.scene.views[index]
        width, height = view.image.size
        matrices = (torch.from_numpy(matrix).float() for matrix in (view.intrinsics, view.world_to_cam))
        return Camera(*matrices, height, width, view.near_far)

    def with_fewer_sources(self, count: int) -> "DemoScene":
        """The same, where each view is rendered from the `count` nearest of its sources."""
        fewer = tuple(HeldOut(item.target, item.sources[:count]) for item in self.held_out)
        return dataclasses.replace(self, held_out=fewer)

    def label(self, index: int) -> str:
        """What people call a view."""
        return self.scene.views[index].name

    def path(self) -> list[Camera]:
        """A closed camera path through the stops."""
        first = self.held_out[0]
        stops = np.stack([self.scene.views[index].world_to_cam for index in self.stops or first.sources])
        poses = interpolated_path(stops, self.frames_per_leg)
        camera = self.camera(first.target)
        return [dataclasses.replace(camera, world_to_cam=torch.from_numpy(pose).float()) for pose in poses]


def generated_scene(
    folder: Path, seed: int, size: tuple[int, int], held_out: Sequence[int] = DTU_HELD_OUT, title: str | None = None
) -> DemoScene:
    """A generated scene, written as a DTU folder and read back; an existing folder is read only.

    Args:
        folder: The one that holds such scenes.
        seed: Of the generator.
        size: Width and height of the pictures.
        held_out: Which of the 49 views to render; each from the nearest three of `DTU_SOURCES`.
        title: For people.
    """
    root = folder / f"seed{seed}_{size[0]}x{size[1]}"
    if not root.is_dir():
        unfinished = root.with_name(f".{root.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_dtu(unfinished, generate(seed, "dtu", size, name="scan1"))
        unfinished.rename(root)
    scene = read_dtu(root, "scan1").with_pixel_origin("center")
    views = tuple(dataclasses.replace(view, name=str(index)) for index, view in enumerate(scene.views))
    scene = dataclasses.replace(scene, views=views)
    origin = f"Generated from seed {seed}, written as a DTU folder and read back; no network was trained on it."
    return DemoScene(title or f"Scene {seed}", origin, scene, _with_sources(scene, held_out, DTU_SOURCES))


def generated_town(
    folder: Path, seed: int, size: tuple[int, int], num_views: int = 27, every: int = 9, title: str | None = None
) -> DemoScene:
    """A generated model town with its mesh, written as a folder of XScale-NVS and read back.

    Args:
        folder: The one that holds such scenes.
        seed: Of the generator.
        size: Width and height of the pictures.
        num_views: Photographs, on three circles.
        every: One view in so many is held out, each rendered from all the others.
        title: For people.
    """
    root = folder / f"town{seed}_{size[0]}x{size[1]}x{num_views}"
    if not root.is_dir():
        unfinished = root.with_name(f".{root.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_xscale(unfinished, generate(seed, "town", size, num_views, name="town"))
        unfinished.rename(root)
    scene = read_xscale(root / "town").with_pixel_origin("center")
    bounds = _bounds_of_mesh(scene)
    views = tuple(dataclasses.replace(view, name=str(n), near_far=bounds) for n, view in enumerate(scene.views))
    scene = dataclasses.replace(scene, views=views)
    targets = range(every // 2, num_views, every)
    sources = tuple(index for index in range(num_views) if index not in targets)
    faces = len(read_mesh(scene.mesh)[1])
    origin = (
        f"Generated from seed {seed}: {faces} triangles under materials whose detail is as fine as the pixels, written"
        " as a photogrammetry folder (pictures, cameras, mesh) and read back."
    )
    return DemoScene(
        title or f"Town {seed}",
        origin,
        scene,
        tuple(HeldOut(target, sources) for target in targets),
        stops=tuple(sources[circle * len(sources) // 3] for circle in range(3)),
        surface_is_given=True,
    )


def _bounds_of_mesh(scene: Scene) -> tuple[float, float]:
    """Depths that no point of the mesh leaves in any view."""
    vertices, _ = read_mesh(scene.mesh)
    centers = np.stack([view.center for view in scene.views])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    farthest = np.linalg.norm(np.maximum(np.abs(centers - low), np.abs(centers - high)), axis=1).max()
    return 1e-3 * float(farthest), 1.01 * float(farthest)


def own_scene(
    path: Path,
    folder: Path,
    *,
    layout: str | None = None,
    near_far: tuple[float, float] | None = None,
    num_held_out: int = 4,
    longest_side: int = 640,
) -> DemoScene:
    """Somebody's own photographs: a few views spread over the scene are held out and rendered from the nearest three.

    Args:
        path: The scene, in any layout that `open_scene` reads.
        folder: Takes smaller, undistorted copies of the photographs where they are larger than `longest_side`.
        layout: Its name; None recognises it.
        near_far: Depth bounds; None takes the layout's own, or estimates them from the photographs.
        num_held_out: How many views to render, fewer if that would leave less than three times as many sources.
        longest_side: In pixels.

    Raises:
        ValueError: Fewer than four photographs, or too little in common between them to estimate depth bounds.
    """
    scene = open_scene(path, layout, near_far=near_far or "estimate").with_pixel_origin("center")
    usable = [index for index, view in enumerate(scene.views) if view.image is not None]
    if len(usable) < NUM_SOURCES + 1:
        raise ValueError(
            f"{path} has {len(usable)} posed photographs; the demo needs {NUM_SOURCES} sources and one to compare with"
        )
    count = min(num_held_out, len(usable) // (NUM_SOURCES + 1))
    targets = [usable[int((number + 0.5) * len(usable) / count)] for number in range(count)]
    held_out = _with_sources(scene, targets, usable)
    needed = {index for item in held_out for index in (item.target, *item.sources)}
    views = tuple(
        _ready(view, folder, longest_side) if index in needed else view for index, view in enumerate(scene.views)
    )
    return DemoScene(scene.name, f"Photographs from {path}.", dataclasses.replace(scene, views=views), held_out)


def _with_sources(scene: Scene, targets: Sequence[int], candidates: Sequence[int]) -> tuple[HeldOut, ...]:
    remaining = [index for index in candidates if index not in targets]
    return tuple(HeldOut(target, nearest_views(scene, target, remaining, NUM_SOURCES)) for target in targets)


def _ready(view: View, folder: Path, longest_side: int) -> View:
    """The view without a lens and at most `longest_side` pixels wide and high."""
    width, height = view.image.size
    scale = min(1.0, longest_side / max(width, height))
    is_pinhole = view.distortion is None or view.distortion.is_zero
    if scale == 1 and is_pinhole:
        return view
    size = round(width * scale), round(height * scale)
    path = folder / f"{Path(view.name).name}.png"
    write_image(path, load_image(view, size))
    return dataclasses.replace(
        view,
        image=ImageFile(path, size),
        intrinsics=resized_intrinsics(view.intrinsics, size[0] / width, size[1] / height),
        distortion=None,
        depth=view.depth if is_pinhole else None,
        mask=None,
    )
