import json

import numpy as np
import pytest

from common.io.nerfstudio_path import read_nerfstudio_path

# Turned by 90 degrees about its x axis, at (1, 2, 3): right = x, up = z, and it looks along +y.
POSE = [1, 0, 0, 1, 0, 0, -1, 2, 0, 1, 0, 3, 0, 0, 0, 1]
FRAME = {"camera_to_world": POSE, "fov": 90, "aspect": 1.5}
PATH = {
    "keyframes": [{"matrix": "[1]", "fov": 50}],
    "camera_type": "perspective",
    "render_height": 200,
    "render_width": 301,
    "fps": 24,
    "seconds": 0.5,
    "is_cycle": False,
    "camera_path": [FRAME, FRAME | {"fov": 60}, FRAME],
    "crop": {"crop_center": [0, 0, 0], "crop_scale": [1, 1, 1]},
}


def write(tmp_path, content):
    path = tmp_path / "camera_path.json"
    path.write_text(json.dumps(content))
    return path


def test_axes_field_of_view_and_centre_are_nerfstudios(tmp_path):
    frames, fps = read_nerfstudio_path(write(tmp_path, PATH))
    assert len(frames) == 3 and fps == 6.0, "three frames in half a second"
    first = frames[0]
    assert (first.width, first.height) == (301, 200)
    # 90 degrees over 200 rows; the middle lies between rows 99 and 100, and in column 150.
    np.testing.assert_allclose(first.intrinsics, [[100, 0, 150], [0, 100, 99.5], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(frames[1].intrinsics[0, 0], 100 * np.sqrt(3))
    seen = first.world_to_cam @ [1, 2 + 5, 3 + 1, 1]  # five ahead, one up
    np.testing.assert_allclose(seen, [0, -1, 5, 1], atol=1e-12)


def test_the_rate_is_fps_where_no_length_is_stated(tmp_path):
    assert read_nerfstudio_path(write(tmp_path, {k: v for k, v in PATH.items() if k != "seconds"}))[1] == 24
    bare = {k: v for k, v in PATH.items() if k not in ("seconds", "fps", "camera_type")}
    assert read_nerfstudio_path(write(tmp_path, bare))[1] is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"camera_type": "equirectangular"}, "camera type 'equirectangular'; only perspective"),
        ({"camera_type": 3}, "camera type '3'"),
        ({"camera_path": []}, "empty camera_path"),
        ({"camera_path": {}}, "empty camera_path"),
        ({"camera_path": [FRAME, 5]}, "frame 1 must be an object"),
        ({"camera_path": [FRAME | {"camera_to_world": POSE[:15]}]}, "frame 0: camera_to_world must be"),
        ({"camera_path": [FRAME | {"camera_to_world": [float("nan"), *POSE[1:]]}]}, "frame 0: camera_to_world must be"),
        ({"camera_path": [FRAME | {"camera_to_world": [2, *POSE[1:]]}]}, "frame 0 .*not orthonormal"),
        ({"camera_path": [FRAME | {"camera_to_world": [-1, *POSE[1:]]}]}, "frame 0 .*determinant -1"),
        ({"camera_path": [FRAME | {"fov": 180}]}, "frame 0: fov must be degrees"),
        ({"camera_path": [FRAME | {"fov": None}]}, "frame 0: fov must be degrees.*nothing"),
        ({"camera_path": [FRAME | {"fov": "wide"}]}, "frame 0: fov must be a positive number"),
        ({"render_width": 0}, "render_width must be a positive number"),
        ({"render_height": 10.5}, "render_height must be a whole number"),
        ({"render_height": None}, "render_height must be a whole number .*nothing"),
        ({"seconds": -1}, "seconds must be a positive number"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path, change, told):
    path = write(tmp_path, PATH | change)
    with pytest.raises(ValueError, match=told) as caught:
        read_nerfstudio_path(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no 'camera_path'"):
        read_nerfstudio_path(write(tmp_path, {"frames": []}))
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        read_nerfstudio_path(tmp_path / "missing.json")
