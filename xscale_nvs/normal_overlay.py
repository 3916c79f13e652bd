"""The debug picture of ray caching (XScale-NVS, Sec. 3.5): thirty percent normals over the photograph.

0.3 * 255 * (0.5 n + 0.5) + 0.7 * 255 * photograph / 256       x, y, z of n in blue, green, red
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from xscale_nvs.scene_mesh import SceneMesh


def lay_normals(
    strip: UInt8[np.ndarray, "P 3"],
    pixels: Int32[np.ndarray, " R"],
    face: Int32[np.ndarray, " R"],
    barycentric: Float32[np.ndarray, "R 2"],
    mesh: SceneMesh,
) -> UInt8[np.ndarray, "P 3"]:
    """The picture of some pixels of a photograph.

    Args:
        strip: The photograph.
        pixels: Those that see something.
        face: What they see; -1 for nothing.
        barycentric: Where on it.
        mesh: On the CPU.
    """
    photograph = (np.arange(256) * (0.7 * 255 / 256) + 0.3 * 255 * 0.5).astype(np.float32)
    blend = photograph.astype(np.uint8)[strip] if len(pixels) < len(strip) else np.empty_like(strip)
    parts = strip, pixels, face, barycentric, mesh.faces.numpy(), mesh.normals.numpy(), photograph
    _compiled()(0, len(pixels), *parts, blend)
    return blend


@functools.cache
def _compiled() -> Callable[..., None]:
    from common.ops._compile import kernel  # late, so that importing this loads no numba

    return kernel(_lay_normals)


def _lay_normals(start, stop, strip, pixels, face, barycentric, faces, normals, photograph, blend):
    strength = np.float32(0.3 * 255 * 0.5)
    for index in range(start, stop):
        pixel, triangle = pixels[index], face[index]
        x = y = z = np.float32(0.0)
        if triangle >= 0:
            u, v = barycentric[index, 0], barycentric[index, 1]
            w = np.float32(1.0) - u - v
            first, second, third = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
            x = u * normals[first, 0] + v * normals[second, 0] + w * normals[third, 0]
            y = u * normals[first, 1] + v * normals[second, 1] + w * normals[third, 1]
            z = u * normals[first, 2] + v * normals[second, 2] + w * normals[third, 2]
            scale = strength / max(math.sqrt(x * x + y * y + z * z), np.float32(1e-8))
            x, y, z = x * scale, y * scale, z * scale
        blend[pixel, 0] = np.uint8(photograph[strip[pixel, 0]] + z)
        blend[pixel, 1] = np.uint8(photograph[strip[pixel, 1]] + y)
        blend[pixel, 2] = np.uint8(photograph[strip[pixel, 2]] + x)
