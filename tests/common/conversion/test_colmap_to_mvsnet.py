import logging

import numpy as np
import pycolmap
import pytest

from common.conversion.colmap_to_mvsnet import MvsnetDepths, convert_colmap_to_mvsnet
from common.datasets.colmap import read_colmap
from common.datasets.loading import load_image
from common.datasets.mvsnet_folder import read_mvsnet_folder
from common.datasets.scene import Distortion
from common.datasets.writers.colmap import CAPTURE_LENS, write_colmap
from common.io.colmap_model import read_colmap_model
from common.io.images import read_pixels, write_image
from common.io.mvsnet_camera import read_mvsnet_camera
from common.io.pair_file import read_pair_file
from tests.epipolar import median_epipolar_distance

HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


@pytest.fixture
def capture(rendered_scene, tmp_path):
    write_colmap(tmp_path, rendered_scene, lens=None)
    return tmp_path / "toy"


def positions(capture):
    """Position among the written pictures of each view: they follow image ids, names follow the rendered views."""
    images = read_colmap_model(capture / "sparse" / "0").images
    return [int(images[image_id].name[:5]) for image_id in sorted(images)]


def edit(capture, name, change):
    model = pycolmap.Reconstruction(str(capture / "sparse" / "0"))
    model.write_text(str(capture / "sparse" / "0"))
    for suffix in ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"):
        (capture / "sparse" / "0" / suffix).unlink(missing_ok=True)
    path = capture / "sparse" / "0" / name
    path.write_text(change(path.read_text()))


def test_cameras_are_those_of_the_scene_in_the_order_of_image_ids(rendered_scene, capture):
    assert convert_colmap_to_mvsnet(capture) == 4
    order = positions(capture)
    assert sorted(order) == [0, 1, 2, 3] != order, "ids must not follow the names, or this test shows nothing"
    for index, position in enumerate(order):
        camera, truth = read_mvsnet_camera(capture / "cams" / f"{index:08d}_cam.txt"), rendered_scene.views[position]
        np.testing.assert_allclose(camera.world_to_cam, truth.world_to_cam, atol=1e-9)
        np.testing.assert_allclose(camera.intrinsics, truth.intrinsics + HALF_PIXEL, atol=1e-9)
        depth = truth.depth[truth.depth > 0]
        near, _, _, far = camera.depth_line
        assert depth.min() * 0.99 < near < np.median(depth) < far < depth.max() * 1.01
        original = (capture / "images" / f"{position:05d}.jpg").read_bytes()
        assert (capture / "images" / f"{index:08d}.jpg").read_bytes() == original


def test_an_interval_of_inverse_depth_is_one_pixel_wide():
    near, interval, count, far = MvsnetDepths().line(2.0, 8.0, 100.0)
    # Inverse depth falls by 1/2 - 1/2.02 per step.
    assert count == pytest.approx((1 / 2 - 1 / 8) / (1 / 2 - 1 / 2.02), abs=1e-6)
    assert (near, far) == (2.0, 8.0) and interval == pytest.approx(6 / (count - 1), abs=1e-6)
    assert MvsnetDepths(192, 1.06).line(425.0, 905.0, 2892.0)[1] == pytest.approx(480 / 191 / 1.06, abs=1e-6)
    assert MvsnetDepths().line(2e-5, 8e-5, 100.0)[0] == 2e-5, "small scenes keep their digits"
    assert MvsnetDepths().line(1.0, 1.000001, 100.0)[1] > 0


def test_pairs_are_symmetric_and_list_the_view_itself_only_in_mvsnets_way(capture):
    convert_colmap_to_mvsnet(capture)
    lines = (capture / "pair.txt").read_text().splitlines()
    assert lines[0] == "4" and lines[2].startswith("4 ") and lines[2].endswith(" 0 0.000000")
    pairs = read_pair_file(capture / "pair.txt")
    assert dict(pairs[0])[1] == dict(pairs[1])[0] > 0
    convert_colmap_to_mvsnet(capture, list_self=False)
    assert read_pair_file(capture / "pair.txt") == pairs
    assert (capture / "pair.txt").read_text().splitlines()[2].startswith("3 ")


@pytest.mark.parametrize("encoding", ["text", "binary"])
def test_a_model_that_went_through_pycolmap_gives_the_same_files(capture, tmp_path, encoding):
    convert_colmap_to_mvsnet(capture, tmp_path / "direct")
    model = pycolmap.Reconstruction(str(capture / "sparse" / "0"))
    (capture / "again").mkdir()
    getattr(model, f"write_{encoding}")(str(capture / "again"))
    convert_colmap_to_mvsnet(capture, tmp_path / "again", model="again")
    for image_id, image in model.images.items():
        index = sorted(model.images).index(image_id)
        direct, again = (
            read_mvsnet_camera(tmp_path / run / f"cams/{index:08d}_cam.txt") for run in ("direct", "again")
        )
        np.testing.assert_allclose(again.world_to_cam[:3], image.cam_from_world().matrix(), atol=1e-9)
        np.testing.assert_allclose(again.intrinsics, image.camera.calibration_matrix(), atol=1e-9)
        np.testing.assert_allclose(again.world_to_cam, direct.world_to_cam, atol=1e-9)
        np.testing.assert_allclose(again.depth_line, direct.depth_line, atol=1e-5)
    assert read_pair_file(tmp_path / "direct/pair.txt").keys() == read_pair_file(tmp_path / "again/pair.txt").keys()


def test_a_workspace_that_pycolmap_undistorted_is_converted(rendered_scene, tmp_path, caplog):
    write_colmap(tmp_path, rendered_scene, lens=CAPTURE_LENS)
    capture, dense = tmp_path / "toy", tmp_path / "dense"
    pycolmap.undistort_images(str(dense), str(capture / "sparse" / "0"), str(capture / "images"))
    convert_colmap_to_mvsnet(dense)
    assert "lens" not in caplog.text
    model = pycolmap.Reconstruction(str(dense / "sparse"))
    for index, image_id in enumerate(sorted(model.images)):
        camera = read_mvsnet_camera(dense / "cams" / f"{index:08d}_cam.txt")
        np.testing.assert_allclose(camera.intrinsics, model.images[image_id].camera.calibration_matrix(), atol=1e-9)


def test_a_lens_is_dropped_with_a_warning_or_undone(rendered_scene, tmp_path, caplog):
    write_colmap(tmp_path, rendered_scene, lens=Distortion("opencv", (-0.4,)))
    convert_colmap_to_mvsnet(tmp_path / "toy", tmp_path / "dropped")
    assert "the lens of 4 of 4 cameras" in caplog.text and "--undistort" in caplog.text
    caplog.clear()
    convert_colmap_to_mvsnet(tmp_path / "toy", tmp_path / "undone", undistort=True)
    assert not caplog.records
    errors = {
        run: np.mean(
            [
                np.abs(
                    read_pixels(tmp_path / run / "images" / f"{index:08d}.jpg")[10:-10, 10:-10].astype(float)
                    - rendered_scene.views[position].image[10:-10, 10:-10]
                ).mean()
                for index, position in enumerate(positions(tmp_path / "toy"))
            ]
        )
        for run in ("dropped", "undone")
    }
    assert errors["undone"] < 0.5 * errors["dropped"], errors


def test_pictures_are_encoded_on_request_and_said_to_be_no_jpeg(rendered_scene, tmp_path, caplog):
    write_colmap(tmp_path, rendered_scene, lens=None)
    capture = tmp_path / "toy"
    edit(capture, "images.txt", lambda text: text.replace(".jpg", ".png"))
    for path in sorted((capture / "images").glob("*.jpg")):
        write_image(path.with_suffix(".png"), read_pixels(path))
    convert_colmap_to_mvsnet(capture, tmp_path / "copied")
    assert "4 pictures (" in caplog.text and "--convert_format" in caplog.text
    assert (tmp_path / "copied/images/00000000.jpg").read_bytes().startswith(b"\x89PNG")
    convert_colmap_to_mvsnet(capture, tmp_path / "encoded", convert_format=True)
    assert (tmp_path / "encoded/images/00000000.jpg").read_bytes().startswith(b"\xff\xd8")


def test_photographs_are_never_replaced(capture):
    edit(capture, "images.txt", lambda text: text.replace("00000.jpg", "00000003.jpg"))
    (capture / "images" / "00000.jpg").rename(capture / "images" / "00000003.jpg")
    before = (capture / "images" / "00000003.jpg").read_bytes()
    with pytest.raises(ValueError, match=r"would replace the photograph '00000003\.jpg'; write to another folder"):
        convert_colmap_to_mvsnet(capture)
    assert (capture / "images" / "00000003.jpg").read_bytes() == before and not (capture / "cams").exists()


def test_the_same_conversion_twice_gives_the_same(capture):
    convert_colmap_to_mvsnet(capture)
    before = {path: path.read_bytes() for path in capture.rglob("*") if path.is_file()}
    convert_colmap_to_mvsnet(capture)
    assert {path: path.read_bytes() for path in capture.rglob("*") if path.is_file()} == before


def test_a_view_without_points_takes_the_widest_range(capture, caplog):
    def without_points_of_the_first_image(text):
        lines = text.split("\n")
        first = next(index for index, line in enumerate(lines) if line.endswith(".jpg"))
        lines[first + 1] = ""
        return "\n".join(lines)

    edit(capture, "images.txt", without_points_of_the_first_image)
    convert_colmap_to_mvsnet(capture)
    assert "1 of 4 views see too few points" in caplog.text
    lines = [read_mvsnet_camera(path).depth_line for path in sorted((capture / "cams").iterdir())]
    lonely = [line for line in lines if line[0] == min(line[0] for line in lines)]
    assert any(line[3] == max(line[3] for line in lines) for line in lonely)


@pytest.mark.parametrize(
    ("break_it", "error", "sentence"),
    [
        (lambda c: (c / "images/00002.jpg").unlink(), FileNotFoundError, r"1 of the 4 photographs .* \(00002\.jpg"),
        (lambda c: write_image(c / "images/00002.jpg", np.zeros((8, 9, 3), np.uint8)), ValueError, "has 9 x 8 pixels"),
        (lambda c: (c / "sparse/0/points3D.bin").unlink(), ValueError, "no points from which a depth range follows"),
        (lambda c: (c / "sparse/0/images.bin").write_bytes(b"\1\0\0"), ValueError, "truncated"),
        (lambda c: (c / "sparse/0/cameras.bin").unlink(), FileNotFoundError, "no COLMAP model in"),
    ],
)
def test_what_cannot_be_converted_is_one_sentence(capture, break_it, error, sentence):
    break_it(capture)
    with pytest.raises(error, match=sentence) as raised:
        convert_colmap_to_mvsnet(capture)
    assert "\n" not in str(raised.value)


def test_settings_that_make_no_depths_are_refused():
    with pytest.raises(ValueError, match="max_d is a number of depths from 2, or 0"):
        MvsnetDepths(1)
    with pytest.raises(ValueError, match="interval_scale must be positive, got -1"):
        MvsnetDepths(interval_scale=-1.0)


@pytest.fixture(scope="module")
def kermit(real_data, tmp_path_factory):
    """The real capture, converted from its binary and from its text model."""
    folder = tmp_path_factory.mktemp("kermit")
    logging.disable(logging.WARNING)
    convert_colmap_to_mvsnet(real_data / "kermit", folder / "binary", undistort=True)
    convert_colmap_to_mvsnet(real_data / "kermit", folder / "text", undistort=True, model="sparse_txt")
    logging.disable(logging.NOTSET)
    return folder


def test_converted_real_photographs_lie_on_their_epipolar_lines(kermit):
    scene = read_mvsnet_folder(kermit / "binary")
    assert len(scene.views) == 11 and all(view.near_far[0] > 0 for view in scene.views)
    best = [(view, sources[0]) for view, sources in scene.pairs.items()][:3]
    assert max(median_epipolar_distance(scene, *pair) for pair in best) < 1.2


def test_both_encodings_of_the_real_model_give_the_same_files(kermit):
    files = {path.relative_to(kermit / "binary") for path in (kermit / "binary").rglob("*.*")}
    assert len(files) == 23
    for file in files:
        assert (kermit / "binary" / file).read_bytes() == (kermit / "text" / file).read_bytes()


def test_real_pictures_keep_their_view(real_data, kermit):
    """Pictures, cameras and the original names belong together although ids and names have different orders."""
    original = {tuple(np.round(view.center, 6)): view for view in read_colmap(real_data / "kermit").views}
    for view in read_mvsnet_folder(kermit / "binary").views[:4]:
        source = original[tuple(np.round(view.center, 6))]
        difference = np.abs(load_image(view) - load_image(source, pixel_origin="corner")).mean()
        assert difference < 0.02
