"""CPU kernels around Embree: the rays of pixels, and exact answers from the triangles they hit.

`camera` holds 16 numbers, see `embree._Camera`. Everything is computed in float64, relative to the camera's centre.
"""

import math

import torch
from torch import Tensor

from common.ops._compile import device_function, kernel, launch

EMPTY = -1
TOO_NEAR = -2  # in `face`: the surface lies before the near plane, what is behind it is still to be found


@device_function
def _direction(camera, pixel):
    width = int(camera[15])
    y, x = pixel // width, pixel % width
    return (
        camera[0] * x + camera[1] * y + camera[2],
        camera[3] * x + camera[4] * y + camera[5],
        camera[6] * x + camera[7] * y + camera[8],
    )


@device_function
def _corner(camera, vertices, index):
    return (
        float(vertices[index, 0]) - camera[9],
        float(vertices[index, 1]) - camera[10],
        float(vertices[index, 2]) - camera[11],
    )


@kernel
def _fill_directions(start, stop, pixels, camera, directions):
    for index in range(start, stop):
        x, y, z = _direction(camera, pixels[index])
        directions[index, 0], directions[index, 1], directions[index, 2] = x, y, z


@device_function
def _weights(ax, ay, az, bx, by, bz, cx, cy, cz, dx, dy, dz):
    """Weights of the second and third corner where a line through the origin meets a triangle's plane.

    T. Möller and B. Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection", 1997, Sec. 2.
    """
    e1x, e1y, e1z = bx - ax, by - ay, bz - az
    e2x, e2y, e2z = cx - ax, cy - ay, cz - az
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    qx, qy, qz = az * e1y - ay * e1z, ax * e1z - az * e1x, ay * e1x - ax * e1y
    determinant = e1x * px + e1y * py + e1z * pz
    if determinant == 0.0:
        return math.nan, math.nan
    return -(ax * px + ay * py + az * pz) / determinant, (dx * qx + dy * qy + dz * qz) / determinant


@kernel
def _refine_hits(start, stop, pixels, hit, second, third, camera, near, far, vertices, faces, face, barycentric, depth):
    slack = 1e-3  # beyond an edge, of the triangle: float32 cannot have been that wrong unless it is seen edge-on
    for index in range(start, stop):
        face[index], depth[index] = EMPTY, 0.0
        barycentric[index, 0], barycentric[index, 1] = 0.0, 0.0
        triangle = hit[index]
        if triangle < 0:
            continue
        dx, dy, dz = _direction(camera, pixels[index])
        ax, ay, az = _corner(camera, vertices, faces[triangle, 0])
        bx, by, bz = _corner(camera, vertices, faces[triangle, 1])
        cx, cy, cz = _corner(camera, vertices, faces[triangle, 2])
        v, w = _weights(ax, ay, az, bx, by, bz, cx, cy, cz, dx, dy, dz)
        if not (v >= -slack and w >= -slack and v + w <= 1.0 + slack):
            v, w = float(second[index]), float(third[index])
        u = min(max(1.0 - v - w, 0.0), 1.0)
        v = min(max(v, 0.0), 1.0 - u)
        w = 1.0 - u - v
        x, y, z = u * ax + v * bx + w * cx, u * ay + v * by + w * cy, u * az + v * bz + w * cz
        distance = camera[12] * x + camera[13] * y + camera[14] * z
        depth[index] = distance
        if distance < near:
            face[index] = TOO_NEAR
        elif distance > far:
            depth[index] = 0.0
        else:
            face[index] = triangle
            barycentric[index, 0], barycentric[index, 1] = u, v


def fill_directions(start, stop, pixels, camera, directions) -> None:
    """World directions of unit depth through some pixels (numbered row by row)."""
    _fill_directions(start, stop, pixels, camera, directions)


def refine_hits(start, stop, pixels, hits, camera, near, far, vertices, faces, face, barycentric, depth) -> None:
    """Face, weights and depth of pixels from what Embree found.

    Surface beyond `far` counts as nothing; surface before `near` is marked `TOO_NEAR`, with its depth.
    """
    _refine_hits(
        start, stop, pixels, hits.faces, hits.second, hits.third, camera, near, far, vertices, faces, face, barycentric,
        depth,
    )  # fmt: skip


@kernel
def _interpolate_places(start, stop, face, barycentric, faces, attributes, values):
    C = attributes.shape[1]
    one = attributes.dtype.type(1.0)
    for index in range(start, stop):
        triangle = face[index]
        if triangle < 0:
            for c in range(C):
                values[index, c] = 0.0
            continue
        u, v = attributes.dtype.type(barycentric[index, 0]), attributes.dtype.type(barycentric[index, 1])
        w = one - u - v
        first, second, third = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
        for c in range(C):
            values[index, c] = u * attributes[first, c] + v * attributes[second, c] + w * attributes[third, c]


def interpolate_places(face: Tensor, barycentric: Tensor, faces: Tensor, attributes: Tensor) -> Tensor:
    """See `visibility.interpolate_at`."""
    values = torch.empty(*face.shape, attributes.shape[1], dtype=attributes.dtype)
    flat = face.reshape(-1).contiguous(), barycentric.reshape(-1, 2).contiguous()
    launch(
        _interpolate_places,
        face.numel(),
        *flat,
        faces.contiguous(),
        attributes.contiguous(),
        values.view(-1, values.shape[-1]),
    )
    return values
