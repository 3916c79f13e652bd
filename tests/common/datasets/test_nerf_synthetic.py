import json

import numpy as np
import pytest

from common.datasets.loading import load_image
from common.datasets.nerf_synthetic import read_nerf_synthetic
from common.datasets.writers.nerf_synthetic import write_nerf_synthetic
from common.io.images import read_pixels, write_image, write_pixels
from tests.scenes import make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene("lego", num_views=16, size=(20, 16), centered=True)


@pytest.fixture
def folder(scene, tmp_path):
    write_nerf_synthetic(tmp_path, scene)
    return tmp_path / "lego"


def change_json(folder, change, split="train"):
    path = folder / f"transforms_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_cameras_and_splits_come_back_in_the_order_of_the_files(folder, scene):
    found = read_nerf_synthetic(folder)
    assert found.splits == {"train": tuple(range(12)), "val": (12,), "test": (13, 14, 15)}
    assert [found.views[index].name for index in (0, 2, 10, 12, 13)] == [
        "train-r_0",
        "train-r_2",
        "train-r_10",
        "val-r_0",
        "test-r_0",
    ]
    assert found.pixel_origin == "corner"
    for view, truth in zip(found.views, scene.views, strict=True):
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        np.testing.assert_allclose(view.intrinsics[[0, 1], [0, 1]], truth.intrinsics[0, 0], rtol=1e-12)
        np.testing.assert_allclose(view.intrinsics[:2, 2], [10, 8])


def test_chosen_splits_are_counted_from_zero(folder, scene):
    found = read_nerf_synthetic(folder, ("val", "train"), near_far=(2.5, 5.5))
    assert found.splits == {"val": (0,), "train": tuple(range(1, 13))}
    np.testing.assert_allclose(found.views[0].world_to_cam, scene.views[12].world_to_cam, atol=1e-12)
    assert found.views[0].near_far == (2.5, 5.5)


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_what_is_transparent_shows_the_background(folder, background):
    path = folder / "train" / "r_3.png"
    rgba = read_pixels(path)
    rgba[0, 0], rgba[0, 1] = [200, 100, 0, 0], [200, 100, 0, 51]
    write_pixels(path, rgba)
    image = load_image(read_nerf_synthetic(folder, ("train",), background=background).views[3])
    np.testing.assert_allclose(image[0, 0], background)
    np.testing.assert_allclose(image[0, 1], np.array([200, 100, 0]) / 255 * 0.2 + 0.8 * background, atol=1e-6)


def test_the_focal_length_follows_from_the_angle(folder):
    change_json(folder, lambda content: content.update(camera_angle_x=0.6911112070083618))
    assert read_nerf_synthetic(folder, ("train",)).views[0].intrinsics[0, 0] == pytest.approx(1111.111 / 40, rel=1e-6)


def test_depth_pictures_beside_the_frames_are_never_looked_at(folder):
    assert (folder / "test" / "r_0_depth_0001.png").is_file()
    assert len(read_nerf_synthetic(folder, ("test",)).views) == 3


def test_names_with_dots_and_with_extension_are_found(folder):
    def change(content):
        content["frames"][0]["file_path"] = "train/r_0.png"
        content["frames"][1]["file_path"] = "train/r_1.5"

    (folder / "train" / "r_1.png").rename(folder / "train" / "r_1.5.png")
    change_json(folder, change)
    views = read_nerf_synthetic(folder, ("train",)).views
    assert [view.name for view in views[:2]] == ["train-r_0", "train-r_1.5"]


def test_frames_without_picture_keep_their_place(folder):
    for index in (0, 5):
        (folder / "train" / f"r_{index}.png").unlink()
    scene = read_nerf_synthetic(folder, ("train",))
    assert [i for i, view in enumerate(scene.views) if view.image is None] == [0, 5] and len(scene.views) == 12
    assert scene.views[0].intrinsics[0, 2] == 10
    assert scene.notes == ("2 of the 12 pictures in transforms_train.json do not exist; their views are poses only",)


def test_none_of_the_pictures_is_too_few(folder):
    for path in (folder / "val").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"transforms_val.json lists 1 pictures and none exists"):
        read_nerf_synthetic(folder)


def test_copies_without_alpha_are_opaque_and_noted(folder, scene):
    write_image(folder / "train" / "r_1.png", scene.views[1].image)
    found = read_nerf_synthetic(folder, ("train",))
    assert "1 pictures in transforms_train.json have no alpha channel" in found.notes[0]
    assert found.views[1].image.background is None
    np.testing.assert_array_equal(np.rint(load_image(found.views[1]) * 255), scene.views[1].image)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.pop("frames"), "has no list 'frames'"),
        (lambda c: c.update(frames=[]), "has no list 'frames'"),
        (lambda c: c.update(frames={"a": 1}), "has no list 'frames'"),
        (lambda c: c.pop("camera_angle_x"), "camera_angle_x None; expected an angle"),
        (lambda c: c.update(camera_angle_x=4.0), "camera_angle_x 4.0"),
        (lambda c: c.update(camera_angle_x="0.7"), "camera_angle_x 0.7"),
        (lambda c: c["frames"].__setitem__(2, 7), "frame 2 has no file_path"),
        (lambda c: c["frames"][2].pop("file_path"), "frame 2 has no file_path"),
        (lambda c: c["frames"][2].update(file_path="../../secret"), r"frame 2 names the file '../../secret'"),
        (lambda c: c["frames"][2].update(file_path="/etc/passwd"), r"frame 2 names the file '/etc/passwd'"),
        (lambda c: c["frames"][2].pop("transform_matrix"), "frame 2 has no transform_matrix"),
        (lambda c: c["frames"][2].update(transform_matrix=[[1, 2], [3]]), "frame 2 has no transform_matrix"),
        (lambda c: c["frames"][2].update(transform_matrix=[["a"] * 4] * 4), "frame 2 has no transform_matrix"),
        (lambda c: c["frames"][2]["transform_matrix"][0].__setitem__(3, float("nan")), "frame 2 .*not finite"),
        (lambda c: c["frames"][2]["transform_matrix"][0].__setitem__(0, 9.0), "frame 2 .*not orthonormal"),
        (lambda c: c["frames"][2]["transform_matrix"].reverse(), "frame 2 .*last row|frame 2 .*orthonormal"),
        (lambda c: c["frames"][2].update(c["frames"][1]), "two views called 'train-r_1'"),
    ],
)
def test_broken_files_are_refused_with_their_frame(folder, change, complaint):
    change_json(folder, change)
    with pytest.raises(ValueError, match=complaint):
        read_nerf_synthetic(folder, ("train",))


def test_rows_negated_in_place_of_columns_move_the_camera(folder, scene):
    # The commonest mistake of all: the reader must not agree with a file made this way.
    def change(content):
        matrix = np.array(content["frames"][0]["transform_matrix"])
        content["frames"][0]["transform_matrix"] = (np.diag([1, -1, -1, 1.0]) @ matrix).tolist()

    change_json(folder, change)
    view = read_nerf_synthetic(folder, ("train",)).views[0]
    assert np.abs(view.world_to_cam - scene.views[0].world_to_cam).max() > 0.5


def test_a_pose_of_three_rows_is_completed(folder, scene):
    change_json(folder, lambda content: content["frames"][0]["transform_matrix"].pop())
    view = read_nerf_synthetic(folder, ("train",)).views[0]
    np.testing.assert_allclose(view.world_to_cam, scene.views[0].world_to_cam, atol=1e-12)


def test_unknown_splits_and_missing_files_are_named(folder):
    with pytest.raises(ValueError, match="splits train, val and test, not 'eval'"):
        read_nerf_synthetic(folder, ("eval",))
    (folder / "transforms_val.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"transforms_val.json"):
        read_nerf_synthetic(folder)


def test_the_training_split_never_exceeds_a_hundred(tmp_path):
    view = make_scene("a", num_views=1, size=(8, 8), centered=True).views[0]
    scene = make_scene("many", num_views=2, size=(8, 8), centered=True)
    many = type(scene)("many", (view,) * 139, scene.near_far, scene.mesh)
    write_nerf_synthetic(tmp_path, many)
    assert [len(ids) for ids in read_nerf_synthetic(tmp_path / "many").splits.values()] == [100, 13, 26]
    with pytest.raises(ValueError, match="needs 3 views; many has 2"):
        write_nerf_synthetic(tmp_path, scene)


def test_lego_has_its_known_numbers(real_data):
    scene = read_nerf_synthetic(real_data / "nerf_synthetic" / "lego")
    assert [len(ids) for ids in scene.splits.values()] == [50, 5, 10] and scene.notes == ()
    assert scene.views[0].intrinsics[0, 0] == pytest.approx(1111.111, abs=1e-3)
    assert np.linalg.norm(scene.views[0].center) == pytest.approx(4.0311, abs=1e-4)
    assert scene.views[1].name == "train-r_2"
