"""Blender's camera model, checked against its documented meaning; Blender itself is replaced by plain objects."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.io.camera_path import read_camera_path
from tools.blender_camera_path import export_path, lens, main

TOOL = Path(__file__).parents[2] / "tools" / "blender_camera_path.py"
RENDER = {"resolution_x": 1920, "resolution_y": 1080, "resolution_percentage": 100, "fps": 30, "fps_base": 1.0}
RENDER |= {"pixel_aspect_x": 1.0, "pixel_aspect_y": 1.0}
DATA = {"type": "PERSP", "lens": 50.0, "sensor_fit": "AUTO", "sensor_width": 36.0, "sensor_height": 24.0}
DATA |= {"shift_x": 0.0, "shift_y": 0.0}


class Scene:
    """Frame 10 + n of an animation: the camera moves along y and zooms in."""

    def __init__(self, frames=(10, 14), step=2):
        self.frame_start, self.frame_end, self.frame_step = *frames, step
        self.render = SimpleNamespace(**RENDER)
        self.camera = SimpleNamespace(name="Camera", type="CAMERA", data=SimpleNamespace(**DATA), matrix_world=None)
        self.asked = []

    def frame_set(self, number):
        self.asked.append(number)
        if self.camera is not None:
            self.camera.data.lens = 50.0 + number - 10
            self.camera.matrix_world = pose_at(number).tolist()


def pose_at(number):
    """Blender's axes: x right, y up, z backward; looks along +y of the world."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix() * 1.7  # scaled cameras occur
    pose[:3, 3] = [0.5, number, 2]
    return pose


class Objects(dict):
    def __iter__(self):
        return iter(self.values())


def intrinsics(render=(), data=()):
    return lens(SimpleNamespace(**RENDER | dict(render)), SimpleNamespace(**DATA | dict(data)), "Camera")


def test_focal_length_follows_the_sensor_fit():
    width, height, matrix = intrinsics()
    assert (width, height) == (1920, 1080)
    np.testing.assert_allclose(matrix, [[50 / 36 * 1920, 0, 959.5], [0, 50 / 36 * 1920, 539.5], [0, 0, 1]])
    # An upright picture: AUTO fits the height, still with the sensor's width.
    upright = {"resolution_x": 1080, "resolution_y": 1920}
    assert intrinsics(upright)[2][0][0] == pytest.approx(50 / 36 * 1920)
    assert intrinsics(upright, {"sensor_fit": "HORIZONTAL"})[2][0][0] == pytest.approx(50 / 36 * 1080)
    assert intrinsics({}, {"sensor_fit": "VERTICAL"})[2][0][0] == pytest.approx(50 / 24 * 1080)


def test_percentage_pixel_aspect_and_shift():
    width, height, matrix = intrinsics({"resolution_percentage": 50}, {"shift_x": 0.1, "shift_y": -0.2})
    assert (width, height) == (960, 540)
    # The frame moves to the right and down by 0.1 and 0.2 of its width, the axis the other way.
    np.testing.assert_allclose([matrix[0][2], matrix[1][2]], [479.5 - 96, 269.5 - 192])
    tall = intrinsics({"pixel_aspect_y": 2.0}, {"shift_y": 0.1})[2]
    # Pixels twice as high as wide: 1080 rows are 2160 widths, which AUTO fits; half as many rows to a degree.
    np.testing.assert_allclose([tall[0][0], tall[1][1]], [50 / 36 * 2160, 50 / 36 * 1080])
    np.testing.assert_allclose(tall[1][2], 539.5 + 0.1 * 2160 / 2)


def test_a_point_lands_where_the_shifted_frame_puts_it():
    """A view 36 mm wide at 50 mm: the point at the right edge of the frame at depth 50 is 18 mm off its middle."""
    _, _, matrix = intrinsics({}, {"shift_x": 0.25})
    middle = 0.25 * 36  # shift moves the frame by a quarter of its width
    column = matrix[0][0] * (middle + 18) / 50 + matrix[0][2]
    assert column == pytest.approx(1919.5)


def test_the_exported_path_is_read_by_the_renderer(tmp_path):
    path = export_path(Scene(), Objects())
    (tmp_path / "path.json").write_text(json.dumps(path))
    frames, fps = read_camera_path(tmp_path / "path.json")
    assert fps == 15 and len(frames) == 3, "every second frame of 10 ... 14 at 30 per second"
    for frame, number in zip(frames, (10, 12, 14), strict=True):
        assert frame.intrinsics[0, 0] == pytest.approx((50 + number - 10) / 36 * 1920)
        ahead = frame.world_to_cam @ [0.5, number + 5, 2 + 1, 1]  # five ahead, one up
        np.testing.assert_allclose(ahead, [0, -1, 5, 1], atol=1e-9)


def test_the_path_is_written_in_the_coordinates_of_the_mesh_file():
    """A mesh imported with y up, scaled by 3 and moved: the camera must see its vertices where Blender shows them."""
    matrix = np.eye(4)
    matrix[:3, :3] = 3 * Rotation.from_euler("xz", [90, 30], degrees=True).as_matrix()
    matrix[:3, 3] = [1, -2, 0.5]
    mesh = SimpleNamespace(name="Castle", type="MESH", matrix_world=matrix)
    frame = export_path(Scene((10, 10)), Objects(Castle=mesh), mesh_name="Castle")["frames"][0]
    vertex = np.array([0.2, -0.3, 0.4, 1])
    camera = pose_at(10) @ np.diag([1 / 1.7, 1 / 1.7, 1 / 1.7, 1])
    expected = np.diag([1, -1, -1, 1]) @ np.linalg.inv(camera) @ matrix @ vertex
    seen = np.linalg.inv(np.array(frame["cam_to_world"])) @ vertex
    np.testing.assert_allclose(seen[:3] * 3, expected[:3], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "arguments", "told"),
    [
        ({}, {"camera_name": "Missing"}, "no object 'Missing'; it has Castle"),
        ({}, {"step": 0}, "no frames from 10 to 14 in steps of 0"),
        ({"frame_end": 9}, {}, "no frames from 10 to 9"),
        ({"camera": None}, {}, "frame 10 has no camera"),
        ({}, {"camera_name": "Castle"}, "frame 10 has no camera"),
        ({}, {"mesh_name": "Castle"}, "mirrored, sheared or scaled unevenly"),
    ],
)
def test_scenes_that_cannot_be_exported_are_one_sentence(change, arguments, told):
    scene = Scene()
    for key, value in change.items():
        setattr(scene, key, value)
    castle = SimpleNamespace(name="Castle", type="MESH", matrix_world=np.diag([1, 1, 2, 1]))
    with pytest.raises(SystemExit, match=f"error: .*{told}"):
        export_path(scene, Objects(Castle=castle), **arguments)


def test_other_cameras_than_perspective_are_refused():
    with pytest.raises(SystemExit, match="camera 'Camera' is of type PANO; only PERSP"):
        intrinsics({}, {"type": "PANO"})


def test_the_command_uses_the_open_scene(tmp_path, monkeypatch, capsys):
    bpy = SimpleNamespace(context=SimpleNamespace(scene=Scene()), data=SimpleNamespace(objects=Objects()))
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    main(["--output", str(tmp_path / "path.json"), "--step", "1"])
    assert "5 frames are in" in capsys.readouterr().out
    assert len(read_camera_path(tmp_path / "path.json")[0]) == 5
    assert [file.name for file in tmp_path.iterdir()] == ["path.json"]


def test_outside_blender_one_sentence_says_how_to_run_it(tmp_path):
    ran = subprocess.run(
        [sys.executable, str(TOOL), "--output", "p.json"], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: this script runs inside Blender: blender scene.blend")
    assert len(ran.stderr.strip().splitlines()) == 1
