import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.datasets.spaces import read_spaces
from common.datasets.writers.spaces import write_spaces
from common.io.depth_maps import write_colmap_array
from common.io.images import write_image


@pytest.fixture
def case(make_rendered_scene, tmp_path):
    write_spaces(tmp_path, make_rendered_scene("scene_000", num_views=18, size=(32, 24)))
    return tmp_path / "scene_000"


def edit(case, change):
    """Apply `change` to the entry of the second camera of the first rig."""
    content = json.loads((case / "models.json").read_text())
    change(content[0][1])
    (case / "models.json").write_text(json.dumps(content))


def test_what_is_written_comes_back_rig_by_rig(case, make_rendered_scene):
    truth = make_rendered_scene("scene_000", num_views=18, size=(32, 24))
    scene = read_spaces(case)
    assert [view.name for view in scene.views] == [*(f"0-{camera}" for camera in range(16)), "1-0", "1-1"]
    for view, expected in zip(scene.with_pixel_origin("center").views, truth.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=1e-12)
        assert view.near_far == (0.7, 100.0)


def test_the_rotation_vector_turns_the_world_into_the_camera(case):
    vector = [0.3, -0.2, 0.5]
    edit(case, lambda entry: entry.update(orientation=vector, position=[1.0, 2.0, 3.0]))
    view = read_spaces(case).views[1]
    cam_to_world = view.world_to_cam[:3, :3].T
    np.testing.assert_allclose(cam_to_world, Rotation.from_rotvec(-np.array(vector)).as_matrix(), atol=1e-15)
    np.testing.assert_allclose(view.center, [1, 2, 3], atol=1e-14)


def test_the_aspect_ratio_is_that_of_the_focal_lengths(case):
    edit(case, lambda entry: entry.update(focal_length=40.0, pixel_aspect_ratio=1.25))
    assert read_spaces(case).views[1].intrinsics[[0, 1], [0, 1]].tolist() == [40.0, 50.0]


def test_numbers_for_another_size_are_scaled_to_the_picture(case):
    """Scenes 008, 038 and 039."""
    before = read_spaces(case).views[1].intrinsics

    def enlarge(entry):
        for key in ("width", "height", "focal_length"):
            entry[key] *= 2.0
        entry["principal_point"] = [2.0 * value for value in entry["principal_point"]]

    edit(case, enlarge)
    scene = read_spaces(case)
    np.testing.assert_allclose(scene.views[1].intrinsics, before, atol=1e-12)
    assert scene.notes == ("scaled the intrinsics of 1 views to the size of their pictures",)


def test_heights_may_differ_within_a_rig(case):
    write_image(case / "cam_01" / "image_000.JPG", np.zeros((20, 32, 3), np.uint8))
    edit(case, lambda entry: entry.update(height=20.0))
    scene = read_spaces(case)
    assert scene.views[1].image.size == (32, 20) and scene.views[2].image.size == (32, 24)


def test_missing_pictures_are_counted(case):
    (case / "cam_01" / "image_000.JPG").unlink()
    scene = read_spaces(case)
    assert len(scene.views) == 17 and scene.notes == ("skipped 1 of 18 views without a picture",)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"position": [1, 2]}, "view 0-1: position must be 3 finite numbers"),
        ({"position": [1, 2, None]}, "position must be 3 finite numbers"),
        ({"orientation": [float("nan"), 0, 0]}, "orientation must be 3 finite numbers"),
        ({"focal_length": -5}, "view 0-1 has focal lengths -5"),
        ({"pixel_aspect_ratio": True}, "pixel_aspect_ratio must be 1 finite numbers"),
        ({"width": 0}, "states a size of 0 x 24 pixels"),
        ({"relative_path": 3}, "has no relative_path"),
        ({"relative_path": "../../secret.JPG"}, "not inside"),
    ],
)
def test_entries_that_make_no_sense_are_refused(case, change, sentence):
    edit(case, lambda entry: entry.update(change))
    with pytest.raises(ValueError, match=sentence):
        read_spaces(case)


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '[["a"]]', "[" * 99999])
def test_other_json_is_refused(case, text):
    (case / "models.json").write_text(text)
    with pytest.raises(ValueError, match=r"models\.json"):
        read_spaces(case)


def test_no_picture_and_no_json_are_said(case, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"models\.json"):
        read_spaces(tmp_path)
    for path in case.glob("cam_*/*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="none of the 18 pictures"):
        read_spaces(case)


def test_cached_depth_is_found(case, tmp_path):
    path = tmp_path / "cache" / "space" / "scene_000" / "dense_out" / "stereo" / "depth_maps" / "0-2.jpg.geometric.bin"
    write_colmap_array(path, np.ones((24, 32), np.float32))
    views = read_spaces(case, depth_cache=tmp_path / "cache").views
    assert [view.name for view in views if view.depth] == ["0-2"]
