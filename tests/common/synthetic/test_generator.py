import numpy as np
import pytest

from common.synthetic import RIGS, generate


def test_the_same_seed_gives_the_same_scene_to_the_bit(table_scene):
    again = generate(3, "dtu", (80, 64), num_views=6)
    np.testing.assert_array_equal(again.mesh.vertices, table_scene.mesh.vertices)
    np.testing.assert_array_equal(again.mesh.faces, table_scene.mesh.faces)
    for first, second in zip(again.views, table_scene.views, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.depth, second.depth)
        np.testing.assert_array_equal(first.mask, second.mask)
        np.testing.assert_array_equal(first.world_to_cam, second.world_to_cam)


def test_other_seeds_give_other_scenes(table_scene):
    other = generate(4, "dtu", (80, 64), num_views=1)
    assert other.mesh.vertices.shape != table_scene.mesh.vertices.shape
    difference = np.abs(other.views[0].image.astype(float) - table_scene.views[0].image)
    assert difference.mean() > 10


def test_number_and_size_of_the_pictures_do_not_change_what_they_show(table_scene):
    larger = generate(3, "dtu", (160, 128), num_views=2)
    np.testing.assert_array_equal(larger.mesh.vertices, table_scene.mesh.vertices)
    # Even pixels of the larger picture have the centres of the smaller one's pixels, by DTU's rule for intrinsics.
    np.testing.assert_allclose(larger.views[1].depth[::2, ::2], table_scene.views[1].depth, rtol=1e-6)
    blocks = larger.views[0].image.astype(float).reshape(64, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(blocks - table_scene.views[0].image).mean() < 8


def test_a_pixel_found_in_another_view_has_that_views_depth_unless_it_is_hidden(table_scene):
    checked = 0
    for source, target in [(0, 1), (1, 2), (4, 5), (5, 4)]:
        projected, shown = reprojected(table_scene.views[source], table_scene.views[target])
        visible = projected < shown * 1.003
        # In front of what the target shows lies nothing, up to depth steps between neighbouring pixels.
        assert (projected > shown * 0.99).mean() > 0.97
        relative = np.abs(projected[visible] / shown[visible] - 1)
        # The nearest pixel of the target is up to half a pixel, 1 mm, beside the point, on surfaces of any slant.
        assert np.median(relative) < 3e-3
        assert visible.mean() > 0.5
        checked += visible.sum()
    assert checked > 8000


def reprojected(source, target):
    """Depth in the target of every source pixel that lands inside it, and the depth that the target shows there."""
    rows, columns = np.nonzero(source.depth > 0)
    pixels = np.stack([columns, rows, np.ones(len(rows))]) * source.depth[rows, columns]
    points = np.linalg.inv(source.world_to_cam) @ np.concatenate(
        [np.linalg.inv(source.intrinsics) @ pixels, np.ones((1, len(rows)))]
    )
    homogeneous = target.intrinsics @ (target.world_to_cam @ points)[:3]
    column, row = np.round(homogeneous[:2] / homogeneous[2]).astype(int)
    height, width = target.depth.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return homogeneous[2, inside], target.depth[row[inside], column[inside]]


@pytest.mark.parametrize("rig", [rig for rig in RIGS if rig not in ("dtu_full", "town")])
def test_every_rig_has_proper_cameras_objects_in_view_and_depth_within_its_bounds(rig):
    scene = generate(5, rig, (48, 36), num_views=5)
    near, far = scene.near_far
    assert 0 < near < far
    for view in scene.views:
        rotation = view.world_to_cam[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert view.intrinsics[0, 0] > 0
        assert view.intrinsics[1, 1] > 0
        seen = view.depth[view.depth > 0]
        assert ((seen >= near) & (seen <= far)).mean() > 0.99
        assert 0.02 < view.mask.mean() < 0.95
        assert (view.depth[view.mask] > 0).all()
        assert view.image.std() > 15


def test_objects_before_white_leave_the_background_white_and_without_depth():
    scene = generate(6, "hemisphere", (48, 48), num_views=3)
    for view in scene.views:
        corner = view.depth[:6, :6]
        assert (corner == 0).all()
        assert (view.image[:6, :6] == 255).all()


def test_the_full_size_lens_shows_the_training_picture_in_its_middle():
    training = generate(3, "dtu", (160, 128), num_views=2).views[1]
    full = generate(3, "dtu_full", (400, 300), num_views=2).views[1]
    np.testing.assert_allclose(full.depth[::2, ::2][11:139, 20:180], training.depth, rtol=1e-5)
    middle = full.image[22:278, 40:360].astype(float)
    # A pixel of the training picture covers about the full-size pixels around its centre.
    assert np.abs(middle[::2, ::2] - training.image).mean() < 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rig": "dome"}, "unknown rig 'dome'; choose one of dtu"),
        ({"size": (4, 64)}, "at least 8 x 8 pixels, not 4 x 64"),
        ({"seed": -1}, "a seed is an integer from 0, not -1"),
        ({"num_views": 50}, "the dtu rig has 1 to 49 views, not 50"),
        ({"rig": "orbit", "num_views": 0}, "at least one view, not 0"),
    ],
)
def test_impossible_wishes_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        generate(**({"seed": 1} | arguments))
