import cv2
import numpy as np
import pytest
import trimesh

from common.conversion.metashape_to_xscale import convert_metashape, share_in_view
from common.datasets.metashape import read_metashape
from common.datasets.scene import Distortion
from common.datasets.writers.metashape import write_metashape
from common.datasets.xscale import read_xscale
from common.io.images import read_pixels, write_image

LENS = Distortion("opencv", (-0.5, 0.1, 0.01, -0.02, 0.01))


def similarity(scale=2.5, shift=(10, -20, 30)):
    matrix = np.eye(4)
    matrix[:3, :3] = scale * cv2.Rodrigues(np.array([0.3, -1.0, 2.0]))[0]
    matrix[:3, 3] = shift
    return matrix


def in_component(xml, component):
    """The same cameras, half of them moved into the frame of a component that has a transform."""
    text = xml.read_text()
    rotation, scale = (
        component[:3, :3] / np.cbrt(np.linalg.det(component[:3, :3])),
        np.cbrt(np.linalg.det(component[:3, :3])),
    )
    numbers = [" ".join(map(repr, part.ravel().tolist())) for part in (rotation, component[:3, 3], np.array(scale))]
    transform = "".join(
        f"<{name}>{value}</{name}>" for name, value in zip(("rotation", "translation", "scale"), numbers, strict=True)
    )
    head, *cameras = text.split("<camera ")
    head = head.replace(
        "<cameras", f'<components><component id="5"><transform>{transform}</transform></component></components><cameras'
    )
    for index in range(0, len(cameras), 2):
        before, rest = cameras[index].split("<transform>")
        values, after = rest.split("</transform>", 1)
        pose = np.linalg.inv(component) @ np.array(values.split(), float).reshape(4, 4)
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        before = before.replace("sensor_id", 'component_id="5" sensor_id')
        cameras[index] = f"{before}<transform>{' '.join(map(repr, pose.ravel().tolist()))}</transform>{after}"
    xml.write_text("<camera ".join([head, *cameras]))


@pytest.mark.parametrize("component", [False, True], ids=["one frame", "components"])
@pytest.mark.parametrize("chunk_to_world", [None, similarity()], ids=["local", "georeferenced"])
def test_cameras_reach_the_frame_of_the_mesh_through_every_transform(
    rendered_scene, tmp_path, chunk_to_world, component
):
    write_metashape(tmp_path, rendered_scene, chunk_to_world=chunk_to_world)
    capture = tmp_path / "toy"
    if component:
        in_component(capture / "cameras.xml", similarity(0.7, (1, 2, 3)))
    names = convert_metashape(capture / "cameras.xml", mesh=capture / "1.obj")
    assert names == tuple(f"IMG_{index:04d}" for index in range(1, 5))
    for view, truth in zip(read_xscale(capture).with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-9)


def test_the_lens_is_undone(rendered_scene, tmp_path):
    write_metashape(tmp_path, rendered_scene, lens=LENS)
    convert_metashape(tmp_path / "toy", tmp_path / "out")

    def error(name, truth):
        inner = np.s_[10:-10, 10:-10]
        return np.abs(read_pixels(name)[inner].astype(float) - truth.image[inner]).mean()

    for index, truth in enumerate(rendered_scene.views, 1):
        name = f"IMG_{index:04d}.JPG"
        before, after = (error(tmp_path / folder / name, truth) for folder in ("toy/images", "out/images_1"))
        assert after < 0.5 * before, (before, after)


def test_a_mesh_in_the_other_coordinates_is_refused_with_the_remedy(rendered_scene, tmp_path):
    write_metashape(tmp_path, rendered_scene, chunk_to_world=similarity())
    capture = tmp_path / "toy"
    with pytest.raises(
        ValueError, match=r"only \d+ % of the vertices of .*1\.obj project .*; \d+ % do without --local"
    ):
        convert_metashape(capture, local=True, mesh=capture / "1.obj")
    mesh = trimesh.load(capture / "1.obj", process=False)
    mesh.apply_transform(np.linalg.inv(similarity())).export(capture / "local.obj")
    with pytest.raises(ValueError, match=r"only \d+ % .*; \d+ % do with --local"):
        convert_metashape(capture, mesh=capture / "local.obj")
    assert not (capture / "images_1").exists()
    assert len(convert_metashape(capture, local=True, mesh=capture / "local.obj")) == 4
    mesh.apply_translation([1000, 0, 0]).export(capture / "away.obj")
    with pytest.raises(ValueError, match="export mesh and cameras from the same chunk in the same coordinates"):
        convert_metashape(capture, mesh=capture / "away.obj")


def test_the_share_of_points_in_view_counts_frames_and_sides(rendered_scene, tmp_path):
    write_metashape(tmp_path, rendered_scene)
    scene = read_metashape(tmp_path / "toy")
    view = scene.views[0]
    ahead, behind = view.center + 2 * view.world_to_cam[2, :3], view.center - 50 * view.world_to_cam[2, :3]
    assert share_in_view(np.stack([ahead, behind]), scene) == 0.5


def test_cameras_that_are_not_aligned_are_reported_by_name(rendered_scene, tmp_path, caplog):
    write_metashape(tmp_path, rendered_scene)
    xml = tmp_path / "toy" / "cameras.xml"
    xml.write_text(xml.read_text().replace("</cameras>", '<camera id="9" sensor_id="0" label="lost.JPG"/></cameras>'))
    convert_metashape(xml)
    assert "skipped 1 of 5 cameras that are not aligned or switched off: lost.JPG" in caplog.text
    start, end = xml.read_text().index("<transform>"), xml.read_text().rindex("</transform>")
    xml.write_text(xml.read_text()[:start] + xml.read_text()[end + len("</transform>") :])
    with pytest.raises(ValueError, match="none of the 2 cameras of chunk 'Chunk 1' is aligned"):
        convert_metashape(xml)


def test_cameras_far_from_the_origin_are_pointed_out(rendered_scene, tmp_path, caplog):
    write_metashape(tmp_path, rendered_scene, chunk_to_world=similarity(1.0, (7, 8, 9)))
    convert_metashape(tmp_path / "toy")
    assert "--local" not in caplog.text
    xml = tmp_path / "toy" / "cameras.xml"
    xml.write_text(xml.read_text().replace("7.0 8.0 9.0", "7.0 6000000.0 9.0"))
    convert_metashape(tmp_path / "toy")
    assert "the cameras lie 5999" in caplog.text and "use --local" in caplog.text


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda c: (c / "cameras.xml").write_text("<document><chunk"), "is not valid XML"),
        (
            lambda c: (c / "cameras.xml").write_text(
                '<!DOCTYPE a [<!ENTITY b "bomb"><!ENTITY c "&b;&b;&b;&b;">]><document>&c;</document>'
            ),
            "declares XML entities",
        ),
        (lambda c: (c / "cameras.xml").unlink(), r"no cameras\.xml or cams\.xml in"),
        (lambda c: write_image(c / "images/IMG_0002.JPG", np.zeros((9, 8, 3), np.uint8)), "has 8 x 9 pixels but its"),
        (lambda c: (c / "1.obj").write_text("nothing"), r"the mesh .*1\.obj"),
        (lambda c: (c / "1.obj").unlink(), r"no file .*1\.obj"),
    ],
)
def test_what_cannot_be_converted_is_one_sentence(rendered_scene, tmp_path, break_it, sentence):
    write_metashape(tmp_path, rendered_scene)
    break_it(tmp_path / "toy")
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as raised:
        convert_metashape(tmp_path / "toy", mesh=tmp_path / "toy" / "1.obj")
    assert "\n" not in str(raised.value)


def test_the_real_export_converts_with_its_lens(real_data, tmp_path):
    """One of its 94 photographs stands in as a grid; the others are reported."""
    (tmp_path / "cams.xml").write_bytes((real_data / "metashape" / "cameras.xml").read_bytes())
    view = read_metashape(real_data / "metashape", photos=False).views[0]
    grid = np.zeros((3456, 5184, 3), np.uint8)
    grid[::64] = grid[:, ::64] = 255
    write_image(tmp_path / "photos" / f"{view.name}.JPG", grid)
    assert convert_metashape(tmp_path, downscale=16) == (view.name,)
    (found,) = read_xscale(tmp_path, 16).views
    assert found.image.size == (324, 216)
    np.testing.assert_allclose(np.diag([16, 16, 1]) @ found.intrinsics, view.intrinsics, rtol=1e-12)
    np.testing.assert_allclose(found.world_to_cam, view.world_to_cam, rtol=1e-12)
