"""Point clouds as binary PLY files."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from common.io.atomic import atomic_path


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
