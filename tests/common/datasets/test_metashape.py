import cv2
import numpy as np
import pytest
import trimesh

from common.datasets.metashape import read_metashape
from common.datasets.scene import Distortion
from common.datasets.writers.metashape import write_metashape
from common.io.images import write_image


@pytest.fixture
def capture(rendered_scene, tmp_path):
    write_metashape(tmp_path, rendered_scene)
    return tmp_path / "toy"


def edit(capture, old, new, count=1):
    text = (capture / "cameras.xml").read_text()
    assert old in text
    (capture / "cameras.xml").write_text(text.replace(old, new, count))


def similarity():
    matrix = np.eye(4)
    matrix[:3, :3] = 2.5 * cv2.Rodrigues(np.array([0.3, -1.0, 2.0]))[0]
    matrix[:3, 3] = [10, -20, 30]
    return matrix


@pytest.mark.parametrize("chunk_to_world", [None, similarity()], ids=["local", "georeferenced"])
def test_what_is_written_comes_back(rendered_scene, tmp_path, chunk_to_world):
    write_metashape(tmp_path, rendered_scene, chunk_to_world=chunk_to_world)
    scene = read_metashape(tmp_path / "toy")
    assert [view.name for view in scene.views] == [f"IMG_{index:04d}" for index in range(1, 6)]
    for view, truth in zip(scene.with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)


def test_cameras_and_mesh_in_local_coordinates_leave_the_chunk_transform_out(rendered_scene, tmp_path):
    write_metashape(tmp_path, rendered_scene, chunk_to_world=similarity())
    view = read_metashape(tmp_path / "toy", local=True).views[0]
    np.testing.assert_allclose(similarity() @ [*view.center, 1], [*_center(rendered_scene.views[0]), 1], atol=1e-9)


def _center(view):
    return -view.world_to_cam[:3, :3].T @ view.world_to_cam[:3, 3]


def test_the_exported_mesh_projects_into_the_photographs(capture):
    view = read_metashape(capture).views[0]
    vertices = trimesh.load(capture / "1.obj", process=False).vertices
    points = vertices @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
    pixels = points @ view.intrinsics.T / points[:, 2:]
    assert ((pixels[:, :2] > 0) & (pixels[:, :2] < view.image.size)).mean() > 0.9


def test_a_lens_is_kept_in_opencvs_order(rendered_scene, tmp_path):
    lens = Distortion("opencv", (-0.05, 0.01, 0.001, -0.002, 0.003))
    write_metashape(tmp_path, rendered_scene, lens=lens)
    assert "<p1>-0.002</p1>" in (tmp_path / "toy" / "cameras.xml").read_text()
    assert read_metashape(tmp_path / "toy").views[0].distortion == lens


def test_disabled_and_unaligned_cameras_and_missing_photographs_are_skipped_and_counted(capture):
    edit(capture, 'label="IMG_0001"', 'label="IMG_0001" enabled="false"')
    edit(capture, "</cameras>", '<camera id="99" sensor_id="0" label="lost" /></cameras>')
    (capture / "images" / "IMG_0003.JPG").unlink()
    scene = read_metashape(capture)
    assert [view.name for view in scene.views] == ["IMG_0002", "IMG_0004", "IMG_0005"]
    assert scene.notes == (
        "skipped 2 of 6 cameras that are not aligned or switched off: IMG_0001, lost",
        "skipped 1 of 4 cameras without a photograph: IMG_0003",
    )


@pytest.mark.parametrize(
    "label", ["IMG_0001.JPG", "IMG_0001.jpg", "D:\\photos\\one\\IMG_0001.JPG", "/home/me/IMG_0001.tif", "IMG_0001"]
)
def test_labels_may_have_an_extension_or_be_paths(capture, label):
    edit(capture, 'label="IMG_0001"', f'label="{label}"')
    scene = read_metashape(capture)
    assert len(scene.views) == 5 and scene.views[0].image.path.name == "IMG_0001.JPG"


def test_labels_with_dots_are_not_cut(capture):
    (capture / "images" / "IMG_0001.JPG").rename(capture / "images" / "v1.2.jpg")
    edit(capture, 'label="IMG_0001"', 'label="v1.2"')
    assert read_metashape(capture).views[0].image.path.name == "v1.2.jpg"


def test_a_label_that_fits_two_photographs_is_refused(capture):
    write_image(capture / "images" / "IMG_0002.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"label 'IMG_0002' fits IMG_0002\.JPG and IMG_0002\.png"):
        read_metashape(capture)


def test_two_cameras_with_one_label_are_refused(capture):
    edit(capture, 'label="IMG_0002"', 'label="other/IMG_0001.JPG"')
    with pytest.raises(ValueError, match=r"2 cameras have a label that fits .*IMG_0001\.JPG"):
        read_metashape(capture)


def test_turned_photographs_are_refused(capture):
    write_image(capture / "images" / "IMG_0002.JPG", np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(ValueError, match=r"IMG_0002\.JPG has 48 x 64 pixels but its sensor in .* has 64 x 48"):
        read_metashape(capture)


def test_the_chunk_with_most_aligned_cameras_is_taken_unless_one_is_named(capture):
    edit(capture, "<document", "<document", 1)
    text = (capture / "cameras.xml").read_text()
    start, end = text.index("<chunk"), text.index("</document>")
    small = text[start:end].replace("Chunk 1", "small")
    first = small.index("<camera ")
    small = small[: small.index("<camera ", first + 1)] + small[small.index("</cameras>") :]
    (capture / "cameras.xml").write_text(text[:start] + small + text[start:])
    scene = read_metashape(capture)
    assert len(scene.views) == 5 and scene.notes == (
        "took chunk 'Chunk 1', which has most aligned cameras of 2 chunks",
    )
    assert len(read_metashape(capture, chunk="small").views) == 1
    with pytest.raises(ValueError, match="has 0 chunks called 'other'; its chunks are 'small', 'Chunk 1'"):
        read_metashape(capture, chunk="other")


def test_poses_can_be_read_without_photographs(capture):
    for path in (capture / "images").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no photograph in .* is named like a camera"):
        read_metashape(capture)
    assert all(view.image is None for view in read_metashape(capture, photos=False).views)


def test_the_folder_and_the_file_have_other_names_too(capture):
    (capture / "cameras.xml").rename(capture / "cams.xml")
    (capture / "images").rename(capture / "photos")
    assert len(read_metashape(capture).views) == len(read_metashape(capture / "cams.xml").views) == 5
    (capture / "cams.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"no cameras\.xml or cams\.xml in"):
        read_metashape(capture)


def test_a_camera_without_its_sensor_is_refused(capture):
    edit(capture, 'sensor_id="0"', 'sensor_id="77"')
    with pytest.raises(ValueError, match="camera 'IMG_0001' has sensor '77', which the chunk does not list"):
        read_metashape(capture)


def test_the_real_export_has_proper_cameras_that_look_at_its_region(real_data):
    scene = read_metashape(real_data / "metashape", photos=False)
    assert len(scene.views) == 94
    # The centre of the export's <region>.
    region = np.array([1.1309228543156133, 0.12865296212527538, -4.5539410292989251, 1])
    for view in scene.views:
        x, y, z = view.intrinsics @ (view.world_to_cam @ region)[:3]
        assert z > 0 and -5184 < x / z < 2 * 5184 and -3456 < y / z < 2 * 3456
