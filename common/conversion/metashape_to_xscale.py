"""Metashape's cameras and original photographs as a folder of XScale-NVS.

The adjusted calibration is taken, component and chunk transforms lead to the frame of exported models, lenses are
undone, and cameras that are not aligned are reported by name. Mesh and cameras must share one frame: Metashape exports
models either in the world of the chunk or in its local coordinates, and nothing in the files says which.
"""

import logging
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from common.conversion.xscale_scene import write_xscale_scene
from common.datasets.metashape import read_metashape
from common.datasets.scene import Scene
from common.io.data_files import check_data_file

NUM_VERTICES = 20000
FAR_FROM_ORIGIN = 1e3  # in sizes of the capture: there, float32 loses a noticeable part of a pixel

logger = logging.getLogger(__name__)


def convert_metashape(
    path: str | Path,
    output: str | Path | None = None,
    downscale: int = 1,
    *,
    key: str = "",
    images: str | None = None,
    chunk: str | None = None,
    local: bool = False,
    mesh: str | Path | None = None,
) -> tuple[str, ...]:
    """Write `images_<d>` and `cams_<d>`; returns the names of the views.

    Args:
        path: The xml, or the folder that has it beside the photographs as they were given to Metashape.
        output: Folder of the scene; None is the folder of the xml.
        downscale: d.
        key: In front of every name.
        images: Folder of the photographs beside the xml; None looks for `images` and `photos`.
        chunk: Label of the chunk; None takes the one with most aligned cameras.
        local: The mesh was exported in local coordinates: leave the chunk's transform out.
        mesh: Checked to lie before the cameras, if given.

    Raises:
        FileNotFoundError: No xml, none of the photographs, or no mesh.
        ValueError: A file is damaged, labels and photographs do not match one to one, a photograph has another size
            than its sensor, or the mesh lies elsewhere.
    """
    path = Path(path)
    scene = read_metashape(path, images=images, chunk=chunk, local=local)
    if mesh is not None:
        other = read_metashape(path, chunk=chunk, local=not local, photos=False)
        _check_mesh(Path(mesh), scene, other, local)
    centers = np.stack([view.center for view in scene.views])
    size = np.linalg.norm(np.ptp(centers, axis=0))
    if not local and len(centers) > 1 and np.abs(centers).max() > FAR_FROM_ORIGIN * size:
        logger.warning(
            "%s: the cameras lie %.0f from the origin but only %.0f apart, which XScale-NVS rounds off; export the mesh"
            " in local coordinates and use --local",
            *(path, np.abs(centers).max(), size),
        )
    folder = path if path.is_dir() else path.parent
    return write_xscale_scene(folder if output is None else output, scene, downscale, key=key)


def share_in_view(points: Float[np.ndarray, "P 3"], scene: Scene) -> float:
    """Which part of the points some view's picture frame contains; lenses are ignored."""
    scene = scene.with_pixel_origin("corner")
    seen = np.zeros(len(points), bool)
    for view in scene.views:
        points_cam = points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
        pixels = points_cam @ view.intrinsics.T
        size = view.image.size if view.image is not None else 2 * view.intrinsics[:2, 2]
        inside = (pixels[:, :2] >= 0) & (pixels[:, :2] <= pixels[:, 2:] * np.asarray(size))
        seen |= (points_cam[:, 2] > 0) & inside.all(axis=1)
    return float(seen.mean())


def _check_mesh(path: Path, scene: Scene, other: Scene, local: bool) -> None:
    """Refuse a mesh that the cameras do not look at."""
    check_data_file(path)
    try:
        vertices = np.asarray(trimesh.load(path, process=False, force="mesh").vertices, dtype=np.float64)
    except Exception as error:  # trimesh raises whatever its many readers raise
        raise ValueError(
            f"cannot read the mesh {path}: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        ) from None
    if not len(vertices):
        raise ValueError(f"the mesh {path} has no vertices")
    vertices = vertices[:: max(len(vertices) // NUM_VERTICES, 1)]
    share, other_share = share_in_view(vertices, scene), share_in_view(vertices, other)
    if share < 0.5:
        advice = "without --local" if local else "with --local"
        remedy = (
            f"{100 * other_share:.0f} % do {advice}"
            if other_share > share
            else "export mesh and cameras from the same chunk in the same coordinates"
        )
        raise ValueError(f"only {100 * share:.0f} % of the vertices of {path} project into a photograph; {remedy}")
