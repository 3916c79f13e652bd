import numpy as np
import pytest

from common.datasets.llff import llff_to_world_to_cam, read_llff, read_poses_bounds, world_to_cam_to_llff
from common.datasets.loading import load_image
from common.datasets.nerf_synthetic import opengl_to_world_to_cam
from common.datasets.writers.llff import write_llff
from common.io.images import write_image
from tests.scenes import camera_pose, make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene("my fern ü", num_views=4, size=(32, 24), centered=True)


@pytest.fixture
def folder(scene, tmp_path):
    write_llff(tmp_path, scene)
    return tmp_path / scene.name


def change_rows(folder, change):
    path = folder / "poses_bounds.npy"
    np.save(path, change(np.load(path)))


@pytest.mark.parametrize(("downscale", "factor"), [(1, 4.0), (4, 1.0), (8, 0.5)])
def test_cameras_come_back_at_every_size(folder, scene, downscale, factor):
    found = read_llff(folder, downscale)
    assert found.pixel_origin == "corner" and found.name == "my fern ü"
    for view, truth in zip(found.views, scene.views, strict=True):
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        focal = truth.intrinsics[0, 0] * factor
        expected = [[focal, 0, 16 * factor], [0, focal, 12 * factor], [0, 0, 1]]
        np.testing.assert_allclose(view.intrinsics, expected, atol=1e-9)


def test_pictures_and_bounds_come_back(folder, scene):
    found = read_llff(folder)
    for view, truth in zip(found.views, scene.views, strict=True):
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)
        assert view.near_far == pytest.approx(np.percentile(truth.depth[truth.depth > 0], [0.1, 99.9]), rel=1e-6)


def test_axes_are_down_right_backward():
    # A camera at (5, 6, 7) that looks along +y with +z upwards: right is +x, down is -z, backward is -y.
    axes = np.array([[0.0, 1, 0, 5], [0, 0, -1, 6], [-1, 0, 0, 7]])
    world_to_cam = llff_to_world_to_cam(axes)
    np.testing.assert_allclose(world_to_cam @ [5, 8, 7, 1], [0, 0, 2, 1])
    np.testing.assert_allclose(world_to_cam @ [6, 6, 7, 1], [1, 0, 0, 1])
    np.testing.assert_allclose(world_to_cam @ [5, 6, 8, 1], [0, -1, 0, 1])


def test_llff_to_opencv_to_opengl_to_llff_is_the_identity():
    for index in range(5):
        world_to_cam = camera_pose(index, 0.3, 0.2 * index)
        llff = world_to_cam_to_llff(world_to_cam)
        np.testing.assert_allclose(llff_to_world_to_cam(llff), world_to_cam, atol=1e-12)
        # OpenGL axes are (p1, -p0, p2) of LLFF's columns.
        opengl = np.vstack([np.stack([llff[:, 1], -llff[:, 0], llff[:, 2], llff[:, 3]], axis=1), [0, 0, 0, 1]])
        np.testing.assert_allclose(opengl_to_world_to_cam(opengl), world_to_cam, atol=1e-12)


def test_exchanged_columns_or_a_lost_sign_are_refused(folder):
    def swapped(first, second):
        def change(rows):
            poses = rows[:, :15].reshape(-1, 3, 5)
            poses[:, :, [first, second]] = poses[:, :, [second, first]]
            return np.column_stack([poses.reshape(-1, 15), rows[:, 15:]])

        return change

    for first, second in ((0, 1), (0, 2), (1, 2)):
        change_rows(folder, swapped(first, second))
        with pytest.raises(ValueError, match=r"poses_bounds.npy row 0 has a pose with determinant -1"):
            read_llff(folder)
        change_rows(folder, swapped(first, second))
    read_llff(folder)


def test_names_differ_between_sizes_and_are_paired_by_sorted_position(folder, scene):
    names = [[view.name for view in read_llff(folder, downscale).views] for downscale in (1, 4)]
    assert names[0][:2] == ["IMG_4026", "IMG_4027"] and names[1][:2] == ["image000", "image001"]
    images = folder / "images_4"
    (images / "image003.png").rename(images / "IMAGE_LAST.PNG")  # capitals sort before small letters
    first = read_llff(folder).views[0]
    assert first.name == "IMAGE_LAST"
    np.testing.assert_array_equal(np.rint(load_image(first) * 255), scene.views[3].image)


def test_other_files_in_the_folder_do_not_count(folder):
    for name in (".DS_Store", "Thumbs.db", "._image000.png", "notes.txt"):
        (folder / "images_4" / name).write_bytes(b"x")
    (folder / "images_4" / "folder.png").mkdir()
    assert len(read_llff(folder).views) == 4


@pytest.mark.parametrize("extra", [-1, 1])
def test_numbers_of_rows_and_pictures_must_agree(folder, extra):
    if extra > 0:
        write_image(folder / "images_4" / "image999.png", np.zeros((24, 32, 3), np.uint8))
    else:
        (folder / "images_4" / "image001.png").unlink()
    with pytest.raises(ValueError, match=rf"poses_bounds.npy has 4 rows but .*images_4 has {4 + extra} pictures"):
        read_llff(folder)


def test_a_picture_of_another_size_than_the_file_says_is_refused(folder):
    write_image(folder / "images_4" / "image002.png", np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(ValueError, match=r"row 2 speaks of 128 x 96 pixels.*about 32 x 24; it has 30 x 24"):
        read_llff(folder)


def test_sizes_that_do_not_divide_are_recomputed_from_the_picture(folder):
    change_rows(folder, lambda rows: np.where(rows == 128, 130.0, rows))
    np.testing.assert_allclose(read_llff(folder).views[0].intrinsics[:2, 2], [16, 12])


@pytest.mark.parametrize(
    ("value", "column", "complaint"),
    [
        (np.nan, 3, r"row 1 has numbers that are not finite"),
        (0.5, 0, r"row 1 has a pose whose rotation is not orthonormal"),
        (-7.0, 14, r"row 1 has focal lengths -"),
        (-1.0, 15, r"row 1 has depth bounds -1"),
        (0.0, 16, r"row 1 has depth bounds .* and 0"),
    ],
)
def test_broken_numbers_are_refused_with_their_row(folder, value, column, complaint):
    def change(rows):
        rows[1, column] = value
        return rows

    change_rows(folder, change)
    with pytest.raises(ValueError, match=f"poses_bounds.npy {complaint}"):
        read_llff(folder)


def test_another_shape_is_refused(folder):
    change_rows(folder, lambda rows: rows[:, :15])
    with pytest.raises(ValueError, match=r"has shape \(4, 15\); expected a row of 17 numbers"):
        read_llff(folder)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no picture in .*images_2; downscale"):
        read_llff(folder, 2)
    with pytest.raises(FileNotFoundError, match=r"absent.poses_bounds.npy"):
        read_llff(tmp_path / "absent")


def test_cameras_that_the_file_has_no_place_for_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="the LLFF layout stores one focal length and a centred principal point"):
        write_llff(tmp_path, make_scene("a", num_views=1))


def test_fern_has_its_known_numbers(real_data):
    folder = real_data / "nerf_llff_data" / "fern"
    rows = read_poses_bounds(folder / "poses_bounds.npy")
    assert rows.shape == (20, 17)
    np.testing.assert_allclose(rows[:, [4, 9, 14]], np.tile([3024, 4032, 3260.526], (20, 1)), rtol=1e-6)
    bounds = rows[:, 15:]
    assert bounds.min() == pytest.approx(16.985, abs=0.01) and bounds.max() == pytest.approx(80.0, abs=0.02)
    scene = read_llff(folder)
    assert scene.views[0].image.size == (1008, 756)
    assert scene.views[0].intrinsics[0, 0] == pytest.approx(3260.526 / 4, rel=1e-6)
    assert read_llff(folder, 8).views[0].image.size == (504, 378)
