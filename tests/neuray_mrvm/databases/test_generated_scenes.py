"""Scenes of the generator in the true layouts: what was rendered is what NeuRay reads, depth caches included."""

import numpy as np
import pytest

from common.datasets.writers.layouts import LAYOUTS
from neuray_mrvm.database_names import database
from tests.scenes import make_scene

NAMES = {
    "dtu_neuray_test": "dtu_test/toy/black_64",
    "dtu_neuray_train": "dtu_train/toy",
    "neuray_gso": "gso/toy/black_raw",
    "neuray_nerf_synthetic": "nerf_synthetic/toy/black_800",
    "neuray_real_estate": "real_estate/toy/48_64",
    "neuray_spaces": "space/toy",
    "real_iconic": "real_iconic/toy/4",
}


@pytest.mark.parametrize("layout", NAMES)
def test_depth_and_cameras_of_every_layout_agree(layout, tmp_path):
    """A pixel's point, seen from the next view, has the depth that the next view's map says."""
    LAYOUTS[layout].write(tmp_path, make_scene(num_views=8, centered=True))
    found = database(NAMES[layout], tmp_path)
    first, second = found.ids_with_depth()[:2]
    assert found.image(first).shape == (48, 64, 3)
    depth, near_far = found.depth(first).astype(np.float64), found.depth_range(first)
    rows, columns = np.nonzero((depth > near_far[0]) & (depth < near_far[1]))
    assert len(rows) > 300
    pixels = np.stack([columns, rows, np.ones(len(rows))], axis=1) * depth[rows, columns, None]
    pose = found.pose(first)
    points = (pixels @ np.linalg.inv(found.K(first)).T - pose[:, 3]) @ pose[:, :3]
    seen = (points @ found.pose(second)[:, :3].T + found.pose(second)[:, 3]) @ found.K(second).T
    x, y = (seen[:, :2] / seen[:, 2:]).round().astype(int).T
    inside = (x >= 0) & (x < 64) & (y >= 0) & (y < 48)
    there = found.depth(second)[y[inside], x[inside]]
    assert np.median(np.abs(there - seen[inside, 2]) / seen[inside, 2]) < 0.02
