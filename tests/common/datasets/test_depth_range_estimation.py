import dataclasses

import numpy as np
import pytest

from common.datasets.colmap import read_colmap
from common.datasets.depth_range_estimation import triangulate_features, with_estimated_bounds
from common.datasets.mvsnet_folder import read_mvsnet_folder
from common.datasets.open_scene import open_scene
from common.datasets.writers.transforms import write_transforms
from common.synthetic import generate


@pytest.fixture(scope="module")
def truth():
    return generate(5, "forward", (320, 240), 4, "toy")


@pytest.fixture(scope="module")
def capture(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    write_transforms(folder, truth)
    return folder / "toy"


def without_bounds(scene):
    return dataclasses.replace(scene, views=tuple(dataclasses.replace(view, near_far=None) for view in scene.views))


def test_triangulated_points_lie_where_the_depth_maps_say(capture, truth):
    points = triangulate_features(open_scene(capture))
    assert len(points) > 50
    view = truth.views[0]
    points_cam = points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
    column, row = np.rint((points_cam @ view.intrinsics.T)[:, :2] / points_cam[:, 2:]).astype(int).T
    seen = (column >= 0) & (column < 320) & (row >= 0) & (row < 240)
    ratio = points_cam[seen, 2] / view.depth[row[seen], column[seen]]
    assert np.median(np.abs(ratio - 1)) < 0.01


def test_estimated_bounds_hold_the_true_depth(capture, truth):
    scene = open_scene(capture, near_far="estimate")
    assert scene.notes[-1].startswith("depth bounds are estimated from ")
    for view, expected in zip(scene.views, truth.views, strict=True):
        near, far = view.near_far
        depth = expected.depth[expected.depth > 0]
        assert ((depth > near) & (depth < far)).mean() > 0.95
        assert near > 0.5 * depth.min() and far < 2 * depth.max()


def test_bounds_that_are_there_stay(capture):
    scene = open_scene(capture)
    views = (dataclasses.replace(scene.views[0], near_far=(150.0, 900.0)), *scene.views[1:])
    found = with_estimated_bounds(dataclasses.replace(scene, views=views))
    assert found.views[0].near_far == (150.0, 900.0) and found.views[1].near_far is not None


def test_pictures_without_features_in_common_are_refused(capture, tmp_path, make_rendered_scene):
    plain = make_rendered_scene(num_views=2)
    blank = tuple(dataclasses.replace(view, image=np.full_like(view.image, 128)) for view in plain.views)
    write_transforms(tmp_path, dataclasses.replace(plain, views=blank))
    with pytest.raises(ValueError, match=r"too few features in common to estimate depth bounds; give near_far="):
        open_scene(tmp_path / "toy", near_far="estimate")


@pytest.mark.parametrize(
    "read", [lambda root: read_colmap(root / "kermit"), lambda root: read_mvsnet_folder(root / "mvsnet_castle")]
)
def test_real_scenes_get_the_bounds_of_their_reconstruction(real_data, read):
    scene = read(real_data)
    estimated = with_estimated_bounds(without_bounds(scene))
    (near, far), expected = (
        np.median([view.near_far for view in views], axis=0) for views in (estimated.views, scene.views)
    )
    assert near == pytest.approx(expected[0], rel=0.3) and far == pytest.approx(expected[1], rel=0.3)
