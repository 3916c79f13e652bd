import dataclasses
import json

import numpy as np
import pytest

from common.camera_paths import in_another_world, pinhole, read_any_path
from common.conversion.nerfstudio_scene import convert_nerfstudio_capture, read_trained_to_scene
from common.datasets.nerfstudio_worlds import read_nerfstudio_worlds
from common.datasets.scene import Distortion
from common.datasets.xscale import read_xscale
from common.io.images import read_pixels
from common.path_rendering import FilmOptions, render_film
from tests.mesh_renderer import MeshRenderer
from tests.nerfstudio import COLMAP_BEFORE, COLMAP_TODAY, FLIP, export_path, to_trained_pose, train, write_capture
from tests.scenes import make_scene, texture

CASES = {
    "today": {},
    "scaled": {"applied_scale": 0.37},
    "before": {"applied": COLMAP_BEFORE, "stated": False},
}
HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5]])
FIELD_OF_VIEW = 2 * np.degrees(np.arctan(0.5 * 120 / 192))  # vertical, degrees, of the scene's lens


@pytest.fixture(scope="module")
def centered():
    return make_scene(num_views=3, size=(160, 120), centered=True)


def capture_of(folder, scene, case):
    """transforms.json, dataparser_transforms.json and the truth about the trained world."""
    transforms = write_capture(folder, scene, **CASES[case])
    if case == "before":
        (transforms.parent / "colmap" / "sparse" / "0").mkdir(parents=True)
    applied = CASES[case].get("applied", COLMAP_TODAY)
    return transforms, *train(transforms, folder, applied)


def poses_of(transforms):
    return [np.array(frame["transform_matrix"]) for frame in json.loads(transforms.read_text())["frames"]]


@pytest.mark.parametrize("case", CASES)
def test_every_world_leads_to_every_other(centered, tmp_path, case):
    transforms, dataparser, to_trained = capture_of(tmp_path, centered, case)
    applied = CASES[case].get("applied", COLMAP_TODAY)
    original = np.random.default_rng(1).normal(size=(10, 3))
    file = CASES[case].get("applied_scale", 1.0) * (original @ applied[:, :3].T + applied[:, 3])
    points = {"original": original, "file": file, "trained": to_trained(file)}
    worlds = read_nerfstudio_worlds(transforms, dataparser)
    for source, start in points.items():
        for target, end in points.items():
            similarity = worlds.between(source, target)
            np.testing.assert_allclose(start @ similarity[:3, :3].T + similarity[:3, 3], end, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_a_path_exported_over_the_photographs_renders_the_photographs(centered, tmp_path, case):
    """The whole circle: a capture, nerfstudio's training world, its viewer's path, and our pictures from it."""
    transforms, dataparser, to_trained = capture_of(tmp_path, centered, case)
    trained = [to_trained_pose(pose, to_trained) for pose in poses_of(transforms)]
    exported = export_path(tmp_path, trained, FIELD_OF_VIEW, (160, 120))
    centered.mesh.export(tmp_path / "mesh.ply")
    convert_nerfstudio_capture(transforms, tmp_path / "mesh.ply", tmp_path / "scene", dataparser=dataparser)

    trained_to_scene = read_trained_to_scene(tmp_path / "scene" / "nerfstudio.json")
    path = read_any_path(exported, pinhole(1.0, (1, 1), (0.1, 10.0)))
    cameras = tuple(in_another_world(camera, trained_to_scene) for camera in path.cameras)
    for camera, view in zip(cameras, centered.views, strict=True):
        np.testing.assert_allclose(camera.world_to_cam.numpy(), view.world_to_cam, atol=1e-9)
        np.testing.assert_allclose(camera.intrinsics.numpy(), view.intrinsics, atol=1e-9)

    moved = dataclasses.replace(path, cameras=cameras)
    frames = render_film(MeshRenderer(centered.mesh, texture), moved, tmp_path / "film", {}, FilmOptions(video=False))
    for frame, view in zip(frames, centered.views, strict=True):
        difference = np.abs(read_pixels(frame).astype(int) - view.image)
        assert np.median(difference) <= 1 and difference.mean() < 4, "the sphere is facetted, nothing else differs"


def test_the_dataparsers_file_alone_leads_to_the_reconstruction(centered, tmp_path):
    _, dataparser, to_trained = capture_of(tmp_path, centered, "today")
    similarity = read_trained_to_scene(dataparser)
    points = np.random.default_rng(1).normal(size=(5, 3))
    trained = to_trained(points @ COLMAP_TODAY[:, :3].T)
    np.testing.assert_allclose(trained @ similarity[:3, :3].T + similarity[:3, 3], points, atol=1e-9)


@pytest.mark.parametrize("world", ["original", "file", "trained"])
def test_the_scene_lives_in_the_world_of_its_mesh(centered, tmp_path, world):
    transforms, dataparser, _ = capture_of(tmp_path, centered, "scaled")
    to_world = read_nerfstudio_worlds(transforms, dataparser).between("original", world)
    mesh = centered.mesh.copy()
    mesh.apply_transform(to_world)
    mesh.export(tmp_path / "surface.obj")
    out = tmp_path / "scene"
    convert_nerfstudio_capture(transforms, tmp_path / "surface.obj", out, mesh_world=world, dataparser=dataparser)
    assert (out / "surface.obj").read_bytes() == (tmp_path / "surface.obj").read_bytes()
    scene = read_xscale(out).with_pixel_origin("center")
    corner = np.array([*mesh.vertices[0], 1.0])
    original = np.linalg.inv(to_world) @ corner
    for view, truth in zip(scene.views, centered.views, strict=True):
        seen, expected = view.intrinsics @ (view.world_to_cam @ corner)[:3], (truth.world_to_cam @ original)[:3]
        expected = truth.intrinsics @ expected
        np.testing.assert_allclose(seen[:2] / seen[2], expected[:2] / expected[2], atol=1e-4)


def test_lenses_are_undone(tmp_path):
    scene = make_scene(num_views=2, size=(160, 120))
    transforms = write_capture(tmp_path, scene, lens=Distortion("opencv", (-0.1, 0.02, 0.001, -0.002)))
    scene.mesh.export(tmp_path / "mesh.ply")
    names = convert_nerfstudio_capture(transforms.parent, tmp_path / "mesh.ply", tmp_path / "scene", dsp_factor=2)
    assert names == ("frame_00001", "frame_00002")
    for view, truth in zip(read_xscale(tmp_path / "scene", 2).views, scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics[:2], (truth.intrinsics[:2] + HALF_PIXEL) / 2)
        picture = read_pixels(view.image.path)[10:-10, 10:-10].astype(int)
        averaged = truth.image.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))[10:-10, 10:-10]
        assert np.abs(picture - averaged).mean() < 12
    with pytest.raises(ValueError, match="does not say where nerfstudio trained; convert the capture again"):
        read_trained_to_scene(tmp_path / "scene" / "nerfstudio.json")


def test_a_mesh_of_another_world_is_noticed(centered, tmp_path):
    transforms, dataparser, _ = capture_of(tmp_path, centered, "today")
    mesh = centered.mesh.copy()
    mesh.apply_translation([0, 500, 0])
    mesh.export(tmp_path / "far.ply")
    with pytest.raises(ValueError, match=r"no camera sees the mesh .*far\.ply in the world 'original'; say with"):
        convert_nerfstudio_capture(transforms, tmp_path / "far.ply", tmp_path / "scene", dataparser=dataparser)
    assert not (tmp_path / "scene").exists()


def test_bad_input_is_one_sentence(centered, tmp_path):
    transforms, dataparser, _ = capture_of(tmp_path, centered, "today")
    centered.mesh.export(tmp_path / "mesh.ply")
    (tmp_path / "broken.ply").write_text("nothing")
    mesh, out = tmp_path / "mesh.ply", tmp_path / "scene"
    with pytest.raises(FileNotFoundError, match=r"missing\.ply"):
        convert_nerfstudio_capture(transforms, tmp_path / "missing.ply", out)
    with pytest.raises(ValueError, match=r"broken\.ply is no mesh"):
        convert_nerfstudio_capture(transforms, tmp_path / "broken.ply", out)
    with pytest.raises(FileNotFoundError, match=r"transforms\.json; expected a capture"):
        convert_nerfstudio_capture(tmp_path, mesh, out)
    with pytest.raises(ValueError, match=r"dataparser_transforms\.json, in the folder of the training run"):
        convert_nerfstudio_capture(transforms, mesh, out, mesh_world="trained")
    good = json.loads(dataparser.read_text())
    for change, told in [
        ({"scale": 0}, "scale must be a positive number"),
        ({"scale": None}, "has no 'scale'"),
        ({"transform": [[1, 0, 0, 0]]}, "transform must be 3 x 4 finite numbers"),
        ({"transform": (np.array(good["transform"]) * [[1], [1], [-1]]).tolist()}, "no rotation with a scale"),
        ({"transform": (np.array(good["transform"]) * [[1], [1], [2]]).tolist()}, "no rotation with a scale"),
    ]:
        dataparser.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=told):
            read_nerfstudio_worlds(transforms, dataparser)
    dataparser.write_text('{"frames": []}')
    with pytest.raises(ValueError, match=r"is neither nerfstudio\.json"):
        read_trained_to_scene(dataparser)


def test_poses_of_the_helper_are_nerfstudios(centered, tmp_path):
    """The file's poses, brought back, are the cameras of the scene: the helper's axes are OpenGL's."""
    transforms = write_capture(tmp_path, centered)
    pose = np.linalg.inv(np.vstack([COLMAP_TODAY, [0, 0, 0, 1]])) @ poses_of(transforms)[1] @ FLIP
    np.testing.assert_allclose(np.linalg.inv(pose), centered.views[1].world_to_cam, atol=1e-9)
