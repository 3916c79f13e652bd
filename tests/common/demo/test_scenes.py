import numpy as np
import pytest

from common.datasets.loading import load_image
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.transforms import write_transforms
from common.demo.scenes import DTU_HELD_OUT, DTU_SOURCES, generated_scene, generated_town, own_scene
from tests.scenes import make_scene


def test_a_generated_scene_is_read_from_disk_and_made_once(tmp_path, monkeypatch):
    orders = []

    def generate(seed, rig, size, name):
        orders.append((seed, rig, size))
        toy = make_scene(name, size=size)
        return RenderedScene(name, tuple(toy.views[index % 5] for index in range(49)), toy.near_far, toy.mesh)

    monkeypatch.setattr("common.demo.scenes.generate", generate)
    first = generated_scene(tmp_path, 7, (32, 32), held_out=(24, 44))
    again = generated_scene(tmp_path, 7, (32, 32), held_out=(24, 44))
    assert orders == [(7, "dtu", (32, 32))]
    assert [item.target for item in again.held_out] == [24, 44]
    assert all(set(item.sources) <= set(DTU_SOURCES) for item in first.held_out)
    assert all(len(item.sources) == 3 for item in first.held_out)
    assert load_image(again.scene.views[24]).shape == (32, 32, 3)
    assert again.label(24) == "24"
    assert again.camera(24).near_far == pytest.approx(make_scene(size=(32, 32)).near_far)


def test_a_town_comes_with_its_mesh_and_every_view_is_source_or_target(tmp_path, monkeypatch):
    orders = []

    def generate(seed, rig, size, num_views, name):
        orders.append((seed, rig, size))
        return make_scene(name, num_views, size, centered=True)

    monkeypatch.setattr("common.demo.scenes.generate", generate)
    town = generated_town(tmp_path, 3, (40, 30), num_views=6, every=3)
    assert generated_town(tmp_path, 3, (40, 30), num_views=6, every=3).held_out == town.held_out
    assert orders == [(3, "town", (40, 30))]
    assert [item.target for item in town.held_out] == [1, 4]
    assert all(item.sources == (0, 2, 3, 5) for item in town.held_out)
    assert town.scene.mesh.is_file()
    assert town.surface_is_given
    assert len(town.path()) == 3 * town.frames_per_leg
    truth = make_scene("town", 6, (40, 30), centered=True).views
    for index, view in enumerate(truth):
        near, far = town.camera(index).near_far
        depth = view.depth[view.depth > 0]
        assert 0 < near < depth.min()
        assert depth.max() < far < 4 * depth.max()


def test_an_interrupted_generation_leaves_nothing_that_would_be_read(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("common.demo.scenes.generate", lambda *arguments, **options: make_scene("scan1", size=(32, 32)))
    monkeypatch.setattr("common.demo.scenes.write_dtu", fail)
    with pytest.raises(KeyboardInterrupt):
        generated_scene(tmp_path, 7, (32, 32))
    assert not (tmp_path / "seed7_32x32").exists()


def test_held_out_views_are_never_sources():
    assert not set(DTU_HELD_OUT) & set(DTU_SOURCES)
    assert len(set(DTU_SOURCES)) == 16


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    scene = make_scene("garden", num_views=9, size=(120, 90), same_focal=True)
    write_transforms(folder, scene)
    return folder / "garden", scene


def test_own_photographs_become_small_pinhole_pictures(photographs, tmp_path):
    path, rendered = photographs
    demo = own_scene(path, tmp_path, near_far=(1.5, 6.0), num_held_out=4, longest_side=60)
    assert len(demo.held_out) == 2  # nine views are enough for two
    targets = {item.target for item in demo.held_out}
    for item in demo.held_out:
        assert not targets & set(item.sources)
        camera = demo.camera(item.target)
        assert (camera.width, camera.height) == (60, 45)
        assert camera.near_far == (1.5, 6.0)
        view = demo.scene.views[item.target]
        assert view.distortion is None
        truth = rendered.views[item.target].image.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3)) / 255
        # The lens is undone to within what two interpolations and one averaging blur.
        assert np.abs(load_image(view) - truth)[5:-5, 5:-5].mean() < 0.05


def test_small_pictures_cover_the_same_rays(photographs, tmp_path):
    path, rendered = photographs
    demo = own_scene(path, tmp_path, near_far=(1.5, 6.0), longest_side=60)
    index = demo.held_out[0].target
    large, small = rendered.views[index].intrinsics, demo.scene.views[index].intrinsics
    corner = np.linalg.inv(large) @ [-0.5, -0.5, 1.0]
    np.testing.assert_allclose(small @ corner, [-0.5, -0.5, 1.0], atol=1e-5)


def test_the_path_visits_the_sources_and_closes(demo_scene):
    path = demo_scene.path()
    assert len(path) == 6
    for leg, source in enumerate(demo_scene.held_out[0].sources):
        stop = demo_scene.scene.views[source].world_to_cam
        np.testing.assert_allclose(path[2 * leg].world_to_cam, stop, atol=1e-5)


def test_too_few_photographs_are_refused(tmp_path):
    write_transforms(tmp_path, make_scene("few", num_views=3))
    with pytest.raises(ValueError, match="has 3 posed photographs; the demo needs 3 sources and one to compare with"):
        own_scene(tmp_path / "few", tmp_path / "out", near_far=(1.0, 5.0))
