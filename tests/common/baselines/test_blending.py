import numpy as np

from common.baselines.blending import BlendingSettings, blend, depth_to_points, splatted_depth
from common.baselines.source_views import PosedImage, TargetView

INTRINSICS = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
TARGET = TargetView(INTRINSICS, np.eye(4), 24, 32, (1.0, 10.0))


def shifted(image, x):
    """A source `x` to the right of the target."""
    world_to_cam = np.eye(4)
    world_to_cam[0, 3] = -x
    return PosedImage(image, INTRINSICS, world_to_cam)


def test_points_lie_behind_their_pixels():
    points = depth_to_points(TARGET, np.full((24, 32), 3.0))
    np.testing.assert_allclose(points[11, 15], [-0.05, -0.05, 3.0])
    np.testing.assert_allclose(depth_to_points(TARGET, np.full((4, 32), 3.0), first_row=11)[0], points[11])


def test_a_source_sees_the_nearer_of_two_surfaces():
    depth = np.full((24, 32), 6.0)
    depth[:, 16:20] = 2.0  # a post; seen from 0.4 further right it moves 6 pixels, the wall 2
    seen = splatted_depth(TARGET, depth, shifted(np.zeros((24, 32, 3), np.float32), 0.4))
    np.testing.assert_allclose(seen[12, 10:14], 2.0)
    np.testing.assert_allclose(seen[12, 20:28], 6.0)
    assert (seen[12, 31:] > 1e6).all()  # nothing of the target's surface is seen there


def test_the_target_seen_through_itself_is_itself():
    image = np.random.default_rng(0).random((24, 32, 3), np.float32)
    source = shifted(image, 0.0)
    depth = np.full((24, 32), 4.0)
    found = blend(TARGET, depth, [source], [splatted_depth(TARGET, depth, source)], BlendingSettings())
    np.testing.assert_allclose(found, image, atol=1e-5)


def test_a_hidden_source_does_not_count():
    depth = np.full((24, 32), 6.0)
    depth[:, 16:20] = 2.0
    truth = np.zeros((24, 32, 3), np.float32)
    truth[:, 16:20] = [1.0, 0.0, 0.0]
    wrong = np.full((24, 32, 3), 0.5, np.float32)
    wrong[:, 10:14] = [1.0, 0.0, 0.0]
    sources = [shifted(truth, 0.0), shifted(wrong, 0.4)]
    seen = [splatted_depth(TARGET, depth, source) for source in sources]
    found = blend(TARGET, depth, sources, seen, BlendingSettings(agreement=1e6))
    # Wall pixels 12 to 15 project to 10 to 13 in the second source, where the post hides them.
    assert found[12, 12:16].max() < 0.03
    assert 0.1 < found[12, 24].max() < 0.4  # both see the wall here, the second one at an angle


def test_rows_are_rendered_as_in_the_whole_picture():
    image = np.random.default_rng(1).random((24, 32, 3), np.float32)
    sources = [shifted(image, 0.1), shifted(image[::-1].copy(), -0.2)]
    depth = np.random.default_rng(2).uniform(3, 5, (24, 32))
    seen = [splatted_depth(TARGET, depth, source) for source in sources]
    whole = blend(TARGET, depth, sources, seen, BlendingSettings())
    rows = blend(TARGET, depth[8:13], sources, seen, BlendingSettings(), first_row=8)
    np.testing.assert_allclose(rows, whole[8:13], atol=1e-6)
