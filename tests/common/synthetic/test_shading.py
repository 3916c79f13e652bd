import numpy as np
import pytest

from common.synthetic.lighting import Lamp, Lighting, bake_visibility
from common.synthetic.materials import Material
from common.synthetic.ray_casting import RayCaster
from common.synthetic.shading import build_tables, shade, to_linear, to_srgb
from common.synthetic.shapes import box, rectangle
from common.synthetic.surfaces import block_surface, rotation_x
from common.synthetic.world import build_world

DARK = np.zeros(3)
OFF = Lamp(np.array([0.0, 0.0, 1000.0]), 1.0, DARK, 1)


def textured(picture=0.5, roughness=1.0, specular=0.0, metallic=0.0, tile=100.0):
    texture = np.broadcast_to(np.asarray(picture, float), (512, 512, 3)) if np.ndim(picture) < 3 else picture
    return Material(np.ascontiguousarray(texture), tile, roughness, specular, metallic)


def ground(spacing=20.0):
    return rectangle([-200, -200, 0], [400, 0, 0], [0, 400, 0], spacing)


def colors_seen(surfaces, material, lighting, origin, targets, footprint=1e-6):
    """Linear colours of rays from `origin` to `targets`."""
    world = build_world(surfaces, [], [material])
    caster = RayCaster(world.vertices, world.faces)
    tables = build_tables(world, lighting, bake_visibility(world, caster, lighting))
    origin = np.asarray(origin, np.float32)
    directions = (np.asarray(targets, np.float32) - origin).astype(np.float32)
    hits = caster.first_hits(np.tile(origin, (len(directions), 1)), directions)
    return shade(world, tables, hits, origin, directions, footprint)


def lamp_at(position, color=1.0, radius=1.0):
    return Lamp(np.asarray(position, float), radius, np.full(3, color), 8)


def test_a_dull_surface_under_a_lamp_follows_lamberts_law():
    lighting = Lighting((lamp_at([600.0, 0.0, 800.0], 2.0), OFF), DARK, DARK)
    seen = colors_seen([ground()], textured(0.5), lighting, [0, -300, 300], [[0, 0, 0]])
    albedo = to_linear(np.array([128 / 255]))[0]  # a texture of 0.5 is stored as the byte 128
    np.testing.assert_allclose(seen, albedo * 2.0 * 0.8, rtol=1e-3)


def test_light_from_the_sky_depends_on_where_a_surface_faces():
    lighting = Lighting((OFF, OFF), np.array([1.0, 0.8, 0.6]), np.array([0.2, 0.2, 0.2]))
    albedo = to_linear(np.array([128 / 255]))[0]
    up = colors_seen([ground()], textured(0.5), lighting, [0, 0, 300], [[1, 1, 0]])
    np.testing.assert_allclose(up[0], albedo * np.array([1.0, 0.8, 0.6]), rtol=2e-3)
    wall = rectangle([-50, 0, 0], [100, 0, 0], [0, 0, 100])
    side = colors_seen([wall], textured(0.5), lighting, [0, -300, 50], [[1, 0, 50]])
    np.testing.assert_allclose(side[0], albedo * np.array([0.6, 0.5, 0.4]), rtol=2e-3)


def test_a_box_throws_a_shadow_away_from_the_lamp():
    lighting = Lighting((lamp_at([900.0, 0.0, 900.0]), OFF), DARK, DARK)
    seen = colors_seen(
        [ground(5.0), box((40.0, 40.0, 40.0))], textured(0.5), lighting, [0, 0, 500], [[-40, 0, 0], [60, 0, 0]]
    )
    assert seen[0].max() < 0.02 * seen[1].max()


def test_only_a_shiny_surface_looks_different_from_another_side():
    lighting = Lighting((lamp_at([0.0, 700.0, 700.0]), OFF), DARK, DARK)

    def from_both_sides(material):
        facing = colors_seen([ground()], material, lighting, [0, -300, 300], [[0, 0, 0]])
        return facing, colors_seen([ground()], material, lighting, [300, 0, 300], [[0, 0, 0]])

    dull = from_both_sides(textured(0.5))
    np.testing.assert_allclose(dull[0], dull[1], rtol=1e-5)
    shiny = from_both_sides(textured(0.5, roughness=0.3, specular=0.05))
    assert (shiny[0] > 1.2 * shiny[1]).all()


def test_metal_tints_its_highlight_and_scatters_nothing():
    lighting = Lighting((lamp_at([0.0, 700.0, 700.0]), OFF), DARK, DARK)
    gold = textured([1.0, 0.5, 0.0], roughness=0.3, specular=0.5, metallic=1.0)
    red, green, blue = colors_seen([ground()], gold, lighting, [0, -300, 300], [[0, 0, 0]])[0]
    assert red > green > blue
    assert blue == pytest.approx(0, abs=1e-6)


def test_a_texture_lies_where_its_millimetres_say_and_repeats_mirrored():
    picture = np.zeros((512, 512, 3))
    picture[384:, :128] = [1.0, 0.0, 0.0]  # lower left quarter of the quarter
    lighting = Lighting((OFF, OFF), np.ones(3), np.ones(3))
    sheet = rectangle([0, 0, 0], [300, 0, 0], [0, 300, 0])
    targets = [[12, 12, 0], [40, 12, 0], [12, 40, 0], [188, 12, 0], [12, 188, 0], [112, 12, 0]]
    seen = colors_seen([sheet], textured(picture, tile=100.0), lighting, [150, 150, 800], targets)
    np.testing.assert_allclose(seen[:, 0] > 0.5, [True, False, False, True, True, False])
    np.testing.assert_allclose(seen[:, 1:], 0, atol=1e-6)


def test_a_wide_ray_sees_the_mean_of_a_fine_pattern():
    y, x = np.mgrid[:512, :512]
    picture = np.repeat(((x // 2 + y // 2) % 2)[..., None], 3, axis=2).astype(float)
    lighting = Lighting((OFF, OFF), np.ones(3), np.ones(3))
    origin, targets = [0, 0, 800], [[x, 3, 0] for x in range(-60, 60, 7)]
    sharp = colors_seen([ground()], textured(picture), lighting, origin, targets, footprint=1e-6)
    wide = colors_seen([ground()], textured(picture), lighting, origin, targets, footprint=8.0)
    assert sharp.std() > 0.2
    np.testing.assert_allclose(wide, 0.5, atol=0.02)


def test_a_triplanar_texture_turns_with_its_object():
    picture = np.zeros((512, 512, 3))
    picture[:, :256] = 1.0
    lighting = Lighting((OFF, OFF), np.ones(3), np.ones(3))
    sheet = rectangle([-80, -80, 0], [160, 0, 0], [0, 160, 0])
    flat = block_surface(sheet.vertices, sheet.faces)
    tilted = flat.moved(rotation_x(0.6), np.array([0.0, 0.0, 10.0]))
    points = np.array([[x, y, 0.0] for x in (-60, -20, 20, 60) for y in (-50, 10, 40)])
    moved = points @ rotation_x(0.6).T + [0, 0, 10]
    material = textured(picture, tile=50.0)
    straight = colors_seen([flat], material, lighting, [0, 0, 900], points)
    turned = colors_seen([tilted], material, lighting, [0, 0, 900], moved)
    np.testing.assert_allclose(straight, turned, atol=1e-2)
    assert straight.std() > 0.2


def test_srgb_and_linear_light_are_inverse():
    values = np.linspace(0, 1, 50)
    np.testing.assert_allclose(to_linear(to_srgb(values)), values, atol=1e-9)
    assert to_srgb(np.array([0.2140411]))[0] == pytest.approx(0.5, abs=1e-5)
