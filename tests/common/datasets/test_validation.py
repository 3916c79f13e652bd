import dataclasses
from pathlib import Path

import numpy as np
import pytest

from common.datasets.scene import ImageFile, Scene, View
from common.datasets.validation import (
    Origin,
    check_near_far,
    check_points_in_front,
    check_view,
    checked_scene,
    inside,
)

INTRINSICS = np.array([[100.0, 0.0, 50.0], [0.0, 100.0, 40.0], [0.0, 0.0, 1.0]])


def view(name="a", intrinsics=INTRINSICS, world_to_cam=None, **options):
    pose = np.eye(4) if world_to_cam is None else world_to_cam
    return View(name, ImageFile(Path("a.png"), (100, 80)), intrinsics, pose, **options)


def changed(matrix, position, value):
    matrix = matrix.copy()
    matrix[position] = value
    return matrix


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "./a b/ü.png", "a/../b.png", ".../a.png", "a..png"])
def test_names_inside_the_folder_are_joined_to_it(tmp_path, name):
    assert inside(tmp_path, name, "list.txt") == tmp_path / name


@pytest.mark.parametrize("name", ["a\0.png", "a" * 300, "a/../../data/b.png", "x/../../y/../../z"])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_names_that_no_file_can_have_are_refused(tmp_path, prefix, name):
    with pytest.raises(ValueError, match="which is not inside"):
        inside(tmp_path, prefix + name, "list.txt")


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "a/../../b.png",
        "/etc/passwd",
        "..",
        "a/..",
        ".",
        "",
        "C:/a.png",
        "C:\\a.png",
        "..\\a.png",
        "\\a.png",
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"list.txt:3 names the file '.*', which is not inside"):
        inside(tmp_path, name, "list.txt:3")


def test_a_sound_view_passes():
    check_view(view(near_far=(1.0, 2.0)), "cam.txt")


def test_a_principal_point_far_from_the_centre_is_legal():
    check_view(view(intrinsics=changed(INTRINSICS, (0, 2), -60.0)), "cam.txt")


@pytest.mark.parametrize(
    ("pose", "complaint"),
    [
        (changed(np.eye(4), (0, 3), np.nan), "not finite"),
        (changed(np.eye(4), (3, 0), 0.1), "last row"),
        (changed(np.eye(4), (0, 0), -1.0), "determinant -1"),
        (np.eye(4)[[1, 0, 2, 3]], "determinant -1"),
        (changed(np.eye(4), (0, 0), 1.001), "not orthonormal.*off by 0.002"),
        (np.diag([2.0, 2, 2, 1]), "not orthonormal"),
        (np.diag([0.0, 0, 0, 1]), "not orthonormal"),
    ],
)
def test_a_pose_that_is_no_rotation_is_refused(pose, complaint):
    with pytest.raises(ValueError, match=rf"cam.txt:2 has a pose.*{complaint}"):
        check_view(view(world_to_cam=pose), Origin("cam.txt:2", "cam.txt:8", "cam.txt:12"))


def test_rounding_in_a_rotation_is_legal():
    check_view(view(world_to_cam=changed(np.eye(4), (0, 0), 1.0004)), "cam.txt")


@pytest.mark.parametrize(
    ("intrinsics", "complaint"),
    [
        (changed(INTRINSICS, (0, 2), np.inf), "not finite"),
        (changed(INTRINSICS, (1, 1), -100.0), "focal lengths 100 and -100; they must be positive"),
        (changed(INTRINSICS, (0, 0), 0.0), "must be positive"),
        (changed(INTRINSICS, (1, 0), 1.0), "not upper triangular"),
        (changed(INTRINSICS, (2, 2), 2.0), "not upper triangular"),
        (changed(INTRINSICS, (0, 2), 800.0), "far outside the picture of 100 x 80"),
    ],
)
def test_intrinsics_of_no_pinhole_are_refused(intrinsics, complaint):
    with pytest.raises(ValueError, match=rf"cam.txt:8 has.*{complaint}"):
        check_view(view(intrinsics=intrinsics), Origin("cam.txt:2", "cam.txt:8", "cam.txt:12"))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, 1.0), (np.nan, 1.0), (1.0, np.inf)])
def test_bounds_must_be_positive_and_ordered(bounds):
    with pytest.raises(ValueError, match=r"cam.txt:12 has depth bounds .*; expected 0 < near < far"):
        check_near_far(bounds, "cam.txt:12")


def test_bounds_absurdly_far_apart_are_refused():
    with pytest.raises(ValueError, match="too far apart"):
        check_near_far((1e-6, 1e6), "cam.txt:12")


def test_a_scene_behind_its_camera_is_refused():
    check_points_in_front(np.array([[0.0, 0, 1], [0, 0, -1]]), view(), "cam.txt")
    check_points_in_front(np.zeros((0, 3)), view(), "cam.txt")
    with pytest.raises(ValueError, match="every point of the scene behind the camera"):
        check_points_in_front(np.array([[0.0, 0, -1], [0, 0, -2]]), view(), "cam.txt")


def test_a_sound_scene_comes_back_unchanged():
    scene = Scene("s", (view("a"), view("b")), {"train": (0, 1)}, {0: (1,)})
    assert checked_scene(scene, "folder") == scene


@pytest.mark.parametrize(
    ("scene", "complaint"),
    [
        (Scene("s", ()), "folder has no posed view"),
        (Scene("s", (view("a"), view("a"))), "two views called 'a'"),
        (Scene("s", (view("a"),), {"train": (0, 1)}), "lists view 1, but the scene has 1 views"),
        (Scene("s", (view("a"), view("b")), {}, {0: (2,)}), "lists view 2"),
        (Scene("s", (view("a"), view("b")), {}, {0: (-1,)}), "lists view"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(scene, complaint):
    with pytest.raises(ValueError, match=complaint):
        checked_scene(scene, "folder")


def test_a_principal_point_a_quarter_off_is_noted_and_logged(caplog):
    near, far = changed(INTRINSICS, (0, 2), 74.0), changed(INTRINSICS, (0, 2), 76.0)
    assert checked_scene(Scene("s", (view("a", near),)), "folder").notes == ()
    scene = checked_scene(Scene("s", (view("a", near), view("b", far)), notes=("first",)), "folder")
    assert scene.notes[0] == "first" and "1 of 2 views (b, ...)" in scene.notes[1]
    assert "folder: first" in caplog.text and "25 %" in caplog.text


def test_a_bare_pose_is_checked_too():
    pose = dataclasses.replace(view(), image=None, world_to_cam=np.diag([1.0, 1, -1, 1]))
    with pytest.raises(ValueError, match="determinant -1"):
        check_view(pose, "cam.txt")
