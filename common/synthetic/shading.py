"""Colour of surface points: textures with mip maps, two lamps, sky, microfacet highlights.

    L = albedo (sum_l E_l V_l max(n.l, 0) + A sky(n)) + sum_l E_l V_l max(n.l, 0) F D G / 4 n.l n.v + F A sky(r)

with visibilities V_l and A interpolated from the vertices, the GGX distribution D, Smith's G and Schlick's F (Walter et al., 2007,
"Microfacet models for refraction through rough surfaces"; Schlick, 1994). Everything is linear; `rendering.py` turns it into a picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numba import njit

from common.synthetic.lighting import Lighting
from common.synthetic.materials import Material
from common.synthetic.ray_casting import Hits
from common.synthetic.textures import SIZE, to_bytes
from common.synthetic.world import World

LEVELS = 8


@dataclass(frozen=True)
class ShadingTables:
    """Flat tables for the compiled kernel: mip maps in sRGB bytes, the decoding table, and a row of numbers per material and lamp."""

    texels: UInt8[np.ndarray, "texels 3"]
    level_starts: Int32[np.ndarray, " L"]
    decode: Float32[np.ndarray, " 256"]
    materials: Float32[np.ndarray, "M 5"]
    lamps: Float32[np.ndarray, "2 7"]
    sky: Float32[np.ndarray, "2 3"]
    visibility: Float32[np.ndarray, "P 3"]


def build_tables(world: World, lighting: Lighting, visibility: Float32[np.ndarray, "P 3"]) -> ShadingTables:
    """Prepare what `shade` looks up."""
    sizes = [(SIZE >> level) ** 2 for level in range(LEVELS)]
    texels = np.concatenate([_mip_maps(material) for material in world.materials])
    rows = [
        [m.tile, m.roughness, m.specular, m.metallic, number * sum(sizes)] for number, m in enumerate(world.materials)
    ]
    lamps = [[*lamp.position, *lamp.color, lamp.radius] for lamp in lighting.lamps]
    return ShadingTables(
        texels=texels,
        level_starts=np.cumsum([0, *sizes[:-1]]).astype(np.int32),
        decode=to_linear(np.arange(256) / 255.0).astype(np.float32),
        materials=np.array(rows, np.float32),
        lamps=np.array(lamps, np.float32),
        sky=np.array([lighting.ground, lighting.sky], np.float32),
        visibility=visibility,
    )


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """SRGB in [0, 1] to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB; values are clipped to [0, 1]."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _mip_maps(material: Material) -> UInt8[np.ndarray, "texels 3"]:
    linear = to_linear(to_bytes(material.texture) / 255.0).astype(np.float32)
    levels = [linear]
    while len(levels) < LEVELS:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return np.concatenate([to_bytes(to_srgb(level)).reshape(-1, 3) for level in levels])


def shade(
    world: World,
    tables: ShadingTables,
    hits: Hits,
    origin: Float32[np.ndarray, "3"],
    directions: Float32[np.ndarray, "R 3"],
    footprint: float,
) -> Float32[np.ndarray, "R 3"]:
    """Linear colour that comes back along each ray; zero where nothing is hit.

    Args:
        directions: World frame, any length; `hits.t` counts in them.
        footprint: Width of a ray's share of the picture at t = 1, which picks the mip level.
    """
    color = np.zeros((len(directions), 3), np.float32)
    _shade(
        hits.faces, hits.t, hits.second, hits.third, origin, directions, footprint,
        world.vertices, world.faces, world.normals, world.texture_points, world.face_part, world.part_material, world.part_triplanar,
        world.part_to_object, tables.texels, tables.level_starts, tables.decode, tables.materials, tables.lamps, tables.sky,
        tables.visibility, color,
    )  # fmt: skip
    return color


@njit(cache=True, error_model="numpy")
def _texel(texels, start, size, decode, x, y, out, weight):
    """Add `weight` times the bilinear texture value; (x, y) counts repetitions, which alternate mirrored."""
    x, y = x - 2.0 * np.floor(x * 0.5), y - 2.0 * np.floor(y * 0.5)
    x, y = (2.0 - x if x > 1.0 else x) * size - 0.5, (2.0 - y if y > 1.0 else y) * size - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - left, y - top
    x0, x1 = max(left, 0), min(left + 1, size - 1)
    y0, y1 = max(top, 0), min(top + 1, size - 1)
    for k in range(3):
        upper = decode[texels[start + y0 * size + x0, k]] * (1 - fx) + decode[texels[start + y0 * size + x1, k]] * fx
        lower = decode[texels[start + y1 * size + x0, k]] * (1 - fx) + decode[texels[start + y1 * size + x1, k]] * fx
        out[k] += weight * (upper * (1 - fy) + lower * fy)


@njit(cache=True, error_model="numpy")
def _sample(texels, starts, base, decode, x, y, level, out, weight):
    """Add the trilinear texture value between two mip levels."""
    low = int(level)
    part = level - low
    _texel(texels, base + starts[low], 512 >> low, decode, x, y, out, weight * (1 - part))
    if part > 0.0:
        _texel(texels, base + starts[low + 1], 512 >> (low + 1), decode, x, y, out, weight * part)


@njit(cache=True, error_model="numpy")
def _highlight(n_dot_l, n_dot_v, n_dot_h, v_dot_h, alpha, specular):
    """F D G / (4 n.l n.v), times n.l."""
    squared = alpha * alpha
    shape = n_dot_h * n_dot_h * (squared - 1.0) + 1.0
    distribution = squared / (np.pi * shape * shape)
    view = n_dot_v + np.sqrt(squared + (1 - squared) * n_dot_v * n_dot_v)
    light = n_dot_l + np.sqrt(squared + (1 - squared) * n_dot_l * n_dot_l)
    fresnel = specular + (1 - specular) * (1 - v_dot_h) ** 5
    return fresnel * distribution * n_dot_l / (view * light)


@njit(cache=True, error_model="numpy")
def _shade(
    hit_faces, hit_t, hit_u, hit_v, origin, directions, footprint,
    vertices, faces, normals, texture_points, face_part, part_material, part_triplanar, part_to_object,
    texels, starts, decode, materials, lamps, sky, visibility, color,
):  # fmt: skip
    albedo, normal, texture, seen, view, half = (
        np.empty(3),
        np.empty(3),
        np.empty(3),
        np.empty(3),
        np.empty(3),
        np.empty(3),
    )
    for ray in range(len(hit_faces)):
        face = hit_faces[ray]
        if face < 0:
            continue
        b, c = hit_u[ray], hit_v[ray]
        a = 1.0 - b - c
        i, j, k = faces[face]
        for axis in range(3):
            normal[axis] = a * normals[i, axis] + b * normals[j, axis] + c * normals[k, axis]
            texture[axis] = a * texture_points[i, axis] + b * texture_points[j, axis] + c * texture_points[k, axis]
            seen[axis] = a * visibility[i, axis] + b * visibility[j, axis] + c * visibility[k, axis]
            view[axis] = -directions[ray, axis]
        normal /= np.sqrt((normal * normal).sum()) + 1e-12
        view /= np.sqrt((view * view).sum())
        n_dot_v = max((normal * view).sum(), 0.05)
        part = face_part[face]
        material = materials[part_material[part]]
        base, per_mm = int(material[4]), 1.0 / material[0]
        width = hit_t[ray] * footprint * per_mm * 512.0 / np.sqrt(n_dot_v)
        level = min(max(np.log2(max(width, 1e-6)), 0.0), 6.99)
        albedo[:] = 0.0
        if part_triplanar[part]:
            weights = np.abs(part_to_object[part].astype(np.float64) @ normal) ** 4
            weights /= weights.sum()
            for axis in range(3):
                if weights[axis] > 0.02:
                    x, y = texture[(axis + 1) % 3], texture[(axis + 2) % 3]
                    _sample(texels, starts, base, decode, x * per_mm, 1.0 - y * per_mm, level, albedo, weights[axis])
        else:
            _sample(texels, starts, base, decode, texture[0] * per_mm, 1.0 - texture[1] * per_mm, level, albedo, 1.0)
        specular, metallic = material[2], material[3]
        up = 0.5 + 0.5 * normal[2]
        reflected = 0.5 + 0.5 * (2.0 * (normal * view).sum() * normal[2] - view[2])
        mirror = (specular + (1 - specular) * (1 - n_dot_v) ** 5) * (1.0 - material[1]) * seen[2]
        for channel in range(3):
            low, high = sky[0, channel], sky[1, channel]
            tint = 1.0 + metallic * (albedo[channel] - 1.0)
            color[ray, channel] = albedo[channel] * (1 - metallic) * seen[2] * (low + (high - low) * up)
            color[ray, channel] += mirror * tint * (low + (high - low) * reflected)
        for lamp in range(2):
            if seen[lamp] <= 0.0:
                continue
            length, n_dot_l = 0.0, 0.0
            for axis in range(3):
                point = origin[axis] + hit_t[ray] * directions[ray, axis]
                half[axis] = lamps[lamp, axis] - point
                length += half[axis] ** 2
            length = np.sqrt(length)
            half /= length
            n_dot_l = (normal * half).sum()
            if n_dot_l <= 0.0:
                continue
            half += view
            half /= np.sqrt((half * half).sum())
            alpha = min(material[1] ** 2 + 0.4 * lamps[lamp, 6] / length, 1.0)
            n_dot_h = min((normal * half).sum(), 1.0)
            shine = _highlight(n_dot_l, n_dot_v, n_dot_h, (view * half).sum(), alpha, specular) * np.pi
            for channel in range(3):
                tint = 1.0 + metallic * (albedo[channel] - 1.0)
                light = lamps[lamp, 3 + channel] * seen[lamp]
                color[ray, channel] += light * (albedo[channel] * (1 - metallic) * n_dot_l + min(shine, 3.0) * tint)
