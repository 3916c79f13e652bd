import dataclasses
from pathlib import Path

import numpy as np
import pytest

from common.datasets.scene import ImageFile, Scene, View
from common.datasets.view_selection import nearest_views, paired_views, random_views

# Cameras at these places, all looking along +z.
CENTERS = [(0, 0, 0), (1, 0, 0), (0.7, 0.7, 0), (0, -3, 0), (0.1, 0, 0)]


@pytest.fixture
def scene():
    views = []
    for index, center in enumerate(CENTERS):
        pose = np.eye(4)
        pose[:3, 3] = -np.array(center)
        views.append(View(str(index), ImageFile(Path("a.png"), (4, 4)), np.eye(3), pose))
    return Scene("s", tuple(views), pairs={0: (3, 1, 2), 1: (), 2: (0, 4), 3: (0,), 4: (0,)})


def without_picture(scene, index):
    views = list(scene.views)
    views[index] = dataclasses.replace(views[index], image=None)
    return dataclasses.replace(scene, views=tuple(views))


def test_the_nearest_cameras_come_first_without_the_target(scene):
    assert nearest_views(scene, 0) == (4, 2, 1, 3)
    assert nearest_views(scene, 0, count=2) == (4, 2)
    assert nearest_views(scene, 0, [3, 1, 0]) == (1, 3)


def test_manhattan_distance_orders_otherwise(scene):
    assert nearest_views(scene, 0, distance="manhattan") == (4, 1, 2, 3)


def test_a_turned_camera_is_as_near_as_before(scene):
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    views = tuple(dataclasses.replace(view, world_to_cam=turned @ view.world_to_cam) for view in scene.views)
    assert nearest_views(dataclasses.replace(scene, views=views), 0) == (4, 2, 1, 3)


def test_ties_keep_the_order_of_the_candidates(scene):
    views = (scene.views[0], *(scene.views[1],) * 3)
    assert nearest_views(dataclasses.replace(scene, views=views), 0, [3, 1, 2]) == (3, 1, 2)


def test_views_without_picture_are_no_sources(scene):
    assert nearest_views(without_picture(scene, 4), 0) == (2, 1, 3)
    assert paired_views(without_picture(scene, 1), 0) == (3, 2)
    assert nearest_views(scene, 0, []) == ()


def test_pairs_come_in_the_order_of_the_file(scene):
    assert paired_views(scene, 0) == (3, 1, 2)
    assert paired_views(scene, 0, 2) == (3, 1)
    assert paired_views(scene, 1) == ()


def test_without_a_pair_file_the_nearest_cameras_stand_in(scene):
    bare = dataclasses.replace(scene, pairs={})
    assert paired_views(bare, 0, 3) == (4, 2, 1)
    many = dataclasses.replace(bare, views=scene.views * 4)
    assert len(paired_views(many, 0)) == 10


def test_a_random_subset_depends_on_its_generator_alone():
    chosen = random_views([3, 5, 7, 9], 3, np.random.default_rng(1))
    assert chosen == random_views([3, 5, 7, 9], 3, np.random.default_rng(1))
    assert len(set(chosen)) == 3 and set(chosen) <= {3, 5, 7, 9}
    seen = {random_views([3, 5, 7, 9], 1, np.random.default_rng(seed))[0] for seed in range(40)}
    assert seen == {3, 5, 7, 9}
    with pytest.raises(ValueError, match="cannot choose 5 different views from 4"):
        random_views([3, 5, 7, 9], 5, np.random.default_rng(1))
