import json

import numpy as np
import pytest

from neuray_mrvm.database_names import database
from neuray_mrvm.free_poses import circle_poses, free_poses, interpolated_poses

NAMES = ["dtu_test/snowman/black_80", "real_iconic/plant0/4", "example/desk/raw"]


def arrays(found):
    poses = np.stack([found.pose(view_id) for view_id in found.ids])
    return poses, np.stack([found.depth_range(view_id) for view_id in found.ids])


@pytest.mark.parametrize("name", NAMES)
def test_both_paths_are_the_reference_s(name, neuray_tree, golden):
    stored = golden("neuray_mrvm/view_paths")
    found = database(name, neuray_tree, check=False)
    poses, ranges = arrays(found)
    mark = name.replace("/", "_")
    circle = circle_poses(poses, ranges)
    np.testing.assert_allclose(circle, stored[f"{mark}_circle"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(interpolated_poses(poses[:6], 14), stored[f"{mark}_inter"], rtol=0, atol=1e-4)
    if name.startswith("example"):
        found_ranges = np.stack([found.depth_range_of(pose) for pose in circle[:5]])
        np.testing.assert_allclose(found_ranges, stored["example_ranges"], rtol=0, atol=1e-4)


def test_a_file_of_poses_is_read_and_one_of_another_scene_is_refused(neuray_tree, tmp_path):
    found = database("example/desk/raw", neuray_tree, check=False)
    pose = np.concatenate([found.pose("1"), [[0, 0, 0, 1]]]).astype(np.float64)
    path = tmp_path / "path.json"
    path.write_text(json.dumps({"world_to_cam": [pose.tolist()]}), encoding="utf8")
    np.testing.assert_allclose(free_poses("file", found, found.ids, path)[0], found.pose("1"), atol=1e-6)
    pose[0, 3] = 1e4
    path.write_text(json.dumps({"world_to_cam": [pose.tolist()]}), encoding="utf8")
    with pytest.raises(ValueError, match="probably belongs to another scene"):
        free_poses("file", found, found.ids, path)
    with pytest.raises(ValueError, match="needs the file of poses"):
        free_poses("file", found, found.ids)
    with pytest.raises(ValueError, match="there are eval, circle"):
        free_poses("spiral", found, found.ids)
