"""A mesh painted with colours that do not depend on the view: what photogrammetry programs export.

The colours are those that explain all pixels of the source photographs best (`color_fitting.py`). A pixel counts by the
cosine between its ray and the surface: what is seen at a grazing angle is smeared over many places.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from common.baselines.color_fitting import Observations, fit_colors
from common.baselines.source_views import PosedImage, load_sources
from common.baselines.surface_colors import BYTES_PER_COLOR, SurfaceColorsMaker, VertexColors, make_uv_texture
from common.cameras import Camera
from common.datasets.scene import Scene
from common.io.meshes import read_mesh
from common.ops.rasterize import MeshRasterizer, Visibility
from common.renderer import Renderer, Rendering, SurfaceMesh

NEAREST, FARTHEST = 1e-4, 1e4  # what sources see, in units of the mesh's diagonal
LEAST_TRUST = 0.02


class PaintedMesh(Renderer):
    """A mesh with stored colours; white where a camera does not see it."""

    def __init__(self, colors_of: SurfaceColorsMaker, mesh: SurfaceMesh | str | Path | None = None):
        """Choose how colours are stored.

        Args:
            colors_of: From vertices, faces and which faces are seen to the storage.
            mesh: The surface, or a file with it; None takes the scene's own.
        """
        self._colors_of, self._given = colors_of, mesh
        self._rasterizer: MeshRasterizer | None = None

    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Fit the colours to the source photographs.

        Raises:
            ValueError: No or an unknown source, a scene without mesh, or photographs that do not see it.
            FileNotFoundError: There is no such mesh file.
        """
        given = self._given or scene.mesh
        if given is None:
            raise ValueError(f"scene {scene.name} has no mesh to paint; give its file as mesh=...")
        sources = load_sources(scene, source_ids)
        if isinstance(given, SurfaceMesh):
            self._vertices, self._faces = given.vertices.double().numpy(), given.faces.int().numpy()
        else:
            self._vertices, self._faces = read_mesh(given)
        self._reach = float(np.linalg.norm(np.ptp(self._vertices, axis=0)))
        self._rasterizer = MeshRasterizer(torch.from_numpy(self._vertices), torch.from_numpy(self._faces))
        seen = np.zeros(len(self._faces), bool)
        for source in sources:
            seen[np.unique(self._seen_by(source)[1])] = True
        self._storage = self._colors_of(self._vertices, self._faces, seen)
        photographs = (self._observations(source) for source in sources)
        colors = fit_colors(self._storage.num_colors, photographs, self._storage.neighbours)
        self._stored = np.round(colors * 255.0).astype(np.uint8)

    def stored_bytes(self) -> int | None:
        """Memory of the stored colours, 8 bits a channel, and of nothing else: places on a texture are not counted."""
        return None if self._rasterizer is None else self._storage.num_colors * BYTES_PER_COLOR

    def render(self, camera: Camera) -> Rendering:
        """The painted mesh as `camera` sees it.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if self._rasterizer is None:
            raise RuntimeError("PaintedMesh renders nothing before prepare() was given the source views")
        rgb = torch.ones(camera.height, camera.width, 3)
        depth = torch.zeros(camera.height, camera.width)
        rows_at_once = max((1 << 18) // camera.width, 1)
        for first in range(0, camera.height, rows_at_once):
            rows = slice(first, min(first + rows_at_once, camera.height))
            matrices = camera.intrinsics.cpu().double(), camera.world_to_cam.cpu().double()
            found = self._rasterizer.visibility(*matrices, camera.height, camera.width, *camera.near_far, rows)
            depth[rows] = found.depth
            rgb[rows] = self._colors(found)
        return Rendering(rgb, depth, (depth > 0).float())

    def mesh(self) -> SurfaceMesh | None:
        """The mesh, with colours where every vertex has one; None before `prepare`."""
        if self._rasterizer is None:
            return None
        has_colors = isinstance(self._storage, VertexColors)
        colors = torch.from_numpy(self._stored.astype(np.float32) / 255.0) if has_colors else None
        return SurfaceMesh(torch.from_numpy(self._vertices).float(), torch.from_numpy(self._faces), colors)

    def _colors(self, found: Visibility) -> Float[torch.Tensor, "H W 3"]:
        covered = found.face >= 0
        numbers, weights = self._storage.mix(found.face[covered].numpy(), found.barycentric[covered].numpy())
        mixed = np.einsum("rk,rkc->rc", weights, self._stored[numbers].astype(np.float32) / 255.0)
        rgb = torch.ones(*found.face.shape, 3)
        rgb[covered] = torch.from_numpy(mixed).float()
        return rgb

    def _seen_by(self, source: PosedImage) -> tuple[Visibility, Int[np.ndarray, " R"]]:
        """What a photograph sees, and the triangles of its covered pixels."""
        height, width = source.image.shape[:2]
        matrices = torch.from_numpy(source.intrinsics), torch.from_numpy(source.world_to_cam)
        bounds = NEAREST * self._reach, FARTHEST * self._reach
        found = self._rasterizer.visibility(*matrices, height, width, *bounds)
        return found, found.face[found.face >= 0].numpy()

    def _observations(self, source: PosedImage) -> Observations:
        found, face = self._seen_by(source)
        covered = (found.face >= 0).numpy()
        barycentric = found.barycentric.numpy()[covered]
        corners = self._vertices[self._faces[face]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        u, v = barycentric.T.astype(np.float64)
        point = u[:, None] * corners[:, 0] + v[:, None] * corners[:, 1] + (1 - u - v)[:, None] * corners[:, 2]
        ray = point - source.center
        length = np.linalg.norm(normal, axis=1) * np.linalg.norm(ray, axis=1)
        cosine = np.abs((normal * ray).sum(axis=1)) / np.maximum(length, 1e-300)
        numbers, weights = self._storage.mix(face, barycentric)
        return Observations(numbers, weights, np.maximum(cosine, LEAST_TRUST), source.image[covered])


def vertex_colors(mesh: SurfaceMesh | str | Path | None = None) -> PaintedMesh:
    """A mesh with one colour per vertex."""
    return PaintedMesh(VertexColors, mesh)


def uv_texture(num_bytes: int, mesh: str | Path | None = None) -> PaintedMesh:
    """A mesh with a texture of at most `num_bytes`, 3 bytes a texel."""
    return PaintedMesh(partial(make_uv_texture, num_bytes=num_bytes), mesh)
