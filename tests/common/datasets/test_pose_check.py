import dataclasses

import numpy as np
import pytest

from common.datasets.llff import read_llff
from common.datasets.pose_check import check_poses, epipolar_distances
from common.datasets.scene import ImageFile
from common.datasets.writers.llff import write_llff
from common.io.images import write_image
from common.synthetic import generate


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A generated room from eight places, as photographs on disk."""
    folder = tmp_path_factory.mktemp("poses")
    write_llff(folder, generate(5, "forward", (240, 180), 8, "room"))
    return read_llff(folder / "room")


def moved(scene, poses):
    views = (dataclasses.replace(view, world_to_cam=pose) for view, pose in zip(scene.views, poses, strict=True))
    return dataclasses.replace(scene, views=tuple(views))


def test_right_cameras_pass(scene):
    check_poses(scene)


def test_cameras_of_another_scene_are_refused(scene):
    poses = [view.world_to_cam for view in scene.views]
    with pytest.raises(ValueError, match=r"the cameras of room/high do not fit its .* belongs to another scene"):
        check_poses(moved(scene, poses[3:] + poses[:3]), place="room/high")


def test_a_pair_that_fits_by_chance_does_not_save_the_others(scene, caplog):
    poses = [view.world_to_cam for view in scene.views]
    with pytest.raises(ValueError, match=r"off their epipolar lines in \d of \d pairs"):
        check_poses(moved(scene, poses[:2] + poses[5:] + poses[2:5]))
    check_poses(moved(scene, poses[:7] + poses[:1]))
    assert "pairs of views contradict their cameras" in caplog.text


def test_pictures_without_features_pass(scene, tmp_path):
    write_image(tmp_path / "blank.png", np.full((180, 240, 3), 128, np.uint8))
    blank = ImageFile(tmp_path / "blank.png", (240, 180))
    views = tuple(dataclasses.replace(view, image=blank) for view in scene.views)
    check_poses(dataclasses.replace(scene, views=views[::-1]))
    check_poses(dataclasses.replace(scene, views=tuple(dataclasses.replace(view, image=None) for view in views)))


def test_cameras_in_one_place_say_nothing(scene):
    check_poses(moved(scene, [scene.views[0].world_to_cam] * len(scene.views)))


def test_a_point_lies_on_the_epipolar_line_of_its_partner(scene):
    first, second = scene.views[0], scene.views[3]
    points = np.random.default_rng(0).normal(size=(20, 3)) + np.linalg.inv(first.world_to_cam)[:3] @ [0, 0, 20, 1]

    def project(view):
        seen = (points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]) @ view.intrinsics.T
        return seen[:, :2] / seen[:, 2:]

    distances = epipolar_distances(first, second, project(first), project(second))
    np.testing.assert_allclose(distances, 0, atol=1e-6)
    moved_down = project(second) + np.array([0, 5.0])
    distances = epipolar_distances(first, second, project(first), moved_down)
    assert (distances > 0.1).any() and (distances <= 5 + 1e-6).all()
