"""Meshes on the page that turn together under the pointer; where a browser has no WebGL 2 their pictures stay.

The drawing is in `viewer.js`, which says how a mesh is packed. Packing keeps 16 bits of a coordinate and 8 of a colour.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from jaxtyping import Float

from common.bounding_cubes import Cube
from common.cameras import Camera
from common.demo.blocks import Block, picture_uri
from common.meshes.cleaning import keep_faces
from common.meshes.preview import PLAIN, render_mesh
from common.renderer import SurfaceMesh

MOST_VERTICES = 16_000  # below 2^16: corners are stored in 16 bits
FINEST_GRID = 256  # cells a side from which thinning starts
BALL = 1.8  # radii of the cube that the ball of all packed meshes measures; a cube's corners are at 1.73
WIDER = 0.9  # the first view shows a little more than the camera does
HINT = (
    "Drag to turn all of them; zoom with two fingers, or with the wheel after a click; a double click turns back. Arrow"
    " keys, plus, minus and Home do the same."
)


@dataclass(frozen=True)
class ShownMesh:
    """A mesh with what stands below it, see `common.demo.blocks.Picture`."""

    mesh: SurfaceMesh
    alt: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class MeshViewer(Block):
    """Meshes side by side, first seen as a camera sees them.

    Attributes:
        meshes: World frame; what lies outside the cube is left out.
        cube: What is shown, and turned about its middle.
        camera: Where to look from first, towards the cube's middle.
        up: World direction that stays upright.
    """

    meshes: Sequence[ShownMesh]
    cube: Cube
    camera: Camera
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def html(self) -> str:
        """The piece as HTML."""
        turn, pitch, distance = turntable(self.camera, self.cube, self.up)
        focal = WIDER * 2 * float(self.camera.intrinsics[1, 1]) / self.camera.height
        figures = "".join(self._figure(shown, turn) for shown in self.meshes)
        return (
            f'<div class="meshes" data-pitch="{pitch:.4f}" data-distance="{distance / BALL:.4f}" '
            f'data-focal="{focal:.4f}"><div class="choice" role="group" aria-label="What is drawn">'
            '<button type="button" value="painted" aria-pressed="true">Colours</button>'
            '<button type="button" value="plain" aria-pressed="false">Shape alone</button></div>'
            f'<div class="pictures" style="--columns:{len(self.meshes)}">{figures}</div>'
            f'<p class="quiet">{escape(HINT)}</p></div>'
        )

    def _figure(self, shown: ShownMesh, turn: Float[np.ndarray, "3 3"]) -> str:
        mesh = thinned(within(shown.mesh, self.cube))
        height, width = self.camera.height, self.camera.width
        detail = f" <span>{escape(shown.detail)}</span>" if shown.detail else ""
        return (
            f'<figure><div class="stage"><img src="{picture_uri(render_mesh(mesh, self.camera))}" width="{width}" '
            f'height="{height}" alt="{escape(shown.alt)}"><canvas tabindex="0" role="img" '
            f'aria-label="{escape(shown.alt)}" data-counts="{len(mesh.vertices)} {len(mesh.faces)}" '
            f'data-mesh="{packed(mesh, self.cube, turn)}"></canvas></div>'
            f"<figcaption>{escape(shown.label)}{detail}</figcaption></figure>"
        )


def turntable(
    camera: Camera, cube: Cube, up: tuple[float, float, float]
) -> tuple[Float[np.ndarray, "3 3"], float, float]:
    """The frame in which meshes are turned: y is up, and the camera stands above +z.

    Returns:
        World to frame; the camera's angle above the ground in radians; its distance from the cube's middle in radii.

    Raises:
        ValueError: The camera looks straight down.
    """
    world_to_cam = camera.world_to_cam.detach().cpu().double().numpy()
    towards = -world_to_cam[:3, :3].T @ world_to_cam[:3, 3] - cube.center
    distance = float(np.linalg.norm(towards))
    y = np.asarray(up, np.float64) / np.linalg.norm(up)
    level = towards - (towards @ y) * y
    if not np.linalg.norm(level) > 1e-6 * distance:
        raise ValueError(f"the camera looks at the cube along up = {up}; give another direction that stays upright")
    z = level / np.linalg.norm(level)
    return np.stack([np.cross(y, z), y, z]), float(np.arcsin(towards @ y / distance)), distance / cube.radius


def within(mesh: SurfaceMesh, cube: Cube) -> SurfaceMesh:
    """The faces whose middle lies in the cube.

    Raises:
        ValueError: There are none.
    """
    vertices, faces = mesh.vertices.cpu().double().numpy(), mesh.faces.cpu().numpy()
    inside = (np.abs(vertices[faces].mean(1) - cube.center) < cube.radius).all(1)
    if not inside.any():
        raise ValueError(f"none of the {len(faces)} faces of the mesh lies in the cube around {cube.center.tolist()}")
    if mesh.colors is not None:
        vertices = np.concatenate([vertices, mesh.colors.cpu().double().numpy()], axis=1)
    values, faces = keep_faces(vertices, faces, inside)
    colors = None if mesh.colors is None else torch.from_numpy(values[:, 3:]).float()
    return SurfaceMesh(torch.from_numpy(values[:, :3]).float(), torch.from_numpy(faces), colors)


def thinned(mesh: SurfaceMesh, most_vertices: int = MOST_VERTICES) -> SurfaceMesh:
    """The mesh with at most so many vertices: those in a cell of a grid become their mean, colours too.

    Vertices stay equally dense everywhere: collapsing edges of flat parts would save more, but take their colours away.
    """
    values = mesh.vertices.double().numpy()
    if mesh.colors is not None:
        values = np.concatenate([values, mesh.colors.double().numpy()], axis=1)
    faces, cells = mesh.faces.numpy(), FINEST_GRID
    while len(values) > most_vertices:
        points = mesh.vertices.double().numpy()
        size = np.ptp(points, axis=0).max() / cells
        place = np.floor((points - points.min(0)) / size).astype(np.int64)
        _, number, counts = np.unique(place @ [1 << 40, 1 << 20, 1], return_inverse=True, return_counts=True)
        if len(counts) <= most_vertices:
            sums = [np.bincount(number, weights=column) for column in values.T]
            values, faces = np.stack(sums, axis=1) / counts[:, None], number[faces]
            faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
        cells *= 0.9
    colors = None if mesh.colors is None else torch.from_numpy(values[:, 3:]).float()
    return SurfaceMesh(torch.from_numpy(values[:, :3]).float(), torch.from_numpy(faces), colors)


def packed(mesh: SurfaceMesh, cube: Cube, turn: Float[np.ndarray, "3 3"]) -> str:
    """The mesh as `viewer.js` reads it.

    Args:
        mesh: World frame, in the cube, thinned; without colours it is grey.
        cube: Its middle becomes the origin.
        turn: World to frame.
    """
    points = (mesh.vertices.double().numpy() - cube.center) @ turn.T / (BALL * cube.radius)
    colors = np.tile(PLAIN, (len(points), 1)) if mesh.colors is None else mesh.colors.numpy()
    parts = (
        mesh.faces.numpy().astype("<u2"),
        np.rint(32767 * points.clip(-1, 1)).astype("<i2"),
        np.rint(255 * colors.clip(0, 1)).astype("u1"),
    )
    return base64.b64encode(b"".join(part.tobytes() for part in parts)).decode("ascii")
