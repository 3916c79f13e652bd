import json
import math

import numpy as np
import pytest

from common.datasets.scene import Distortion
from common.io.transforms_json import read_transforms_json, resolve_lens

IDENTITY = np.eye(4).tolist()


def frame(**entries):
    return {"file_path": "images/a.png", "transform_matrix": IDENTITY} | entries


@pytest.fixture
def write(tmp_path):
    """`write(content)` is the path of a json file."""

    def write_content(content, text=None):
        path = tmp_path / "transforms.json"
        path.write_text(json.dumps(content) if text is None else text)
        return path

    return write_content


def lens_of(write, shared, own=None, size=(100, 80)):
    content = read_transforms_json(write(shared | {"frames": [frame(**(own or {}))]}))
    return resolve_lens(content.frames[0], size, "here")


def test_the_blender_angle_gives_the_focal_length_of_lego(write):
    size, intrinsics, lens = lens_of(write, {"camera_angle_x": 0.6911112070083618}, size=(800, 800))
    assert size == (800, 800) and lens is None
    np.testing.assert_allclose(intrinsics, [[1111.111, 0, 400], [0, 1111.111, 400], [0, 0, 1]], atol=1e-3)


def test_a_right_angle_sees_half_the_width_on_each_side(write):
    assert lens_of(write, {"camera_angle_x": math.pi / 2})[1][0, 0] == pytest.approx(50)
    assert lens_of(write, {"x_fov": 90, "w": 60, "h": 60}, size=(60, 60))[1][0, 0] == pytest.approx(30)


def test_focal_lengths_have_their_order_of_precedence_on_each_axis(write):
    entry = {"x_fov": 90, "fl_x": 70, "camera_angle_x": 1.0, "fl_y": 60, "camera_angle_y": 1.0}
    intrinsics = lens_of(write, entry)[1]
    assert intrinsics[0, 0] == pytest.approx(50) and intrinsics[1, 1] == 60
    assert lens_of(write, {"fl_y": 33.0})[1][0, 0] == 33.0  # one axis stands for both


def test_a_frame_overrides_the_lens_of_the_file(write):
    shared = {"fl_x": 70, "fl_y": 71, "cx": 40, "cy": 30, "k1": 0.1}
    _, intrinsics, lens = lens_of(write, shared, {"camera_angle_x": math.pi / 2, "cx": 41, "k1": 0.2})
    np.testing.assert_allclose(intrinsics, [[50, 0, 41], [0, 50, 30], [0, 0, 1]])
    assert lens == Distortion("opencv", (0.2, 0.0, 0.0, 0.0, 0.0))


def test_sizes_may_be_floats_and_the_centre_is_the_middle_by_default(write):
    size, intrinsics, _ = lens_of(write, {"fl_x": 1375.52, "w": 1080.0, "h": 1920.0})
    assert size == (1080, 1920) and intrinsics[0, 2] == 540 and intrinsics[1, 2] == 960


def test_lenses_of_all_dialects(write):
    shared = {"fl_x": 70, "k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4}
    assert lens_of(write, shared)[2] == Distortion("opencv", (0.1, 0.2, 0.3, 0.4, 0.0))
    assert lens_of(write, shared | {"camera_model": "OPENCV", "k3": 0.5})[2].coefficients[4] == 0.5
    listed = {"fl_x": 70, "distortion_params": [0.1, 0.2, 0.5, 0, 0.3, 0.4]}
    assert lens_of(write, listed)[2] == Distortion("opencv", (0.1, 0.2, 0.3, 0.4, 0.5))
    fisheye = {"fl_x": 70, "k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4}
    for switch in ({"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}):
        assert lens_of(write, fisheye | switch)[2] == Distortion("fisheye", (0.1, 0.2, 0.3, 0.4))
    assert lens_of(write, {"fl_x": 70, "k1": 0.0, "camera_model": "PINHOLE"})[2] is None


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, "here has no focal length; expected fl_x"),
        ({"fl_x": "70"}, "fl_x must be a finite number, got '70'"),
        ({"fl_x": math.nan}, "fl_x must be a finite number"),
        ({"camera_angle_x": 3.5}, "field of view of 200.535 degrees"),
        ({"fl_x": 70, "w": 99.5, "h": 80}, "w must be a whole number of pixels, got 99.5"),
        ({"fl_x": 70, "w": 0, "h": 80}, "w must be a whole number of pixels, got 0"),
        ({"fl_x": 70, "camera_model": "EQUIRECTANGULAR"}, "a lens of kind EQUIRECTANGULAR; only perspective"),
        ({"fl_x": 70, "ftheta_p0": 1.0}, "a lens of kind ftheta_p0"),
        ({"fl_x": 70, "k4": 0.1}, "k4 = 0.1 for a perspective lens"),
        ({"fl_x": 70, "p1": 0.1, "is_fisheye": True}, "a fisheye lens with tangential terms"),
        ({"fl_x": 70, "distortion_params": [1, 2, 3]}, "the six numbers k1 k2 k3 k4 p1 p2"),
    ],
)
def test_lenses_that_make_no_sense_are_refused(write, entry, sentence):
    with pytest.raises(ValueError, match=sentence):
        lens_of(write, entry)


def test_frames_keep_their_order_and_name_depth_and_masks(write):
    frames = [frame(file_path="b"), frame(file_path="a", depth_file_path="d.png", mask_path="m.png")]
    content = read_transforms_json(write({"frames": frames, "train_filenames": ["a"], "integer_depth_scale": 0.25}))
    assert [item.file_path for item in content.frames] == ["b", "a"]
    assert (content.frames[1].depth_path, content.frames[1].mask_path) == ("d.png", "m.png")
    assert content.splits == {"train": ("a",)} and content.depth_unit == 0.25


def test_a_pose_of_three_rows_is_completed(write):
    content = read_transforms_json(write({"frames": [frame(transform_matrix=IDENTITY[:3])]}))
    np.testing.assert_array_equal(content.frames[0].cam_to_world, np.eye(4))


def test_what_nerfstudio_did_to_the_world_is_transform_then_scale(write):
    transform = [[1, 0, 0, 5], [0, 0, 1, 0], [0, -1, 0, 0]]
    content = read_transforms_json(write({"frames": [frame()], "applied_transform": transform, "applied_scale": 2}))
    np.testing.assert_allclose(content.original_to_world @ [1, 2, 3, 1], [12, 6, -4, 1])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "has no list 'frames'"),
        ({"frames": []}, "has no list 'frames'"),
        ({"frames": [5]}, "frame 0 has no file_path"),
        ({"frames": [{"file_path": 5}]}, "frame 0 has no file_path"),
        ({"frames": [{"file_path": "a"}]}, r"frame 0 \('a'\) transform_matrix must be 4 \(or 3\) lists of 4"),
        ({"frames": [frame(transform_matrix=[[1, 0, 0]] * 4)]}, "transform_matrix must be"),
        ({"frames": [frame(transform_matrix=[[1, 0, 0, None]] * 4)]}, "transform_matrix must be"),
        ({"frames": [frame(transform_matrix=[[1, 0, 0, math.inf]] * 4)]}, "transform_matrix must be"),
        ({"frames": [frame(transform_matrix=[[1, 0, 0, 10**400]] * 4)]}, "transform_matrix must be"),
        ({"frames": [frame(mask_path=3)]}, "mask that is not a file name"),
        ({"frames": [frame()], "test_filenames": "all"}, "test_filenames must be a list of file names"),
        ({"frames": [frame()], "applied_transform": "yes"}, "applied_transform must be"),
        ({"frames": [frame()], "applied_scale": [1]}, "applied_scale must be a finite number"),
    ],
)
def test_files_of_another_kind_are_refused_with_the_frame(write, content, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_transforms_json(write(content))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"frames": [\n{]}', r"transforms\.json:2 is not valid JSON"),
        ("[" * 100000, "nested too deeply"),
        ('{"frames": ' + "9" * 5000 + "}", r"transforms\.json is not valid JSON"),
        ("", "is empty"),
        ("<!DOCTYPE html><p>not found", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_text_that_is_no_json_is_refused(write, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_transforms_json(write(None, text))


def test_the_numbers_of_the_fox(real_data):
    content = read_transforms_json(real_data / "fox" / "transforms.json")
    assert len(content.frames) == 67
    size, intrinsics, lens = resolve_lens(content.frames[0], (1, 1), "fox")
    assert size == (1080, 1920)
    np.testing.assert_allclose(intrinsics, [[1375.52, 0, 554.558], [0, 1374.49, 965.268], [0, 0, 1]])
    np.testing.assert_allclose(lens.coefficients, (0.0578421, -0.0805099, -0.000980296, 0.00015575, 0))
