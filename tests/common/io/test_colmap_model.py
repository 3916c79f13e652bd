import filecmp
import struct

import numpy as np
import pytest

from common.io.colmap_binary import read_cameras_bin, read_images_bin, read_points_bin, write_cameras_bin
from common.io.colmap_model import find_model_encoding, read_colmap_model, write_colmap_model
from common.io.colmap_records import (
    CAMERA_MODELS,
    REFUSED_MODELS,
    ColmapCamera,
    ColmapImage,
    ColmapModel,
    ColmapPoints,
    intrinsics_and_lens,
    no_points,
    quaternion_of,
    world_to_cam_of,
)

FILES = ("cameras", "images", "points3D")


def image(name, keypoints=(), point_ids=(), camera_id=3, quaternion=(0.5, 0.5, -0.5, 0.5)):
    keypoints = np.array(keypoints, dtype=float).reshape(-1, 2)
    point_ids = np.array(point_ids, dtype=np.int64)
    return ColmapImage(name, camera_id, np.array(quaternion), np.array([0.1, 1e-17, 3.0]), keypoints, point_ids)


@pytest.fixture
def model():
    """Two kinds of cameras, ids with gaps in no order, a name with blanks and a folder, an image without points."""
    cameras = {
        3: ColmapCamera("OPENCV", 640, 480, (500.0, 501.1, 320.25, 240.5, -0.1, 0.01, 1e-3, -2e-3)),
        9: ColmapCamera("SIMPLE_PINHOLE", 100, 90, (1 / 3, 50.0, 45.0)),
    }
    images = {
        12: image("b.jpg", [[1.5, 2.25], [3.1, 4.7]], [7, -1]),
        4: image("in a folder/ä photo.jpg"),
        5: image("a.jpg", [[0.1, 0.2]], [7], camera_id=9),
    }
    points = ColmapPoints(
        ids=np.array([7, 2]),
        xyz=np.array([[0.1, 0.2, 0.3], [1e-3, -5.0, 2 / 3]]),
        rgb=np.array([[0, 128, 255], [1, 2, 3]], np.uint8),
        errors=np.array([0.7, 0.0]),
        tracks=(np.array([[12, 0], [5, 0]]), np.zeros((0, 2), np.int64)),
    )
    return ColmapModel(cameras, images, points)


def assert_same(a, b):
    assert list(a.cameras.items()) == list(b.cameras.items())
    assert list(a.images) == list(b.images)
    for image_id, first in a.images.items():
        second = b.images[image_id]
        assert (first.name, first.camera_id) == (second.name, second.camera_id)
        for name in ("quaternion", "translation", "keypoints", "point_ids"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("ids", "xyz", "rgb", "errors"):
        np.testing.assert_array_equal(getattr(a.points, name), getattr(b.points, name))
    for first, second in zip(a.points.tracks, b.points.tracks, strict=True):
        np.testing.assert_array_equal(first, second)


def test_binary_to_text_to_binary_gives_equal_maps_and_equal_files(model, tmp_path):
    write_colmap_model(tmp_path / "bin", model, "bin")
    write_colmap_model(tmp_path / "txt", read_colmap_model(tmp_path / "bin"), "txt")
    write_colmap_model(tmp_path / "again", read_colmap_model(tmp_path / "txt"), "bin")
    assert_same(read_colmap_model(tmp_path / "txt"), model)
    for name in FILES:
        assert filecmp.cmp(tmp_path / "bin" / f"{name}.bin", tmp_path / "again" / f"{name}.bin", shallow=False)


def test_the_blank_second_line_of_an_image_without_points_survives(model, tmp_path):
    write_colmap_model(tmp_path, model, "txt")
    lines = (tmp_path / "images.txt").read_text(encoding="utf8").split("\n")
    assert lines[4] == "" and "photo.jpg" in lines[3]
    assert list(read_colmap_model(tmp_path).images) == [12, 4, 5]


def test_pycolmap_reads_what_we_write_and_we_read_what_pycolmap_writes(model, tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    for encoding in ("bin", "txt"):
        write_colmap_model(tmp_path / encoding, model, encoding)
        theirs = pycolmap.Reconstruction(tmp_path / encoding)
        assert set(theirs.images) == set(model.images)
        if encoding == "bin":  # its text reader ends a name at the first blank
            assert theirs.images[4].name == model.images[4].name
        for image_id, view in theirs.images.items():
            pose = world_to_cam_of(model.images[image_id])[:3]
            np.testing.assert_allclose(view.cam_from_world().matrix(), pose, atol=1e-12)
        np.testing.assert_array_equal(theirs.points3D[7].xyz, model.points.xyz[0])
    (tmp_path / "theirs").mkdir()
    pycolmap.Reconstruction(tmp_path / "bin").write_text(str(tmp_path / "theirs"))
    ours = read_colmap_model(tmp_path / "theirs")
    assert ours.cameras == model.cameras and ours.images[4].name == model.images[4].name
    np.testing.assert_allclose(ours.images[12].keypoints, model.images[12].keypoints)


@pytest.mark.parametrize("number", CAMERA_MODELS)
def test_every_camera_model_projects_as_in_pycolmap(number):
    pycolmap = pytest.importorskip("pycolmap")
    from common.datasets.undistortion import distort_points

    name, parameters = CAMERA_MODELS[number]
    values = {"f": 480.0, "fx": 480.0, "fy": 500.0, "cx": 321.0, "cy": 239.0, "k1": 0.08, "k2": -0.05, "p1": 2e-3}
    values |= {"p2": -1e-3, "k3": 0.01, "k4": 0.02, "k5": 0.03, "k6": -0.01, "omega": 0.9, "sx1": 1e-3, "sy1": -2e-3}
    camera = ColmapCamera(name, 640, 480, tuple(values[key] for key in parameters.split()))
    intrinsics, lens = intrinsics_and_lens(camera)
    rays = np.random.default_rng(number).uniform(-0.6, 0.6, (20, 2))
    distorted = rays if lens is None else distort_points(rays, lens)
    ours = distorted @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    theirs = pycolmap.Camera(model=name, width=640, height=480, params=camera.params)
    expected = theirs.img_from_cam(np.concatenate([rays, np.ones((20, 1))], axis=1))
    np.testing.assert_allclose(ours, expected, atol=1e-9)


@pytest.mark.parametrize(("number", "name"), REFUSED_MODELS.items())
def test_newer_camera_models_are_refused_by_name(number, name, tmp_path):
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<QiiQQ4d", 1, 1, number, 640, 480, 1, 2, 3, 4))
    with pytest.raises(ValueError, match=rf"camera 1: camera model {name} is not supported; undistort"):
        read_cameras_bin(tmp_path / "cameras.bin")


def test_the_numbers_of_newer_camera_models_are_those_of_pycolmap():
    pycolmap = pytest.importorskip("pycolmap")
    known = {number: name for number, (name, _) in CAMERA_MODELS.items()} | REFUSED_MODELS
    for number, name in known.items():
        if hasattr(pycolmap.CameraModelId, name):  # an older pycolmap knows fewer
            assert int(getattr(pycolmap.CameraModelId, name).value) == number


def test_binary_wins_over_text_and_other_folders_have_no_model(model, tmp_path):
    assert find_model_encoding(tmp_path) is None
    write_colmap_model(tmp_path, model, "txt")
    assert find_model_encoding(tmp_path) == "txt"
    write_colmap_model(tmp_path, model, "bin")
    assert find_model_encoding(tmp_path) == "bin"
    with pytest.raises(FileNotFoundError, match=r"expected cameras\.bin and images\.bin"):
        read_colmap_model(tmp_path / "nowhere")


def test_a_model_without_points_file_has_no_points(model, tmp_path):
    write_colmap_model(tmp_path, model)
    (tmp_path / "points3D.bin").unlink()
    assert len(read_colmap_model(tmp_path).points.ids) == 0


def test_quaternions_have_a_positive_first_number_and_turn_back_into_the_matrix():
    rotation = np.diag([-1.0, -1.0, 1.0])
    quaternion = quaternion_of(rotation)
    assert quaternion[0] >= 0
    np.testing.assert_allclose(world_to_cam_of(image("a", quaternion=quaternion))[:3, :3], rotation, atol=1e-15)


@pytest.mark.parametrize("reader", [read_cameras_bin, read_images_bin, read_points_bin])
def test_a_count_beyond_the_end_of_the_file_is_refused_before_anything_is_allocated(reader, tmp_path):
    path = tmp_path / "hostile.bin"
    path.write_bytes(struct.pack("<Q", 2**61) + bytes(200))
    with pytest.raises(ValueError, match=r"hostile\.bin is truncated or not a COLMAP file: .* bytes, 200 are left"):
        reader(path)


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_of_a_binary_file_is_one_sentence(model, tmp_path, name):
    write_colmap_model(tmp_path, model)
    path = tmp_path / f"{name}.bin"
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"{name}\.bin"):
            read_colmap_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "line", "sentence"),
    [
        (
            "cameras.txt",
            "1 PINHOLE 640 480 1 2 3",
            r"cameras\.txt:2 is not a camera: PINHOLE takes 4 parameters, got 3",
        ),
        ("cameras.txt", "1 EUCM 640 480 1 2 3", r"cameras\.txt:2 is not a camera: camera model EUCM is not supported"),
        ("cameras.txt", "3 PINHOLE 640 480 nan 2 3 4", "camera 3 is broken"),
        ("cameras.txt", "3 PINHOLE 640", r"cameras\.txt:2 is not a camera"),
        ("images.txt", "1 1 0 0 0 0 0 0 3 a.jpg\n1 2 3 4", r"images\.txt:2 and the line after it .* empty second line"),
        ("images.txt", "1 1 0 0 0 0 0 0 3", r"images\.txt:2 .* expected id, quaternion"),
        ("images.txt", "1 1 0 0 0 nan 0 0 3 a.jpg\n", r"image 1 \('a\.jpg'\) has a pose that is not finite"),
        ("images.txt", "1 2 0 0 0 0 0 0 3 a.jpg\n", "expected one of length 1"),
        ("images.txt", "1 1 0 0 0 0 0 0 8 a.jpg\n", r"uses camera 8, which cameras\.txt does not have"),
        ("images.txt", "1 1 0 0 0 0 0 0 3 a.jpg\n\n2 1 0 0 0 0 0 0 3 a.jpg\n", "has the name of another image"),
        ("points3D.txt", "1 0 0 0 300 0 0 0", r"points3D\.txt:2 is not a point"),
        ("points3D.txt", "1 0 0 0 1 0 0 0 5", r"points3D\.txt:2 is not a point"),
        ("points3D.txt", "1 0 inf 0 1 0 0 0", r"points3D\.txt has points that are not finite"),
    ],
)
def test_broken_text_is_refused_with_file_and_line(model, tmp_path, file, line, sentence):
    write_colmap_model(tmp_path, model, "txt")
    (tmp_path / file).write_text("# comment\n" + line + "\n")
    with pytest.raises(ValueError, match=sentence):
        read_colmap_model(tmp_path)


def test_text_with_windows_line_ends_and_no_last_line_is_read(model, tmp_path):
    write_colmap_model(tmp_path, model, "txt")
    for name in FILES:
        path = tmp_path / f"{name}.txt"
        path.write_bytes(path.read_bytes().rstrip().replace(b"\n", b"\r\n"))
    assert_same(read_colmap_model(tmp_path), model)


def test_a_git_lfs_pointer_and_an_empty_file_are_refused_with_advice(model, tmp_path):
    write_colmap_model(tmp_path, model)
    (tmp_path / "images.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(ValueError, match="git lfs pull"):
        read_colmap_model(tmp_path)
    (tmp_path / "images.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        read_colmap_model(tmp_path)


def test_an_empty_model_can_be_written(tmp_path):
    write_cameras_bin(tmp_path / "cameras.bin", {})
    write_colmap_model(tmp_path, ColmapModel({}, {}, no_points()), "bin")
    assert read_colmap_model(tmp_path).images == {}


def test_the_real_model_is_the_same_in_both_encodings_and_is_written_back_bit_for_bit(real_data, tmp_path):
    binary = read_colmap_model(real_data / "kermit" / "sparse" / "0")
    assert list(binary.images)[:5] == [1, 8, 2, 3, 6] and len(binary.points.ids) == 647
    assert_same(binary, read_colmap_model(real_data / "kermit" / "sparse_txt"))
    write_colmap_model(tmp_path, binary)
    for name in FILES:
        assert filecmp.cmp(
            tmp_path / f"{name}.bin", real_data / "kermit" / "sparse" / "0" / f"{name}.bin", shallow=False
        )
