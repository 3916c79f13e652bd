"""What the classical surface baselines share: a mesh, coloured by the photographs it was made from, as a `Renderer`."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.baselines.painted_mesh import PaintedMesh, vertex_colors
from common.bounding_cubes import Cube, subject_cube
from common.cameras import Camera
from common.datasets.scene import Scene
from common.renderer import Renderer, Rendering, SurfaceMesh


class Reconstruction(Renderer):
    """Reconstructs the surface, paints it with one colour per vertex, and renders that."""

    _painted: PaintedMesh | None = None

    @abstractmethod
    def reconstruct(self, scene: Scene, source_ids: Sequence[int]) -> SurfaceMesh:
        """The surface in the scene's world, without colours.

        Raises:
            ValueError: The views do not suffice; the sentence says why.
        """

    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Reconstruct and paint.

        Raises:
            ValueError: As `reconstruct`.
        """
        painted = vertex_colors(self.reconstruct(scene, source_ids))
        painted.prepare(scene, source_ids)
        self._painted = painted

    def render(self, camera: Camera) -> Rendering:
        """The painted surface as `camera` sees it.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if self._painted is None:
            raise RuntimeError(f"{type(self).__name__} renders nothing before prepare() was given the source views")
        return self._painted.render(camera)

    def mesh(self) -> SurfaceMesh | None:
        """The surface with colours, or None before `prepare`."""
        return None if self._painted is None else self._painted.mesh()


def source_cameras(scene: Scene, source_ids: Sequence[int]) -> list[Camera]:
    """The cameras of photographs, in double precision; the centre of the top-left pixel is (0, 0).

    Raises:
        ValueError: An unknown view, one without picture, or one without depth bounds.
    """
    centered = scene.with_pixel_origin("center")
    cameras = []
    for index in source_ids:
        view = centered.views[index] if 0 <= index < len(centered.views) else None
        if view is None or view.image is None or view.near_far is None:
            lack = (
                "does not exist" if view is None else "has no picture" if view.image is None else "has no depth bounds"
            )
            raise ValueError(
                f"source view {index} of scene {scene.name} {lack}; choose other sources, or open the scene with"
                " near_far='estimate' where only bounds are missing"
            )
        width, height = view.image.size
        matrices = torch.from_numpy(view.intrinsics).double(), torch.from_numpy(view.world_to_cam).double()
        cameras.append(Camera(*matrices, height, width, view.near_far))
    return cameras


def box_of(cube: Cube | None, scene: Scene, cameras: Sequence[Camera]) -> Float[Tensor, "2 3"]:
    """Lower and upper corner of a cube, by default of what the cameras see together."""
    cube = cube or subject_cube(cameras, scene.points)
    return torch.from_numpy(np.stack([cube.center - cube.radius, cube.center + cube.radius]))
