"""The one seam: what a method is to the rest of the house.

Metrics, videos, trajectories, benchmarks, the demo and every later tool speak to `Renderer` only. Each method package
exposes

    load(weights=None, config=..., overrides=()) -> torch.nn.Module     the network with the released state-dict names
    renderer(weights=None, config=..., overrides=(), device="cpu") -> Renderer

A renderer is used in two steps: `prepare` once per set of source views (all work that does not depend on the rendered
camera happens here), then `render` for any number of cameras.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from common.cameras import Camera
from common.datasets.scene import Scene


@dataclass(frozen=True)
class Rendering:
    """One rendered picture.

    Attributes:
        rgb: In [0, 1].
        depth: z along the optical axis in scene units; 0 where unknown.
        opacity: In [0, 1]; 1 where the method has no notion of empty space.
    """

    rgb: Float[Tensor, "H W 3"]
    depth: Float[Tensor, "H W"]
    opacity: Float[Tensor, "H W"]


@dataclass(frozen=True)
class SurfaceMesh:
    """A triangle mesh in the scene's world frame; `colors` in [0, 1] or None."""

    vertices: Float[Tensor, "P 3"]
    faces: Int[Tensor, "T 3"]
    colors: Float[Tensor, "P 3"] | None = None


class Renderer(ABC):
    """A method, ready to render one scene from chosen source views."""

    @abstractmethod
    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read the source views and do all work that no rendered camera can change.

        Args:
            scene: The scene.
            source_ids: Indices into `scene.views`.

        Raises:
            ValueError: Too few sources for the method, or views it cannot use; the sentence says which.
        """

    @abstractmethod
    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera`, at any size, in memory that does not grow with the size.

        Raises:
            RuntimeError: `prepare` was not called.
        """

    def stored_bytes(self) -> int | None:
        """Memory of what `prepare` fitted to the scene and rendering needs, beside the scene's own mesh.

        None where nothing is fitted, or before `prepare`.
        """
        return None

    def mesh(self) -> SurfaceMesh | None:
        """The scene's surface, or None where the method has no surface."""
        return None
