import json
import logging

import cv2
import numpy as np
import pytest

from common.datasets.loading import load_depth, load_image, load_mask
from common.datasets.scene import Distortion
from common.datasets.transforms import read_transforms
from common.datasets.writers.transforms import write_transforms
from common.io.images import write_image
from common.io.masks import write_mask


@pytest.fixture
def capture(rendered_scene, tmp_path):
    write_transforms(tmp_path, rendered_scene, lens=None)
    return tmp_path / "toy"


def edit(capture, change, name="transforms.json"):
    """Apply `change` to the content of the json."""
    content = json.loads((capture / name).read_text())
    change(content)
    (capture / name).write_text(json.dumps(content))


def test_a_camera_without_rotation_looks_along_minus_z_with_y_up(capture):
    pose = np.eye(4)
    pose[2, 3] = 5
    edit(capture, lambda content: content["frames"][0].update(transform_matrix=pose.tolist()))
    world_to_cam = read_transforms(capture).views[0].world_to_cam
    np.testing.assert_allclose(world_to_cam @ [0, 0, 0, 1], [0, 0, 5, 1])
    np.testing.assert_allclose(world_to_cam @ [1, 2, 0, 1], [1, -2, 5, 1])  # up in the world is up in the picture


@pytest.mark.parametrize("dialect", ["nerfstudio", "ngp"])
def test_what_is_written_comes_back_in_both_dialects(rendered_scene, tmp_path, dialect):
    write_transforms(tmp_path, rendered_scene, lens=None, dialect=dialect)
    scene = read_transforms(tmp_path / "toy")
    assert scene.pixel_origin == "corner"
    for view, truth in zip(scene.with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        assert view.distortion is None
        np.testing.assert_allclose(load_depth(view), truth.depth, atol=6e-4)  # stored in thousandths
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)


def test_a_lens_is_kept(rendered_scene, tmp_path):
    lens = Distortion("opencv", (-0.05, 0.01, 0.001, -0.002))
    write_transforms(tmp_path, rendered_scene, lens=lens)
    assert read_transforms(tmp_path / "toy").views[0].distortion == Distortion("opencv", (*lens.coefficients, 0.0))


def test_the_order_of_the_file_is_kept_and_missing_photographs_are_counted_in_one_line(capture, caplog):
    edit(capture, lambda content: content["frames"].reverse())
    (capture / "images" / "frame_00002.png").unlink()
    (capture / "images" / "frame_00004.png").unlink()
    with caplog.at_level(logging.WARNING):
        scene = read_transforms(capture)
    assert [view.name for view in scene.views] == ["frame_00005", "frame_00003", "frame_00001"]
    assert scene.notes == ("skipped 2 of 5 frames of transforms.json without a photograph",)
    assert len(caplog.records) == 1


def test_no_photograph_at_all_is_an_error(capture):
    for path in (capture / "images").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="none of the photographs"):
        read_transforms(capture)


@pytest.mark.parametrize("path", ["images\\frame_00001.png", "images/frame_00001", "./images/frame_00001.png"])
def test_backslashes_and_missing_extensions_are_understood(capture, path):
    edit(capture, lambda content: content["frames"][0].update(file_path=path))
    assert read_transforms(capture).views[0].image.path.name == "frame_00001.png"


def test_upper_case_extensions_are_found(capture):
    (capture / "images" / "frame_00001.png").rename(capture / "images" / "frame_00001.PNG")
    edit(capture, lambda content: content["frames"][0].update(file_path="images/frame_00001"))
    assert len(read_transforms(capture).views) == 5


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "..\\..\\secret.png", ""])
@pytest.mark.parametrize("key", ["file_path", "depth_file_path", "mask_path"])
def test_paths_out_of_the_folder_are_refused(capture, path, key):
    edit(capture, lambda content: content["frames"][2].update({key: path}))
    with pytest.raises(ValueError, match=r"frame 2 .*not inside"):
        read_transforms(capture)


def test_photographs_of_another_size_are_refused(capture):
    write_image(capture / "images" / "frame_00001.png", np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(ValueError, match=r"is made for 64 x 48 pixels but .* has 32 x 24"):
        read_transforms(capture)


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (np.diag([1.0, 1.0, -1.0, 1.0]), "determinant -1"),
        (np.diag([1.0, 1.1, 1.0, 1.0]), "not orthonormal"),
        (np.diag([1.0, 1.0, 1.0, 2.0]), "last row"),
    ],
)
def test_poses_that_are_no_rotations_are_refused(capture, matrix, sentence):
    edit(capture, lambda content: content["frames"][1].update(transform_matrix=matrix.tolist()))
    with pytest.raises(ValueError, match=rf"frame 1 .*{sentence}"):
        read_transforms(capture)


def test_negative_focal_lengths_are_refused(capture):
    edit(capture, lambda content: content["frames"][0].update(fl_x=-50.0))
    with pytest.raises(ValueError, match=r"transforms\.json: frame 0 .* focal lengths -50"):
        read_transforms(capture)


def test_listed_splits_become_view_ids(capture):
    names = [f"images/frame_{index:05d}.png" for index in range(1, 6)]
    (capture / "images" / "frame_00001.png").unlink()
    edit(capture, lambda content: content.update(train_filenames=names[:3], test_filenames=names[3:]))
    assert read_transforms(capture).splits == {"train": (0, 1), "test": (2, 3)}


def test_the_three_files_of_nerf_synthetic_become_splits(rendered_scene, tmp_path):
    for split in ("train", "test"):
        write_transforms(tmp_path / split, rendered_scene, lens=None)
        (tmp_path / split / "toy").rename(tmp_path / f"{split}_toy")
        edit(
            tmp_path / f"{split}_toy",
            lambda content, s=split: [f.update(file_path=f"{s}_toy/{f['file_path']}") for f in content["frames"]],
        )
        (tmp_path / f"{split}_toy" / "transforms.json").rename(tmp_path / f"transforms_{split}.json")
        edit(
            tmp_path, lambda content: [f.pop("depth_file_path") for f in content["frames"]], f"transforms_{split}.json"
        )
    scene = read_transforms(tmp_path)
    assert scene.splits == {"train": (0, 1, 2, 3, 4), "test": (5, 6, 7, 8, 9)}
    assert scene.views[0].name != scene.views[5].name


def test_masks_of_both_programs_mark_what_to_keep(capture, rendered_scene):
    truth = rendered_scene.views[0].mask
    write_mask(capture / "m.png", truth)
    edit(capture, lambda content: content["frames"][0].update(mask_path="m.png"))
    write_mask(capture / "images" / "dynamic_mask_frame_00002.png", rendered_scene.views[1].mask)
    views = read_transforms(capture).views
    np.testing.assert_array_equal(load_mask(views[0]), truth)
    np.testing.assert_array_equal(load_mask(views[1]), ~rendered_scene.views[1].mask)
    assert views[2].mask is None


def test_nerfstudios_change_of_the_world_can_be_undone(capture, rendered_scene):
    transform = np.eye(4)
    transform[:3, :3] = cv2.Rodrigues(np.array([0.3, -1.0, 2.0]))[0]
    transform[:3, 3] = [1, 2, 3]
    scale = 0.25

    def change(content):
        content.update(applied_transform=transform[:3].tolist(), applied_scale=scale)
        for frame in content["frames"]:
            pose = transform @ frame["transform_matrix"]
            pose[:3, 3] *= scale
            frame["transform_matrix"] = pose.tolist()

    edit(capture, change)
    as_stored, original = read_transforms(capture), read_transforms(capture, original_world=True)
    for view, stored, truth in zip(original.views, as_stored.views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        np.testing.assert_allclose(load_depth(view), truth.depth, atol=6e-4)
        np.testing.assert_allclose(load_depth(stored), scale * truth.depth, atol=6e-4)
        assert np.abs(stored.world_to_cam - truth.world_to_cam).max() > 0.1


def test_a_missing_file_or_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no transforms\.json in"):
        read_transforms(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_transforms(tmp_path / "nowhere")


def test_names_that_are_not_ascii_work(capture):
    (capture / "images" / "frame_00001.png").rename(capture / "images" / "Müller Straße.png")
    edit(capture, lambda content: content["frames"][0].update(file_path="images/Müller Straße.png"))
    assert read_transforms(capture).views[0].name == "Müller Straße"


def test_the_fox_has_50_of_its_67_photographs(real_data):
    scene = read_transforms(real_data / "fox")
    assert len(scene.views) == 50 and scene.views[0].image.size == (1080, 1920)
    assert scene.notes == ("skipped 17 of 67 frames of transforms.json without a photograph",)


def test_lego_camera_0_is_where_it_should_be(real_data):
    view = read_transforms(real_data / "nerf_synthetic" / "lego").views[0]
    assert np.linalg.norm(view.center) == pytest.approx(4.0311, abs=1e-4)
    assert view.intrinsics[0, 0] == pytest.approx(1111.111, abs=1e-3)
