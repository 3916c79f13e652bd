"""Films of a scene on disk, by the command; the model is small and untrained, but not grey."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from common.cameras import Camera
from common.datasets.scene import Scene
from common.datasets.writers.xscale import write_xscale
from common.io.camera_path import read_camera_path
from common.io.images import read_pixels
from tests.nerfstudio import export_path, to_trained_pose, train, write_capture
from tests.scenes import camera_pose, make_scene
from xscale_nvs import load, renderer
from xscale_nvs.agents.navigate import main
from xscale_nvs.model_checkpoints import save_model
from xscale_nvs.parameters import load_params
from xscale_nvs.test_views import render_test_views

ROOT = Path(__file__).parents[2]
SIZE = (96, 72)
SCENE = make_scene("toy", num_views=5, size=SIZE, centered=True)
FOCAL = float(SCENE.views[0].intrinsics[1, 1])
VIEWS = {"all_view_list": "0:5", "test_view_list": "1:3"}
SMALL = {"hash_n_levels": 4, "log2_hashmap_size": 10, "z_length_s": 2, "descriptor_dim": 16, "hash_base_resol": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scene folder and a checkpoint whose colours differ from point to point."""
    place = tmp_path_factory.mktemp("navigate")
    write_xscale(place / "data", SCENE)
    model = load(None, overrides=words(SMALL | VIEWS))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("spatial_enc.params"):
                parameter.copy_(torch.rand(len(parameter), generator=torch.Generator().manual_seed(0)) - 0.5)
            elif "layer_sl" in name:
                parameter.mul_(25)
    save_model(place / "state", model, 0, 0, 1e-4)
    return place


@pytest.fixture
def settings(place, tmp_path):
    """KEY VALUE words of the scene; outputs go to the test's own folder."""
    own = {"root_file": tmp_path, "datasetFolder": place / "data", "modelName": "toy", "dsp_factor": 1}
    own |= {"load_checkpoint_dir": place / "state" / "best.pth.tar", "use_cuda": False}
    own |= {"navigation_focal": FOCAL, "navigation_W": SIZE[0], "navigation_H": SIZE[1]}
    return words(SMALL | VIEWS | own)


def words(settings):
    return [str(word) for pair in settings.items() for word in pair]


def poses(ids):
    return np.linalg.inv(np.stack([SCENE.views[index].world_to_cam for index in ids]))


def film(tmp_path, name):
    frames = sorted((tmp_path / "point_exp" / "toy" / "navigation" / name / "frames").glob("*.png"))
    return [read_pixels(frame) for frame in frames]


def test_a_path_through_the_test_views_gives_the_pictures_of_the_test_views(settings, tmp_path, capsys):
    """The paper's camera has one focal length and a centred axis; so has navigation_path."""
    np.save(tmp_path / "syt.npy", poses([1, 2]))
    main(["--depth", *settings, "navigation_path", str(tmp_path / "syt.npy")])
    render_test_views(load_params(overrides=settings))
    frames = film(tmp_path, "syt")
    assert "2 frames and video.mp4 are in" in capsys.readouterr().out
    for index, (view, frame) in enumerate(zip((1, 2), frames, strict=True)):
        expected = read_pixels(tmp_path / "point_exp" / "toy" / "nv" / f"colour_{view}.png")
        difference = np.abs(frame.astype(int) - expected)
        assert (difference > 1).mean() < 1e-3 and frame.std() > 20
        depth = np.load(tmp_path / "point_exp" / "toy" / "navigation" / "syt" / "depth" / f"{index:05d}.npy")
        assert np.median(np.abs(depth - SCENE.views[view].depth)) < 1e-3


def test_frames_are_what_the_renderer_gives_for_the_cameras_of_the_path(settings, tmp_path):
    main(["--path", "orbit", "--frames", "3", "--size", "61", "45", "--no_video", *settings])
    cameras, _ = read_camera_path(tmp_path / "point_exp" / "toy" / "navigation" / "orbit" / "path.json")
    assert [(camera.width, camera.height) for camera in cameras] == [(61, 45)] * 3
    method = renderer(settings[settings.index("load_checkpoint_dir") + 1], overrides=settings)
    method.prepare(Scene("toy", (), mesh=Path(settings[settings.index("datasetFolder") + 1]) / "toy" / "1.obj"), ())
    for camera, frame in zip(cameras, film(tmp_path, "orbit"), strict=True):
        pinhole = Camera(*map(torch.from_numpy, (camera.intrinsics, camera.world_to_cam)), 45, 61, (1e-3, 1e3))
        expected = (method.render(pinhole).rgb.numpy() * 256).clip(0, 255).astype(np.uint8)
        assert (np.abs(frame.astype(int) - expected) > 1).mean() < 1e-3


@pytest.mark.parametrize("name", ["interpolated", "spiral"])
def test_named_paths_see_the_scene(settings, tmp_path, name):
    main(["--path", name, "--frames", "4", "--views", "0,1,2", "--size", "48", "36", "--fps", "5", *settings])
    frames = film(tmp_path, name)
    assert len(frames) == (5 if name == "interpolated" else 4), "an interpolated path gives every leg the same"
    assert all((frame < 255).any(axis=-1).mean() > 0.5 for frame in frames)
    capture = cv2.VideoCapture(str(tmp_path / "point_exp" / "toy" / "navigation" / name / "video.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames) and capture.get(cv2.CAP_PROP_FPS) == 5


def test_nerfstudios_path_is_brought_into_the_scene(settings, place, tmp_path):
    """A capture of the scene, trained by nerfstudio, whose viewer exported a path over its photographs."""
    transforms = write_capture(tmp_path, SCENE)
    dataparser, to_trained = train(transforms, tmp_path)
    stored = [np.array(frame["transform_matrix"]) for frame in json.loads(transforms.read_text())["frames"]]
    fov = 2 * np.degrees(np.arctan(SIZE[1] / 2 / FOCAL))
    exported = export_path(tmp_path, [to_trained_pose(pose, to_trained) for pose in stored[1:3]], fov, SIZE)
    main(["--path", str(exported), "--nerfstudio", str(dataparser), *settings])
    np.save(tmp_path / "syt.npy", poses([1, 2]))
    main(["--path", str(tmp_path / "syt.npy"), *settings])
    for frame, expected in zip(film(tmp_path, "camera_path"), film(tmp_path, "syt"), strict=True):
        assert (np.abs(frame.astype(int) - expected) > 1).mean() < 2e-3


def test_a_film_of_other_weights_or_settings_is_not_mixed_in(settings, tmp_path):
    np.save(tmp_path / "syt.npy", poses([0]))
    command = ["--path", str(tmp_path / "syt.npy"), "--no_video", *settings]
    main(command)
    main([*command, "infer_batch_size", "1000"])  # changes no picture
    with pytest.raises(ValueError, match="ss_ratio differs"):
        main([*command, "ss_ratio", "2"])
    other = tmp_path / "other.pth.tar"
    content = torch.load(settings[settings.index("load_checkpoint_dir") + 1], weights_only=True)
    content["spatial_encoding_dict"]["spatial_enc.params"] += 0.1
    torch.save({key: value for key, value in content.items() if "checksum" not in key}, other)
    with pytest.raises(ValueError, match="checkpoint differs"):
        main([*command, "load_checkpoint_dir", str(other)])


@pytest.mark.parametrize(
    ("flags", "change", "error", "told"),
    [
        (["--path", "zigzag"], [], ValueError, "zigzag is no camera path; expected interpolated, orbit, spiral"),
        (["--path", "no.npy"], [], FileNotFoundError, r"no file no\.npy"),
        (["--path", "orbit", "--views", "0,9"], [], ValueError, "names view 9"),
        (["--path", "orbit", "--frames", "0"], [], ValueError, "at least one frame"),
        (["--path", "orbit"], ["load_checkpoint_dir", "gone.pth.tar"], FileNotFoundError, "no checkpoint gone"),
        (["--path", "orbit"], ["meshName", "gone.obj"], FileNotFoundError, "no mesh"),
        (["--path", "orbit", "--size", "0", "8"], [], ValueError, "has 0 x 8 pixels"),
        (["--path", "orbit", "--nerfstudio", "x.json"], [], ValueError, "'orbit' needs no such file"),
        ([], [], FileNotFoundError, r"syt\.npy"),
    ],
)
def test_bad_requests_are_one_sentence(settings, tmp_path, flags, change, error, told):
    with pytest.raises(error, match=told) as caught:
        main([*flags, *settings, *change])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "point_exp").exists()


def run(folder, *arguments):
    """Start the command as a user who stands in `folder` does."""
    script = (ROOT / "xscale_nvs" / "agents" / "navigate.py").relative_to(ROOT / folder)
    return subprocess.run([sys.executable, script, *arguments], cwd=ROOT / folder, capture_output=True, text=True)


def test_the_command_works_from_the_root(settings, tmp_path):
    np.save(tmp_path / "syt.npy", poses([0]))
    ran = run(".", "--path", str(tmp_path / "syt.npy"), *settings)
    assert ran.returncode == 0, ran.stderr
    assert "1 frames and video.mp4 are in" in ran.stdout


@pytest.mark.parametrize("folder", ["xscale_nvs", "xscale_nvs/agents"])
def test_the_command_works_from_inside_and_ends_with_one_sentence(settings, tmp_path, folder):
    np.save(tmp_path / "syt.npy", np.full((1, 4, 4), np.nan))
    ran = run(folder, "--path", str(tmp_path / "syt.npy"), *settings)
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: ")
    assert ran.stderr.splitlines()[-1].endswith("frame 0 has a pose with numbers that are not finite")


def test_a_pose_beside_the_scene_is_white(settings, tmp_path):
    away = np.linalg.inv(camera_pose(0.0, 0.5, 0.0))
    away[:3, :3] = away[:3, :3] @ np.diag([-1.0, 1, -1])  # about-turn
    np.save(tmp_path / "syt.npy", away[None])
    main(["--path", str(tmp_path / "syt.npy"), "--no_video", "--depth", *settings])
    assert (film(tmp_path, "syt")[0] == 255).all()
