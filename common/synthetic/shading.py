"""Colour of surface points: textures with mip maps, two lamps, sky, microfacet highlights.

    L = albedo (sum_l E_l V_l n.l + A sky(n)) + sum_l pi E_l V_l F D G / (4 n.v) + F A (1 - roughness) sky(r)

with irradiances E_l, visibilities V_l and A interpolated from the vertices, r the mirrored view, the GGX distribution D
and Smith's G (Walter et al. 2007, "Microfacet models for refraction through rough surfaces") and Schlick's F (1994, "An
inexpensive BRDF model for physically-based rendering"). Everything is linear; `rendering.py` turns it into a picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from common.synthetic.lighting import Lighting
from common.synthetic.materials import Material
from common.synthetic.ray_casting import Hits
from common.synthetic.shading_kernel import shade_rays
from common.synthetic.textures.canvas import SIZE, to_bytes
from common.synthetic.world import World

LEVELS = 8


@dataclass(frozen=True)
class ShadingTables:
    """What the kernel looks up.

    Attributes:
        texels: Mip maps of all textures, sRGB bytes.
        level_starts: Of the mip levels within one texture.
        decode: Linear light of each byte.
        materials: Tile, roughness, specular, metallic and first texel of each material.
        lamps: Position, colour and radius.
        sky: Light from straight below and from straight above.
        visibility: Of the two lamps and the sky, per vertex.
    """

    texels: UInt8[np.ndarray, "texels 3"]
    level_starts: Int32[np.ndarray, " L"]
    decode: Float32[np.ndarray, " 256"]
    materials: Float[np.ndarray, "M 5"]
    lamps: Float32[np.ndarray, "2 7"]
    sky: Float32[np.ndarray, "2 3"]
    visibility: Float32[np.ndarray, "P 3"]


def build_tables(world: World, lighting: Lighting, visibility: Float32[np.ndarray, "P 3"]) -> ShadingTables:
    """Prepare what `shade` looks up."""
    sizes = [(SIZE >> level) ** 2 for level in range(LEVELS)]
    rows = [[m.tile, m.roughness, m.specular, m.metallic, n * sum(sizes)] for n, m in enumerate(world.materials)]
    return ShadingTables(
        texels=np.concatenate([_mip_maps(material) for material in world.materials]),
        level_starts=np.cumsum([0, *sizes[:-1]]).astype(np.int32),
        decode=to_linear(np.arange(256) / 255.0).astype(np.float32),
        materials=np.array(rows, np.float64),
        lamps=np.array([[*lamp.position, *lamp.color, lamp.radius] for lamp in lighting.lamps], np.float32),
        sky=np.array([lighting.ground, lighting.sky], np.float32),
        visibility=visibility,
    )


def to_linear(srgb: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Values of sRGB in [0, 1] as linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Linear light as sRGB, clipped to [0, 1]."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _mip_maps(material: Material) -> UInt8[np.ndarray, "texels 3"]:
    stored = to_bytes(material.texture)
    decode = to_linear(np.arange(256) / 255.0).astype(np.float32)
    level, levels = decode[stored], [stored]
    while len(levels) < LEVELS:
        level = cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        levels.append(to_bytes(to_srgb(level)))
    return np.concatenate([picture.reshape(-1, 3) for picture in levels])


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
        world: The surfaces.
        tables: From `build_tables`.
        hits: Of the rays.
        origin: World frame, common to all rays.
        directions: World frame, any length; `hits.t` counts in them.
        footprint: Width of a ray's share of the picture at t = 1, which picks the mip level.
    """
    color = np.zeros((len(directions), 3), np.float32)
    shade_rays(
        hits.faces, hits.t, hits.second, hits.third, origin, directions, footprint,
        world.faces, world.normals, world.texture_points, tables.visibility,
        world.face_part, world.part_material, world.part_triplanar, world.part_to_object,
        tables.texels, tables.level_starts, tables.decode, tables.materials, tables.lamps, tables.sky, color,
    )  # fmt: skip
    return color
