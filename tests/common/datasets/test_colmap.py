import dataclasses
import shutil

import numpy as np
import pytest

from common.datasets.colmap import depth_bounds, has_colmap_model, read_colmap
from common.datasets.loading import load_depth, load_image
from common.datasets.scene import Distortion
from common.datasets.writers.colmap import sparse_model, write_colmap, write_colmap_dense
from common.io.colmap_model import read_colmap_model, write_colmap_model
from common.io.images import write_image

LENS = Distortion("opencv", (-0.1, 0.02, 1e-3, -1e-3))


@pytest.fixture
def capture(rendered_scene, tmp_path):
    write_colmap(tmp_path, rendered_scene, lens=LENS)
    return tmp_path / "toy"


def rewrite(capture, change):
    """Change the stored model."""
    model = read_colmap_model(capture / "sparse" / "0")
    write_colmap_model(capture / "sparse" / "0", change(model))


def test_views_come_sorted_by_name_whatever_their_ids(capture, rendered_scene):
    scene = read_colmap(capture)
    stored = read_colmap_model(capture / "sparse" / "0")
    assert [image.name for image in stored.images.values()] != sorted(image.name for image in stored.images.values())
    assert [view.name for view in scene.views] == ["00000", "00001", "00002", "00003", "00004"]
    assert scene.pixel_origin == "corner" and scene.name == "toy"
    for view, truth in zip(scene.with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        assert view.distortion == Distortion("opencv", (-0.1, 0.02, 1e-3, -1e-3, 0.0, 0.0, 0.0, 0.0))


def test_the_lens_is_undone_when_a_picture_is_loaded(make_rendered_scene, tmp_path):
    truth = make_rendered_scene("large", num_views=2, size=(320, 240))
    write_colmap(tmp_path, truth, lens=LENS)
    view = read_colmap(tmp_path / "large").views[0]
    loaded = load_image(view, pixel_origin="corner")
    ignored = load_image(dataclasses.replace(view, distortion=None))
    error, without = (np.abs(rgb * 255 - truth.views[0].image)[:, :60].mean() for rgb in (loaded, ignored))
    assert 2 * error < without  # JPEG, two look-ups and edges against pixels in the wrong place


def test_depth_bounds_are_widened_percentiles_of_the_points_a_view_observes(capture):
    view = read_colmap(capture).views[0]
    model = read_colmap_model(capture / "sparse" / "0")
    image = next(image for image in model.images.values() if image.name == "00000.jpg")
    index = {point_id: position for position, point_id in enumerate(model.points.ids.tolist())}
    points = model.points.xyz[[index[point_id] for point_id in image.point_ids.tolist() if point_id > 0]]
    depths = points @ view.world_to_cam[2, :3] + view.world_to_cam[2, 3]
    expected = 0.8 * np.percentile(depths, 2), 1.2 * np.percentile(depths, 98)
    assert view.near_far == pytest.approx(expected)


def test_depth_bounds_of_points_behind_the_camera_are_none():
    assert depth_bounds(np.array([-1.0, -2.0])) is None
    assert depth_bounds(np.array([-1.0, 2.0]), margins=(1.0, 1.0)) == (2.0, 2.0)


@pytest.mark.parametrize("place", ["", "sparse/0"])
def test_the_folder_of_the_capture_and_that_of_the_model_will_do(capture, place):
    assert has_colmap_model(capture / place)
    assert len(read_colmap(capture / place).views) == 5


def test_text_is_read_like_binary(rendered_scene, capture, tmp_path):
    write_colmap(tmp_path / "text", rendered_scene, lens=LENS, encoding="txt")
    for a, b in zip(read_colmap(capture).views, read_colmap(tmp_path / "text" / "toy").views, strict=True):
        np.testing.assert_array_equal(a.intrinsics, b.intrinsics)
        np.testing.assert_array_equal(a.world_to_cam, b.world_to_cam)
        assert a.near_far == b.near_far


def test_the_sub_model_with_most_images_is_taken_and_named(capture):
    model = read_colmap_model(capture / "sparse" / "0")
    few = dict(list(model.images.items())[:2])
    write_colmap_model(capture / "sparse" / "0", dataclasses.replace(model, images=few))
    write_colmap_model(capture / "sparse" / "1", model)
    scene = read_colmap(capture)
    assert len(scene.views) == 5
    assert scene.notes == ("took sub-model 1, which has most images (0: 2, 1: 5)",)
    assert len(read_colmap(capture, model="sparse/0").views) == 2


def test_images_without_a_photograph_are_skipped_and_counted(capture):
    (capture / "images" / "00001.jpg").unlink()
    scene = read_colmap(capture)
    assert [view.name for view in scene.views] == ["00000", "00002", "00003", "00004"]
    assert "skipped 1 of 5 images without a photograph" in scene.notes
    shutil.rmtree(capture / "images")
    (capture / "images").mkdir()
    with pytest.raises(FileNotFoundError, match="none of the 5 images"):
        read_colmap(capture)


def test_photographs_of_another_size_are_refused(capture):
    write_image(capture / "images" / "00002.jpg", np.zeros((64, 48, 3), np.uint8))  # turned, as EXIF would
    with pytest.raises(
        ValueError, match=r"00002\.jpg has 48 x 64 pixels but camera 1 of .* has 64 x 48; use the photo"
    ):
        read_colmap(capture)


def changed_image(model, **changes):
    image_id, image = next(iter(model.images.items()))
    return dataclasses.replace(model, images=model.images | {image_id: dataclasses.replace(image, **changes)})


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused(capture, name):
    rewrite(capture, lambda model: changed_image(model, name=name))
    with pytest.raises(ValueError, match="not inside"):
        read_colmap(capture)


def test_points_behind_every_camera_are_refused(capture):
    def behind(model):
        return dataclasses.replace(
            model, points=dataclasses.replace(model.points, xyz=model.points.xyz * [1, 1, 0] + [0, 0, 99])
        )

    rewrite(capture, behind)
    with pytest.raises(ValueError, match="every point of the scene behind the camera"):
        read_colmap(capture)


@pytest.mark.parametrize(("focal", "sentence"), [(-80.0, "focal lengths -80"), (0.0, "focal lengths 0")])
def test_focal_lengths_that_are_not_positive_are_refused(capture, focal, sentence):
    def negative(model):
        camera = model.cameras[1]
        return dataclasses.replace(model, cameras={1: dataclasses.replace(camera, params=(focal, *camera.params[1:]))})

    rewrite(capture, negative)
    with pytest.raises(ValueError, match=rf"images\.bin .*{sentence}"):
        read_colmap(capture)


def test_names_with_blanks_umlauts_and_folders_work(capture):
    (capture / "images" / "my böx").mkdir()
    (capture / "images" / "00000.jpg").rename(capture / "images" / "my böx" / "a photo.jpg")
    model = read_colmap_model(capture / "sparse" / "0")
    image_id = next(i for i, image in model.images.items() if image.name == "00000.jpg")
    renamed = dataclasses.replace(model.images[image_id], name="my böx/a photo.jpg")
    write_colmap_model(capture / "sparse" / "0", dataclasses.replace(model, images=model.images | {image_id: renamed}))
    assert read_colmap(capture).views[-1].name == "a photo"


def test_an_undistorted_workspace_has_pinholes_and_depth(rendered_scene, tmp_path):
    write_colmap_dense(tmp_path, rendered_scene)
    scene = read_colmap(tmp_path / "toy")
    assert all(view.distortion is None for view in scene.views)
    for view, truth in zip(scene.views, rendered_scene.views, strict=True):
        np.testing.assert_array_equal(load_depth(view), truth.depth)


def test_depth_maps_beside_the_originals_are_used_only_where_they_fit(rendered_scene, make_rendered_scene, tmp_path):
    """NeuRay's own captures: the dense workspace below the capture, without its pictures."""
    write_colmap(tmp_path / "pinhole", rendered_scene, lens=None)
    write_colmap(tmp_path / "lens", rendered_scene, lens=LENS)
    write_colmap(tmp_path / "other", make_rendered_scene(size=(80, 60)), lens=None)
    write_colmap_dense(tmp_path / "dense", rendered_scene)
    for name in ("pinhole", "lens", "other"):
        shutil.copytree(tmp_path / "dense" / "toy" / "stereo", tmp_path / name / "toy" / "dense" / "stereo")
    assert all(view.depth for view in read_colmap(tmp_path / "pinhole" / "toy").views)
    assert not any(view.depth for view in read_colmap(tmp_path / "lens" / "toy").views)
    assert not any(view.depth for view in read_colmap(tmp_path / "other" / "toy").views)


def test_a_folder_without_model_is_refused(tmp_path):
    assert not has_colmap_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no COLMAP model in"):
        read_colmap(tmp_path)


def test_pycolmap_reads_the_model_we_write_and_its_points_project_onto_their_keypoints(rendered_scene, capture):
    pycolmap = pytest.importorskip("pycolmap")
    theirs = pycolmap.Reconstruction(capture / "sparse" / "0")
    assert theirs.num_images() == 5 and theirs.num_points3D() == len(sparse_model(rendered_scene).points.ids) > 50
    checked = 0
    for image in theirs.images.values():
        for keypoint in image.points2D:
            if keypoint.has_point3D():
                found = image.project_point(theirs.points3D[keypoint.point3D_id].xyz)
                np.testing.assert_allclose(found, keypoint.xy, atol=1e-6)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("options", [{}, {"model": "sparse_txt"}])
def test_the_real_capture(real_data, options):
    scene = read_colmap(real_data / "kermit", **options)
    assert [view.name for view in scene.views] == [f"kermit{index:03d}" for index in range(11)]
    view = scene.views[0]
    assert view.image.size == (640, 480) and view.distortion.coefficients[0] == pytest.approx(-0.1424369)
    np.testing.assert_allclose(view.intrinsics[[0, 1], [0, 1]], 694.719396, atol=1e-6)


def test_the_real_undistorted_workspace_has_its_own_size(real_data):
    scene = read_colmap(real_data / "kermit" / "dense")
    view = scene.views[0]
    assert view.image.size == (660, 487) and view.distortion is None
    np.testing.assert_array_equal(view.intrinsics[:2, 2], [330, 243.5])
    original = read_colmap(real_data / "kermit").views[0]
    np.testing.assert_allclose(view.world_to_cam, original.world_to_cam, atol=1e-12)
