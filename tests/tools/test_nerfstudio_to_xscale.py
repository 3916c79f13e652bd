"""The bridge by its command: a capture goes in, and camera paths of the viewer find their way into the scene."""

import json

import numpy as np
import pytest

from tests.nerfstudio import export_path, to_trained_pose, train, write_capture
from tests.scenes import make_scene
from tools.nerfstudio_to_xscale import main
from xscale_nvs.navigation import Wish, choose_path
from xscale_nvs.parameters import load_params
from xscale_nvs.scene_files import open_scene

SCENE = make_scene("toy", num_views=3, size=(80, 60), centered=True)


@pytest.fixture
def capture(tmp_path):
    transforms = write_capture(tmp_path, SCENE)
    dataparser, to_trained = train(transforms, tmp_path)
    SCENE.mesh.export(tmp_path / "surface.ply")
    poses = [np.array(frame["transform_matrix"]) for frame in json.loads(transforms.read_text())["frames"]]
    path = export_path(tmp_path, [to_trained_pose(pose, to_trained) for pose in poses], 50.0, (80, 60))
    return transforms.parent, dataparser, path


def convert(tmp_path, capture, *flags):
    arguments = ["--capture", capture, "--mesh", tmp_path / "surface.ply", "--output", tmp_path / "scenes" / "toy"]
    main([str(argument) for argument in [*arguments, *flags]])


def chosen_poses(tmp_path, path):
    words = ["root_file", "r", "datasetFolder", tmp_path / "scenes", "modelName", "toy", "meshName", "surface.ply"]
    params = load_params(overrides=[str(word) for word in [*words, "dsp_factor", 1, "all_view_list", "0:3"]])
    found = choose_path(Wish(str(path)), params, open_scene(params))
    return [camera.world_to_cam.numpy() for camera in found.cameras]


def test_a_path_of_the_viewer_finds_the_converted_scene_by_itself(capture, tmp_path, capsys):
    folder, dataparser, path = capture
    convert(tmp_path, folder, "--dataparser_transforms", dataparser)
    assert "3 views and the mesh surface.ply are in" in capsys.readouterr().out
    for pose, view in zip(chosen_poses(tmp_path, path), SCENE.views, strict=True):
        np.testing.assert_allclose(pose, view.world_to_cam, atol=1e-9)
    assert not capsys.readouterr().out


def test_without_the_training_run_a_path_is_refused_and_beside_a_scene_it_is_announced(capture, tmp_path, capsys):
    folder, _, path = capture
    convert(tmp_path, folder)
    with pytest.raises(ValueError, match="convert the capture again with --dataparser_transforms"):
        chosen_poses(tmp_path, path)
    (tmp_path / "scenes" / "toy" / "nerfstudio.json").unlink()
    assert not np.allclose(chosen_poses(tmp_path, path)[0], SCENE.views[0].world_to_cam)
    assert "is taken to be in the world of the scene; --nerfstudio says" in capsys.readouterr().out
