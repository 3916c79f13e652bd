"""The compiled part of `shading.py`: one loop over rays, scalars only.

Three numbers that belong together (a point, a direction, a colour) travel as a tuple.
"""

import inspect
from collections.abc import Callable

import numpy as np
from numba import njit

TEXTURE_SIZE = 512
HIGHEST_LEVEL = 6.99
MIN_FACING = 0.05
MAX_HIGHLIGHT = 3.0


def _compiled(function: Callable) -> Callable:
    """The function, compiled when it is first called and kept on disk."""
    # In tests the type checker has wrapped it, and numba compiles no wrappers.
    return njit(cache=True, error_model="numpy")(inspect.unwrap(function))


@_compiled
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_compiled
def _unit(a):
    scale = 1.0 / (np.sqrt(_dot(a, a)) + 1e-12)
    return a[0] * scale, a[1] * scale, a[2] * scale


@_compiled
def _corner_mix(values, i, j, k, b, c):
    """Values of three vertices, weighted by barycentric coordinates."""
    a = 1.0 - b - c
    return (
        a * values[i, 0] + b * values[j, 0] + c * values[k, 0],
        a * values[i, 1] + b * values[j, 1] + c * values[k, 1],
        a * values[i, 2] + b * values[j, 2] + c * values[k, 2],
    )


@_compiled
def _mirrored(x, size):
    """Texel coordinate of a position counted in repetitions, every other of which is mirrored."""
    x -= 2.0 * np.floor(x * 0.5)
    return (2.0 - x if x > 1.0 else x) * size - 0.5


@_compiled
def _decoded(texels, decode, index):
    return decode[texels[index, 0]], decode[texels[index, 1]], decode[texels[index, 2]]


@_compiled
def _mixed(a, b, part):
    """`a` where part is 0, `b` where it is 1."""
    return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), a[2] + part * (b[2] - a[2])


@_compiled
def _bilinear(texels, decode, start, size, x, y):
    """Linear colour of one mip level at (x, y), counted in repetitions."""
    x, y = _mirrored(x, size), _mirrored(y, size)
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - left, y - top
    x0, x1 = max(left, 0), min(left + 1, size - 1)
    row0, row1 = start + max(top, 0) * size, start + min(top + 1, size - 1) * size
    upper = _mixed(_decoded(texels, decode, row0 + x0), _decoded(texels, decode, row0 + x1), fx)
    lower = _mixed(_decoded(texels, decode, row1 + x0), _decoded(texels, decode, row1 + x1), fx)
    return _mixed(upper, lower, fy)


@_compiled
def _trilinear(texels, decode, starts, base, x, y, level):
    """Linear colour between two mip levels."""
    low = int(level)
    part = level - low
    near = _bilinear(texels, decode, base + starts[low], TEXTURE_SIZE >> low, x, y)
    if part <= 0.0:
        return near
    far = _bilinear(texels, decode, base + starts[low + 1], TEXTURE_SIZE >> (low + 1), x, y)
    return _mixed(near, far, part)


@_compiled
def _triplanar(texels, decode, starts, base, point, direction, level):
    """The texture projected along x, y and z, weighted by the fourth power of the normal's components."""
    wx, wy, wz = direction[0] ** 4, direction[1] ** 4, direction[2] ** 4
    total = wx + wy + wz
    red, green, blue = 0.0, 0.0, 0.0
    for axis in range(3):
        if axis == 0:
            weight, x, y = wx / total, point[1], point[2]
        elif axis == 1:
            weight, x, y = wy / total, point[2], point[0]
        else:
            weight, x, y = wz / total, point[0], point[1]
        if weight > 0.02:
            color = _trilinear(texels, decode, starts, base, x, 1.0 - y, level)
            red, green, blue = red + weight * color[0], green + weight * color[1], blue + weight * color[2]
    return red, green, blue


@_compiled
def _turned_back(rotation, a):
    return (
        rotation[0, 0] * a[0] + rotation[0, 1] * a[1] + rotation[0, 2] * a[2],
        rotation[1, 0] * a[0] + rotation[1, 1] * a[1] + rotation[1, 2] * a[2],
        rotation[2, 0] * a[0] + rotation[2, 1] * a[1] + rotation[2, 2] * a[2],
    )


@_compiled
def _fresnel(specular, cosine):
    """Schlick's approximation; what reflects less than 2 percent head-on is dull at grazing angles too."""
    return specular + (min(50.0 * specular, 1.0) - specular) * (1 - cosine) ** 5


@_compiled
def _highlight(n_dot_l, n_dot_v, n_dot_h, v_dot_h, alpha, specular):
    """F D G n.l / (4 n.l n.v), times pi because lamps are given as irradiance."""
    squared = alpha * alpha
    shape = n_dot_h * n_dot_h * (squared - 1.0) + 1.0
    view = n_dot_v + np.sqrt(squared + (1 - squared) * n_dot_v * n_dot_v)
    light = n_dot_l + np.sqrt(squared + (1 - squared) * n_dot_l * n_dot_l)
    fresnel = _fresnel(specular, v_dot_h)
    return fresnel * squared * n_dot_l / (shape * shape * view * light)


@_compiled
def _lamp(lamp, point, normal, view, n_dot_v, roughness, specular):
    """Diffuse and mirrored share of a lamp's light."""
    to_lamp = (lamp[0] - point[0], lamp[1] - point[1], lamp[2] - point[2])
    distance = np.sqrt(_dot(to_lamp, to_lamp))
    light = _unit(to_lamp)
    n_dot_l = _dot(normal, light)
    if n_dot_l <= 0.0:
        return 0.0, 0.0
    half = _unit((light[0] + view[0], light[1] + view[1], light[2] + view[2]))
    # A lamp of finite size blurs the highlight as if the surface were rougher.
    alpha = min(roughness * roughness + 0.4 * lamp[6] / distance, 1.0)
    n_dot_h, v_dot_h = min(_dot(normal, half), 1.0), min(_dot(view, half), 1.0)
    return n_dot_l, min(_highlight(n_dot_l, n_dot_v, n_dot_h, v_dot_h, alpha, specular), MAX_HIGHLIGHT)


@_compiled
def shade_rays(
    hit_faces, hit_t, hit_second, hit_third, origin, directions, footprint,
    faces, normals, texture_points, visibility, face_part, part_material, part_triplanar, part_to_object,
    texels, starts, decode, materials, lamps, sky, color,
):  # fmt: skip
    """Write the colour of every ray that hits something; the formula is in the docstring of `shading.py`."""
    for ray in range(len(hit_faces)):
        face = hit_faces[ray]
        if face < 0:
            continue
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        b, c = hit_second[ray], hit_third[ray]
        normal = _unit(_corner_mix(normals, i, j, k, b, c))
        texture = _corner_mix(texture_points, i, j, k, b, c)
        seen = _corner_mix(visibility, i, j, k, b, c)
        ahead = (directions[ray, 0], directions[ray, 1], directions[ray, 2])
        view = _unit((-ahead[0], -ahead[1], -ahead[2]))
        facing = _dot(normal, view)
        n_dot_v = max(facing, MIN_FACING)

        part = face_part[face]
        number = part_material[part]
        per_mm, roughness = 1.0 / materials[number, 0], materials[number, 1]
        specular, metallic, base = materials[number, 2], materials[number, 3], int(materials[number, 4])
        texture = (texture[0] * per_mm, texture[1] * per_mm, texture[2] * per_mm)
        width = hit_t[ray] * footprint * per_mm * TEXTURE_SIZE / np.sqrt(n_dot_v)
        level = min(max(np.log2(max(width, 1e-6)), 0.0), HIGHEST_LEVEL)
        if part_triplanar[part]:
            direction = _turned_back(part_to_object[part], normal)
            albedo = _triplanar(texels, decode, starts, base, texture, direction, level)
        else:
            albedo = _trilinear(texels, decode, starts, base, texture[0], 1.0 - texture[1], level)

        t = hit_t[ray]
        point = (origin[0] + t * ahead[0], origin[1] + t * ahead[1], origin[2] + t * ahead[2])
        up, reflected_up = 0.5 + 0.5 * normal[2], 0.5 + 0.5 * (2.0 * facing * normal[2] - view[2])
        mirror = _fresnel(specular, n_dot_v) * (1.0 - roughness)
        key = _lamp(lamps[0], point, normal, view, n_dot_v, roughness, specular)
        fill = _lamp(lamps[1], point, normal, view, n_dot_v, roughness, specular)
        for channel in range(3):
            low, high = sky[0, channel], sky[1, channel]
            first, second = lamps[0, 3 + channel] * seen[0], lamps[1, 3 + channel] * seen[1]
            diffuse = key[0] * first + fill[0] * second + seen[2] * (low + (high - low) * up)
            shine = key[1] * first + fill[1] * second + seen[2] * mirror * (low + (high - low) * reflected_up)
            tint = 1.0 + metallic * (albedo[channel] - 1.0)
            color[ray, channel] = albedo[channel] * (1.0 - metallic) * diffuse + tint * shine
