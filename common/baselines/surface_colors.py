"""Colours stored on a triangle mesh, in places whose mix is what a pixel sees: the classical ways to paint a surface.

A pixel that sees the point (face f, weights u, v) shows

    c(f, u, v) = sum_k w_k(f, u, v) t_(i_k(f, u, v))        t: stored colours

with K = 3 corners of the triangle (`VertexColors`) or K = 4 texels around a point of the texture (`UvTexture`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

BYTES_PER_COLOR = 3  # sRGB, 8 bits a channel, as textures are stored


class SurfaceColors(ABC):
    """Where colours are stored on a mesh and how a point of the surface mixes them."""

    @property
    @abstractmethod
    def num_colors(self) -> int:
        """How many colours are stored."""

    @property
    @abstractmethod
    def neighbours(self) -> Int[np.ndarray, "E 2"]:
        """Pairs of stored colours that lie beside each other; what no photograph shows follows its neighbours."""

    @abstractmethod
    def mix(
        self, face: Int[np.ndarray, " R"], barycentric: Float[np.ndarray, "R 2"]
    ) -> tuple[Int[np.ndarray, "R K"], Float[np.ndarray, "R K"]]:
        """Numbers and weights (sum 1) of the colours that points of the surface show.

        Args:
            face: Triangles, none of them -1.
            barycentric: Weights of the first and second corner.
        """


SurfaceColorsMaker = Callable[[Float[np.ndarray, "P 3"], Int[np.ndarray, "T 3"], Bool[np.ndarray, " T"]], SurfaceColors]


class VertexColors(SurfaceColors):
    """One colour per vertex, mixed linearly over each triangle."""

    def __init__(self, vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"], seen: Bool[np.ndarray, " T"]):
        """Take the mesh; which triangles are seen makes no difference."""
        del seen
        self._count, self._faces = len(vertices), faces

    @property
    def num_colors(self) -> int:
        """Number of vertices."""
        return self._count

    @property
    def neighbours(self) -> Int[np.ndarray, "E 2"]:
        """The edges."""
        return np.concatenate([self._faces[:, [0, 1]], self._faces[:, [1, 2]], self._faces[:, [2, 0]]])

    def mix(
        self, face: Int[np.ndarray, " R"], barycentric: Float[np.ndarray, "R 2"]
    ) -> tuple[Int[np.ndarray, "R 3"], Float[np.ndarray, "R 3"]]:
        """The corners of the triangle."""
        return self._faces[face], _corner_weights(barycentric)


@dataclass(frozen=True)
class UvTexture(SurfaceColors):
    """A picture that charts of the surface are cut from, read with bilinear interpolation.

    Attributes:
        width, height: Texels.
        corners: Place of each triangle's corners, texels; the centre of the first texel is (0, 0).
    """

    width: int
    height: int
    corners: Float32[np.ndarray, "T 3 2"]

    @property
    def num_colors(self) -> int:
        """Number of texels, those between charts included."""
        return self.width * self.height

    @property
    def neighbours(self) -> Int[np.ndarray, "E 2"]:
        """Texels side by side and one below the other."""
        number = np.arange(self.num_colors, dtype=np.int32).reshape(self.height, self.width)
        across = np.stack([number[:, :-1], number[:, 1:]], axis=-1).reshape(-1, 2)
        down = np.stack([number[:-1], number[1:]], axis=-1).reshape(-1, 2)
        return np.concatenate([across, down])

    def mix(
        self, face: Int[np.ndarray, " R"], barycentric: Float[np.ndarray, "R 2"]
    ) -> tuple[Int32[np.ndarray, "R 4"], Float[np.ndarray, "R 4"]]:
        """The four texels around a point."""
        place = np.einsum("rk,rkc->rc", _corner_weights(barycentric), self.corners[face])
        place = np.clip(place, 0, [self.width - 1.001, self.height - 1.001])
        x, y = np.floor(place).astype(np.int32).T
        fx, fy = (place - np.stack([x, y], axis=1)).T
        first = y * self.width + x
        texels = np.stack([first, first + 1, first + self.width, first + self.width + 1], axis=1)
        weights = np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], axis=1)
        return texels, weights


def make_uv_texture(
    vertices: Float[np.ndarray, "P 3"],
    faces: Int[np.ndarray, "T 3"],
    seen: Bool[np.ndarray, " T"],
    num_bytes: int,
) -> UvTexture:
    """A texture of at most `num_bytes` for the triangles that are seen: charts and packing by xatlas.

    Every chart gets the same resolution; triangles that no photograph shows take no room.

    Raises:
        ValueError: The memory is less than an atlas of these charts needs.
        RuntimeError: xatlas is not installed.
    """
    shown = np.flatnonzero(seen) if seen.any() else np.arange(len(faces))
    side, texels = (num_bytes / BYTES_PER_COLOR) ** 0.5, num_bytes // BYTES_PER_COLOR
    for _ in range(12):
        width, height, places = _packed(vertices, faces[shown], max(int(side), 1))
        if width * height <= texels:
            corners = np.zeros((len(faces), 3, 2), np.float32)
            corners[shown] = places
            return UvTexture(width, height, corners)
        side *= min((texels / (width * height)) ** 0.5, 0.99)
    raise ValueError(
        f"a texture of {num_bytes} bytes is too small for the {len(shown)} triangles of this mesh; allow more memory"
    )


def _packed(
    vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"], side: int
) -> tuple[int, int, Float32[np.ndarray, "T 3 2"]]:
    """Width and height of an atlas of about `side` x `side` texels, and the corners' places in it."""
    try:
        import xatlas
    except ImportError:
        raise RuntimeError("a UV texture needs the package xatlas; install it with: pip install xatlas") from None
    atlas, options = xatlas.Atlas(), xatlas.PackOptions()
    atlas.add_mesh(vertices.astype(np.float32), faces.astype(np.uint32))
    options.resolution, options.padding, options.bilinear, options.create_image = side, 1, True, False
    atlas.generate(xatlas.ChartOptions(), options, False)
    _, corners, places = atlas[0]
    size = np.array([atlas.width, atlas.height], np.float32)
    return atlas.width, atlas.height, places[corners].astype(np.float32) * size - np.float32(0.5)


def _corner_weights(barycentric: Float[np.ndarray, "R 2"]) -> Float[np.ndarray, "R 3"]:
    return np.concatenate([barycentric, 1 - barycentric.sum(axis=1, keepdims=True)], axis=1)
