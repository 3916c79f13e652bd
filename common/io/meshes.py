"""Triangle meshes in files: read in any format that trimesh reads, written as PLY or GLB."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file
from common.renderer import SurfaceMesh
from common.visualization import to_uint8

WRITTEN = (".ply", ".glb")


def read_mesh(
    path: str | Path, join_vertices: bool = True
) -> tuple[Float64[np.ndarray, "P 3"], Int32[np.ndarray, "T 3"]]:
    """Vertices and faces.

    Args:
        path: The file.
        join_vertices: Make vertices at the same place one; otherwise they stay as the file has them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no mesh or has no faces.
    """
    import trimesh

    path = Path(path)
    check_data_file(path)
    try:
        mesh = trimesh.load_mesh(path, process=join_vertices)
    except Exception as error:  # trimesh's readers raise anything on broken files
        raise ValueError(f"cannot read the mesh {path}: {type(error).__name__}: {error}") from None
    faces = np.asarray(getattr(mesh, "faces", ()))
    if not len(faces):
        raise ValueError(f"the mesh {path} has no faces; export a triangle mesh, not a point cloud")
    return np.asarray(mesh.vertices, np.float64), faces.astype(np.int32)


def write_mesh(path: str | Path, mesh: SurfaceMesh) -> None:
    """Write a mesh as binary PLY or as GLB, whichever the suffix says; vertices at the same place become one.

    Coordinates are written as they are. (glTF viewers take y as up; most worlds of ours have y down or z up.)

    Raises:
        ValueError: Another suffix, or a mesh without faces.
    """
    import trimesh

    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise ValueError(f"cannot write the mesh {path}: expected a name that ends in {' or '.join(WRITTEN)}")
    if not len(mesh.faces):
        raise ValueError(f"there is no surface to write to {path}: the mesh has no faces")
    colors = None if mesh.colors is None else to_uint8(mesh.colors.cpu().numpy())
    surface = trimesh.Trimesh(mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy(), vertex_colors=colors)
    with atomic_path(path) as temporary:
        surface.export(temporary, file_type=path.suffix.lower()[1:])
