"""Point clouds as PLY files."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, UInt8

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file


def write_ply(
    path: str | Path,
    points: Float[np.ndarray, "P 3"],
    colors: UInt8[np.ndarray, "P 3"],
    normals: Float[np.ndarray, "P 3"] | None = None,
) -> None:
    """Store points as little-endian x y z nx ny nz (float32) and red green blue (uint8); absent normals become 0."""
    names = ["x", "y", "z", "nx", "ny", "nz"]
    layout = [(name, "<f4") for name in names] + [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.zeros(len(points), dtype=layout)
    for axis in range(3):
        vertices[names[axis]] = points[:, axis]
        vertices[names[3 + axis]] = 0 if normals is None else normals[:, axis]
        vertices[("red", "green", "blue")[axis]] = colors[:, axis]
    kinds = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property {kinds[kind]} {name}" for name, kind in layout]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(vertices.tobytes())


def read_points(path: str | Path) -> Float64[np.ndarray, "P 3"]:
    """Positions in a point cloud or mesh file of any format that trimesh reads, in the file's order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none, holds no points, or points that are not finite.
    """
    import trimesh

    path = Path(path)
    check_data_file(path)
    try:
        points = np.asarray(trimesh.load(path, process=False).vertices, np.float64)
    except Exception as error:  # trimesh's readers raise anything on broken files
        raise ValueError(f"cannot read the points {path}: {type(error).__name__}: {error}") from None
    if not len(points) or not np.isfinite(points).all():
        raise ValueError(f"{path} holds no points, or points that are not finite; fetch or write it again")
    return points
