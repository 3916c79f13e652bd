"""Triangle meshes in files, in any format that trimesh reads."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32

from common.io.data_files import check_data_file


def read_mesh(path: str | Path) -> tuple[Float64[np.ndarray, "P 3"], Int32[np.ndarray, "T 3"]]:
    """Vertices and faces; vertices at the same place are one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no mesh or has no faces.
    """
    import trimesh

    path = Path(path)
    check_data_file(path)
    try:
        mesh = trimesh.load_mesh(path)
    except Exception as error:  # trimesh's readers raise anything on broken files
        raise ValueError(f"cannot read the mesh {path}: {type(error).__name__}: {error}") from None
    faces = np.asarray(getattr(mesh, "faces", ()))
    if not len(faces):
        raise ValueError(f"the mesh {path} has no faces; export a triangle mesh, not a point cloud")
    return np.asarray(mesh.vertices, np.float64), faces.astype(np.int32)
