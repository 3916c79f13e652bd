import numpy as np
import pytest
import torch

from common.cameras import Camera, crop_intrinsics
from common.datasets.scene import Scene
from common.datasets.writers.xscale import write_xscale
from common.datasets.xscale import read_xscale
from tests.scenes import make_scene
from xscale_nvs import renderer
from xscale_nvs.model_checkpoints import save_model
from xscale_nvs.networks.model import build_model
from xscale_nvs.parameters import load_params

RENDERED = make_scene("toy", num_views=5, size=(64, 48))
SMALL = {"hash_n_levels": 6, "log2_hashmap_size": 12, "z_length_s": 4, "descriptor_dim": 16, "hash_base_resol": 8}
FIT = {"training_batch_size": 512, "ultra_cache_batch_size": 1, "max_epoch": 120, "seed": 1}


def words(*settings):
    return [str(word) for part in settings for pair in part.items() for word in pair]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    write_xscale(folder, RENDERED)
    return read_xscale(folder / "toy")


def camera_of(scene, index):
    view = scene.with_pixel_origin("center").views[index]
    width, height = view.image.size
    pose = torch.from_numpy(view.world_to_cam), torch.from_numpy(view.intrinsics)
    return Camera(pose[1], pose[0], height, width, (1.0, 2.0))


@pytest.fixture(scope="module")
def trained(scene, tmp_path_factory):
    """A renderer with the weights of a file, which are random but not grey."""
    folder = tmp_path_factory.mktemp("state")
    torch.manual_seed(0)
    model = build_model(load_params(overrides=words(SMALL)), 3)
    with torch.no_grad():
        model.spatial_encoding.spatial_enc.params.uniform_(-0.5, 0.5)
        model.shading_machine.render_net_c.layer_sl[0].weight.mul_(25)
    save_model(folder, model, 0, 0, 1e-4)
    found = renderer(folder / "best.pth.tar", overrides=words(SMALL))
    found.prepare(scene, ())
    return found


def test_a_crop_of_the_camera_is_a_crop_of_the_picture(trained, scene):
    """So the principal point is honoured, at any size of picture."""
    whole = camera_of(scene, 0)
    part = Camera(crop_intrinsics(whole.intrinsics, 10.0, 5.0), whole.world_to_cam, 20, 30, whole.near_far)
    one, other = trained.render(whole), trained.render(part)
    assert one.rgb.std() > 0.02
    for name in ("rgb", "depth", "opacity"):
        crop = getattr(one, name)[5:25, 10:40]
        torch.testing.assert_close(getattr(other, name), crop, rtol=1e-3, atol=2e-3, msg=name)


def test_depth_is_that_of_the_surface(trained, scene):
    rendering = trained.render(camera_of(scene, 1))
    covered = rendering.opacity > 0
    truth = torch.from_numpy(RENDERED.views[1].depth)
    assert covered.float().mean() > 0.5
    error = (rendering.depth - truth).abs()[covered & (truth > 0)] / truth[covered & (truth > 0)]
    assert error.median() < 0.01
    assert (rendering.depth[~covered] == 0).all() and (rendering.rgb[~covered] == 1).all()


def test_the_mesh_is_the_scenes(trained):
    mesh = trained.mesh()
    assert mesh.colors is None and mesh.faces.max() < len(mesh.vertices)


def test_without_weights_a_model_is_fitted_to_the_source_views(scene, tmp_path):
    found = renderer(overrides=words(SMALL, FIT, {"lr_net_2d": 2e-3, "lr_embeddings": 2e-2}), folder=tmp_path / "fit")
    found.prepare(scene, [0, 1, 3, 4])
    rendering = found.render(camera_of(scene, 2))
    covered = rendering.opacity.numpy() > 0
    picture, truth = rendering.rgb.numpy()[covered], RENDERED.views[2].image[covered] / 255.0
    assert np.mean((picture - truth) ** 2) < 0.75 * np.mean((truth.mean(axis=0) - truth) ** 2)
    assert (tmp_path / "fit/state/best.pth.tar").is_file()
    with pytest.raises(ValueError, match="holds pictures of another fit"):
        found_again = renderer(overrides=words(SMALL, FIT), folder=tmp_path / "fit")
        found_again.prepare(scene, [0, 1])


def test_what_it_cannot_do_is_one_sentence(scene, trained):
    with pytest.raises(ValueError, match="needs a finite max_epoch"):
        renderer(overrides=words(SMALL))
    fresh = renderer(overrides=words(SMALL, FIT))
    with pytest.raises(RuntimeError, match="must be called before render"):
        fresh.render(camera_of(scene, 0))
    with pytest.raises(ValueError, match="has no mesh, which XScale-NVS paints"):
        fresh.prepare(Scene("bare", scene.views), [0])
    with pytest.raises(ValueError, match="fitted to source views, got none"):
        fresh.prepare(scene, [])
