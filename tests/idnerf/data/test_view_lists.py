import numpy as np
import pytest

from idnerf.data.items import nearest_first
from idnerf.data.view_lists import colmap_pairs, every_eighth, view_lists


def test_the_lists_are_those_of_the_paper():
    lists = view_lists()
    assert [len(lists["dtu_scans"][name]) for name in ("train", "val", "test")] == [88, 16, 31]
    assert not set(lists["dtu_scans"]["train"]) & set(lists["dtu_scans"]["val"])
    assert set(lists["dtu_neighbours"]) == {str(view) for view in range(49)}
    assert all(len(set(views) - {int(view)}) == 10 for view, views in lists["dtu_neighbours"].items())
    assert lists["dtu_neighbours"]["24"] == [25, 32, 23, 14, 33, 15, 31, 13, 26, 34]
    scenes = ("dtu", "fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex")
    assert set(lists["pairs"]) == {f"{scene}_{part}" for scene in scenes for part in ("train", "val")}
    for scene in scenes:
        sources, targets = lists["pairs"][f"{scene}_train"], lists["pairs"][f"{scene}_val"]
        assert (len(sources), len(targets)) == (16, 4) and not set(sources) & set(targets)
    assert lists["pairs"]["fern_val"] == [12, 13, 5, 19] and lists["pairs"]["trex_train"][0] == 52


def test_every_eighth_view_is_a_target():
    assert every_eighth(range(10, 21)) == ([11, 12, 13, 14, 15, 16, 17, 19, 20], [10, 18])


@pytest.mark.parametrize(
    ("distances", "sources", "targets"),
    [
        ([0.3, 0.1, 0.2], [2, 1, 0], [0]),
        ([0.3, 0.1], [1, 0], [0]),
        ([0.3, 0.1, 0.2, 0.4], [2, 0, 3], [1]),
        ([0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [5, 4, 3, 2, 1], [6, 0]),
    ],
)
def test_central_views_of_a_scene_without_lists_are_targets(distances, sources, targets):
    assert colmap_pairs(distances) == (sources, targets)


def test_distance_is_the_sum_of_the_differences_and_ties_keep_their_order():
    centers = {0: [0, 0, 0], 1: [2, 2, 0], 2: [3, 0, 0], 3: [0, -3, 0], 4: [1, 1, 1]}
    assert nearest_first({view: np.array(c, float) for view, c in centers.items()}, 0, [1, 3, 2, 4]) == (
        3, 2, 4, 1,
    )  # fmt: skip
