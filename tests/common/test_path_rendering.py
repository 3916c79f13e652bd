import json
import resource
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from common.camera_paths import CameraPath, named_path
from common.cameras import Camera, project
from common.io.camera_path import read_camera_path
from common.io.images import read_pixels
from common.path_rendering import FilmOptions, average_light, nearest_depth, render_film, supersampled
from common.renderer import Renderer, Rendering
from common.visualization import to_uint8
from tests.mesh_renderer import MeshRenderer
from tests.scenes import make_scene, texture

SCENE = make_scene(num_views=3, size=(65, 47))


@pytest.fixture
def renderer():
    return MeshRenderer(SCENE.mesh, texture)


@pytest.fixture
def path():
    """Seven frames of 65 x 47 pixels, sides that no codec likes."""
    views = [
        Camera(torch.from_numpy(v.intrinsics), torch.from_numpy(v.world_to_cam), 47, 65, SCENE.near_far)
        for v in SCENE.views
    ]
    return named_path("interpolated", views, 7)


class Edge(Renderer):
    """White left of the world's x = 0, black right of it, at depth 1 or 3; opinions about nothing else."""

    def prepare(self, scene, source_ids):
        pass

    def render(self, camera):
        x = (torch.arange(camera.width) - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0]
        left = (x < 0).float().expand(camera.height, -1)
        return Rendering(left[..., None].expand(-1, -1, 3), 3 - 2 * left, torch.ones_like(left))


def test_frames_are_direct_renderings_of_the_path(renderer, path, tmp_path):
    frames = render_film(renderer, path, tmp_path, {}, FilmOptions(video=False))
    assert [frame.name for frame in frames] == [f"{index:05d}.png" for index in range(7)]
    for frame, camera in zip(frames, path.cameras, strict=True):
        np.testing.assert_array_equal(read_pixels(frame), to_uint8(renderer.render(camera).rgb.numpy()))
    stored, _ = read_camera_path(tmp_path / "path.json")
    np.testing.assert_allclose(stored[3].world_to_cam, path.cameras[3].world_to_cam.numpy(), atol=1e-12)


@pytest.mark.parametrize("supersample", [1, 2])
def test_bands_give_the_picture_of_a_whole_frame_and_stay_small(renderer, path, tmp_path, supersample):
    one = CameraPath(path.cameras[:1])
    whole = FilmOptions(supersample, band_pixels=None, depth=True, video=False)
    (expected,) = render_film(renderer, one, tmp_path / "whole", {}, whole)
    assert len(renderer.cameras) == 1
    renderer.cameras.clear()
    limit = 5 * 65 * supersample**2 + 1
    (frame,) = render_film(renderer, one, tmp_path / "bands", {}, replace(whole, band_pixels=limit))
    assert len(renderer.cameras) == 10  # 47 rows, five at a time
    assert max(camera.width * camera.height for camera in renderer.cameras) <= limit
    difference = np.abs(read_pixels(frame).astype(int) - read_pixels(expected))
    assert (difference > 1).mean() < 1e-3, "only rays that graze an edge may differ, by rounding"
    depths = [np.load(tmp_path / name / "depth" / "00000.npy") for name in ("whole", "bands")]
    assert depths[0].shape == (47, 65) and depths[0].dtype == np.float32
    assert (np.abs(depths[0] - depths[1]) > 1e-4).mean() < 1e-3
    if supersample == 1:
        np.testing.assert_allclose(depths[0], renderer.render(one.cameras[0]).depth.numpy(), atol=1e-6)


def test_samples_lie_evenly_inside_their_pixel(path):
    camera = path.cameras[0]
    points = torch.tensor([[0.1, 0.2, 0.3], [0.4, -0.2, 0.1]], dtype=torch.float64)
    pixels, _ = project(points, camera.intrinsics, camera.world_to_cam)
    for factor in (2, 3):
        finer = supersampled(camera, factor)
        assert (finer.height, finer.width) == (47 * factor, 65 * factor)
        samples, _ = project(points, finer.intrinsics, camera.world_to_cam)
        np.testing.assert_allclose((samples + 0.5) / factor, pixels + 0.5, atol=1e-9)  # from the picture's corner


def test_supersampling_averages_light_and_keeps_the_nearer_depth(tmp_path):
    # The edge passes through the middle of column 3: one sample in two is white, linear 0.5 is sRGB 0.7354.
    intrinsics = torch.tensor([[10.0, 0, 3], [0, 10, 2], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(intrinsics, torch.eye(4, dtype=torch.float64), 5, 8, (1.0, 4.0))
    options = FilmOptions(supersample=2, depth=True, video=False)
    (frame,) = render_film(Edge(), CameraPath((camera,)), tmp_path, {}, options)
    row = [255, 255, 255, 187, 0, 0, 0, 0]
    np.testing.assert_array_equal(read_pixels(frame)[..., 0], [row] * 5)
    np.testing.assert_array_equal(np.load(tmp_path / "depth" / "00000.npy"), [[1, 1, 1, 1, 3, 3, 3, 3]] * 5)


def test_colours_that_do_not_vary_survive_supersampling_exactly():
    levels = (np.arange(256, dtype=np.float32) / 255).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(to_uint8(average_light(levels.repeat(3, 0).repeat(3, 1), 3)), to_uint8(levels))


def test_unknown_depth_is_nobodys_nearest():
    depth = np.array([[0.0, 2, 0, 0], [5, 3, 0, 0]], dtype=np.float32)
    np.testing.assert_array_equal(nearest_depth(depth, 2), [[2, 0]])


def test_the_video_decodes_to_the_frames(renderer, path, tmp_path):
    frames = render_film(renderer, path, tmp_path, {}, FilmOptions(fps=12.5))
    capture = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    grey = [read_pixels(frame).mean(axis=2).astype(np.float32) for frame in frames]
    for index in range(7):
        there, picture = capture.read()
        assert there and picture.shape[:2] == (48, 80)
        distances = [np.abs(picture.mean(axis=2) - cv2.resize(other, (80, 48))).mean() for other in grey]
        assert np.argmin(distances) == index and distances[index] < 12
    assert not capture.read()[0]


def test_an_interrupted_film_continues_where_it_stopped(renderer, path, tmp_path):
    expected = [read_pixels(f) for f in render_film(renderer, path, tmp_path / "a", {"weights": "x"}, FilmOptions())]
    with pytest.raises(KeyboardInterrupt):
        render_film(MeshRenderer(SCENE.mesh, texture, 4), path, tmp_path / "b", {"weights": "x"}, FilmOptions())
    assert len(list((tmp_path / "b" / "frames").iterdir())) == 4 and not (tmp_path / "b" / "video.mp4").exists()
    (tmp_path / "b" / "frames" / ".00004-abc.png").write_bytes(b"what kill -9 leaves behind")
    renderer.cameras.clear()
    frames = render_film(renderer, path, tmp_path / "b", {"weights": "x"}, FilmOptions())
    assert len(renderer.cameras) == 3 and len(list((tmp_path / "b" / "frames").iterdir())) == 7
    assert all(np.array_equal(read_pixels(f), picture) for f, picture in zip(frames, expected, strict=True))
    assert (tmp_path / "b" / "video.mp4").read_bytes() == (tmp_path / "a" / "video.mp4").read_bytes()
    renderer.cameras.clear()
    render_film(renderer, path, tmp_path / "b", {"weights": "x"}, FilmOptions())
    assert not renderer.cameras, "a finished film is left alone"


def test_asking_for_depth_later_renders_again_only_what_lacks_it(renderer, path, tmp_path):
    one = CameraPath(path.cameras[:2])
    render_film(renderer, one, tmp_path, {}, FilmOptions(video=False))
    render_film(renderer, one, tmp_path, {}, FilmOptions(video=False, depth=True))
    assert len(renderer.cameras) == 4
    render_film(renderer, one, tmp_path, {}, FilmOptions(video=False, depth=True))
    assert len(renderer.cameras) == 4


@pytest.mark.parametrize("change", ["path", "identity", "supersample", "lost manifest"])
def test_frames_of_another_film_are_never_mixed_in(renderer, path, tmp_path, change):
    film, options, identity = CameraPath(path.cameras[:2]), FilmOptions(video=False), {"weights": "x"}
    render_film(renderer, film, tmp_path, identity, options)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    told = {"path": "camera path", "identity": "weights", "supersample": "supersample"}.get(
        change, "without a manifest"
    )
    if change == "path":
        film = CameraPath(path.cameras[1:3])
    elif change == "identity":
        identity = {"weights": "y"}
    elif change == "supersample":
        options = replace(options, supersample=2)
    else:
        (tmp_path / "manifest.json").unlink()
        before.pop(tmp_path / "manifest.json")
    with pytest.raises(ValueError, match=f"{told}.*another output folder"):
        render_film(renderer, film, tmp_path, identity, options)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_disk_that_takes_no_more_is_one_sentence_and_leaves_no_half_frame(renderer, path, tmp_path):
    one = CameraPath(path.cameras[:1])
    (frame,) = render_film(renderer, one, tmp_path / "free", {}, FilmOptions(video=False))
    assert frame.stat().st_size > 4000, "the limit must hit the frame"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(RuntimeError, match=r"cannot write .*00000.png: .*finished frames are kept"):
            render_film(renderer, one, tmp_path / "full", {}, FilmOptions(video=False))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "full" / "frames").iterdir())


def test_hopeless_films_are_refused_before_anything_is_rendered(renderer, path, tmp_path):
    camera = path.cameras[0]
    nan = replace(camera, world_to_cam=camera.world_to_cam * float("nan"))
    wide = replace(camera, width=20000)
    for cameras, options, told in [
        ((), FilmOptions(), "path is empty"),
        ((camera, nan), FilmOptions(), "frame 1 .* not finite"),
        ((camera, replace(camera, height=49)), FilmOptions(), "65 x 47 and 65 x 49 pixels do not make a video"),
        ((wide,), FilmOptions(), "20000 x 47 pixels do not make a video"),
        ((camera,), FilmOptions(supersample=0), "supersampling must be 1 or more"),
        ((camera,), FilmOptions(fps=0.0), "frames per second"),
    ]:
        with pytest.raises(ValueError, match=told):
            render_film(renderer, CameraPath(cameras), tmp_path, {}, options)
    assert not renderer.cameras and not list(tmp_path.iterdir())
    mixed = CameraPath((camera, replace(camera, height=49)))
    assert len(render_film(renderer, mixed, tmp_path, {}, FilmOptions(video=False))) == 2


def test_the_manifest_says_what_the_frames_are_of(renderer, path, tmp_path):
    render_film(renderer, CameraPath(path.cameras[:1]), tmp_path, {"method": "m"}, FilmOptions(video=False))
    assert json.loads((tmp_path / "manifest.json").read_text())["method"] == "m"
