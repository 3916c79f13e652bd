from dataclasses import replace

import numpy as np
import pytest
import torch

import neuray_mrvm
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from common.datasets.writers.dtu import write_dtu
from neuray_mrvm.scene_renderer import NeurayRenderer
from tests.scenes import make_scene

FEW = ["depth_sample_num", "8", "fine_depth_sample_num", "4", "train_dataset_cfg.ref_pad_interval", "16"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Five views of 72 x 40: not a multiple of 16."""
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, make_scene(num_views=4, size=(72, 40)))
    return read_dtu(folder, "toy")


@pytest.fixture(scope="module")
def renderer(scene):
    made = neuray_mrvm.renderer("random", overrides=FEW)
    made.prepare(scene, [0, 1, 2])
    return made


def camera_of(view, height=20, width=24):
    matrices = torch.from_numpy(view.intrinsics).float(), torch.from_numpy(view.world_to_cam).float()
    return Camera(*matrices, 40, 72, view.near_far).resized(height, width)


def without_depth(scene):
    return replace(scene, views=tuple(replace(view, depth=None) for view in scene.views))


def test_any_camera_is_rendered_at_any_size_from_maps_that_are_computed_once(renderer, scene, monkeypatch):
    monkeypatch.setattr(renderer.network, "prepare", lambda *_: pytest.fail("views were encoded again"))
    for size in ((20, 24), (7, 9)):
        rendering = renderer.render(camera_of(scene.views[3], *size))
        assert rendering.rgb.shape == (*size, 3) and 0 <= rendering.rgb.min() <= rendering.rgb.max() <= 1
        far = scene.views[3].near_far[1]
        assert rendering.depth.min() >= 0 and rendering.depth.max() <= 1.001 * far


def test_the_size_of_chunks_decides_nothing(renderer, scene):
    small = neuray_mrvm.renderer("random", overrides=[*FEW, "ray_batch_num", "37"])
    small.prepare(scene, [0, 1, 2])
    camera = camera_of(scene.views[3])
    torch.testing.assert_close(small.render(camera).rgb, renderer.render(camera).rgb, rtol=0, atol=2e-5)


def test_depth_maps_are_read_where_the_scene_has_them_and_swept_where_not(scene, caplog, monkeypatch):
    assert all(view.depth is not None for view in scene.views)
    given = []
    network = neuray_mrvm.load("random", overrides=[*FEW, "render_depth", "True"])
    cfg = neuray_mrvm._settings("random", None, FEW)
    monkeypatch.setattr(network, "prepare", given.append)
    NeurayRenderer(network, cfg).prepare(scene, [0, 1, 2])
    assert "plane sweep" not in caplog.text
    NeurayRenderer(network, cfg).prepare(without_depth(scene), [0, 1, 2])
    assert "3 of 3 sources get their depth from a plane sweep" in caplog.text
    NeurayRenderer(network, cfg, use_scene_depth=False).prepare(scene, [0, 1, 2])
    stored, swept, also_swept = (views.depth for views in given)
    assert stored.shape == (3, 1, 48, 80)  # padded
    assert torch.equal(swept, also_swept) and not torch.equal(stored, swept)
    known = (stored > 0) & (swept > 0)
    assert known.float().mean() > 0.2
    assert (((stored - swept).abs() / stored)[known] < 0.05).float().mean() > 0.5


def test_a_cost_volume_reads_no_depth(scene):
    config = "configs/gen/neuray_gen_cost_volume.yaml"
    made = neuray_mrvm.renderer("random", config, FEW[:4])
    made.prepare(without_depth(scene), [0, 1, 2])
    assert made.render(camera_of(scene.views[3])).rgb.isfinite().all()


def test_wrong_input_is_one_sentence(renderer, scene, tmp_path):
    fresh = NeurayRenderer(renderer.network, neuray_mrvm._settings("random", None, FEW))
    with pytest.raises(RuntimeError, match="prepare"):
        fresh.render(camera_of(scene.views[0]))
    with pytest.raises(ValueError, match="at least 2, got 1"):
        fresh.prepare(scene, [0])
    with pytest.raises(ValueError, match="has views 0 to 3"):
        fresh.prepare(scene, [0, 9])
    with pytest.raises(FileNotFoundError, match="no NeuRay weights at"):
        neuray_mrvm.load(tmp_path / "none.pth")
    with pytest.raises(ValueError, match="did you mean 'ray_batch_num'"):
        neuray_mrvm.load("random", overrides=["ray_batchnum", "5"])
    with pytest.raises(ValueError, match="'5' has no value"):
        neuray_mrvm.load("random", overrides=["5"])
    with pytest.raises(ValueError, match="is for one scene"):
        neuray_mrvm.load("random", "configs/ft/depth/dtu/neuray_ft_depth_birds.yaml")


def test_load_gives_the_released_names(manifest, tmp_path, weights):
    network = neuray_mrvm.load("random")
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == manifest["gen_depth"]
    torch.save({"step": 7, "network_state_dict": weights("gen_depth")}, tmp_path / "model.pth")
    loaded = neuray_mrvm.load(tmp_path / "model.pth")
    assert not loaded.training
    name = "image_encoder.out_conv.weight"
    np.testing.assert_array_equal(loaded.state_dict()[name], weights("gen_depth", name)[""])
