import logging
from dataclasses import replace

import pytest
import torch

from neuray_mrvm.networks import cost_volume_init
from neuray_mrvm.networks.cost_volume_init import CostVolumeInit, sweep_matrices
from neuray_mrvm.sampling import coarse_depths
from neuray_mrvm.view_batch import ViewBatch


@pytest.fixture
def init_net(weights):
    init_net = CostVolumeInit({"cost_volume_sn": 64})
    init_net.load_state_dict(weights("gen_cost_volume", "init_net."))
    return init_net


@pytest.fixture(scope="module")
def large_views(recipes):
    """Three pictures of 800 x 800 pixels, which are shrunk for MVSNet."""
    arrays = recipes.views(3, 800, 800, spread=0.4, phase=0.2)
    tensors = {name: torch.as_tensor(value) for name, value in arrays.items()}
    return ViewBatch(**tensors, size=(800, 800))


def test_names_and_their_order_are_those_of_the_released_checkpoints(init_net, manifest):
    named = {f"init_net.{name}": list(value.shape) for name, value in init_net.state_dict().items()}
    released = {name: shape for name, shape in manifest["gen_cost_volume"].items() if name.startswith("init_net.")}
    assert list(named.items()) == list(released.items())


def test_its_parts_are_those_of_the_reference(init_net, all_views, array, uniform, reference):
    want = reference("networks")
    got = {
        "cv_res_net": init_net.res_net(all_views.imgs[1:2]),
        "cv_volume_conv2d": init_net.volume_conv2d(array("cv_vol", (1, 64, 16, 20)).softmax(dim=1)),
        "cv_depth_conv": init_net.depth_conv(uniform("cv_dep", (1, 1, 16, 20))),
        "cv_out_conv": init_net.out_conv(array("cv_out", (1, 96, 16, 20))),
    }
    for name, value in got.items():
        torch.testing.assert_close(value, want[name], rtol=0, atol=1e-4, msg=name)


def test_ray_features_are_those_of_the_reference(init_net, references, all_views, reference):
    want = reference("init_cost_volume")
    probability, depth = init_net.depth_distribution(references, all_views)
    torch.testing.assert_close(probability[:, ::4], want["prob"], rtol=0, atol=1e-4)
    torch.testing.assert_close(depth, want["depth"], rtol=0, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(init_net(references, all_views), want["ray_feats"], rtol=0, atol=5e-4)


def test_pictures_are_shrunk_outside_training(init_net, large_views, reference, monkeypatch):
    want = reference("init_cost_volume_large")
    one = replace(large_views.select(torch.tensor([1])), nn_ids=torch.tensor([[0, 1]]))
    sources = large_views.select(torch.tensor([0, 2]))
    probability, depth = init_net.depth_distribution(one, sources)
    torch.testing.assert_close(probability[:, ::8, ::8, ::8], want["prob_800x800"], rtol=0, atol=1e-4)
    torch.testing.assert_close(depth[:, ::4, ::4], want["depth_800x800"], rtol=0, atol=1e-4)
    monkeypatch.setattr(init_net, "depth_distribution", lambda *_: (probability, depth))  # once is enough
    with torch.no_grad():
        ray_feats = init_net(one, sources)
    assert list(ray_feats.shape) == want["shape_800x800"].tolist()
    torch.testing.assert_close(ray_feats[:, ::4, ::8, ::8], want["ray_feats_800x800"], rtol=0, atol=5e-4)


def test_sources_may_have_another_size_than_the_references(init_net, references, all_views):
    """Sources that lie in a larger frame, without a camera changing, are seen the same; only their border is new."""
    one = references.select(torch.tensor([1]))
    own, others = init_net.mvsnet.features(one.imgs), init_net.mvsnet.features(all_views.imgs[one.nn_ids[0]])
    matrix = sweep_matrices(one, all_views.select(one.nn_ids[0]), 0.25)
    depths = coarse_depths(one.depth_range[0], 8)
    want = init_net.mvsnet.logits(own[0], others, matrix, depths)
    framed = torch.nn.functional.pad(others, (0, 3, 0, 5))
    torch.testing.assert_close(init_net.mvsnet.logits(own[0], framed, matrix, depths), want)
    cut = others[:, :, :-4, :-8]
    assert not torch.allclose(init_net.mvsnet.logits(own[0], cut, matrix, depths), want)


def test_only_what_is_not_mvsnet_learns(init_net, references, all_views):
    init_net.train()(references, all_views, training=True).square().sum().backward()
    assert not init_net.mvsnet.training
    for name, parameter in init_net.named_parameters():
        assert (parameter.grad is None) == name.startswith("mvsnet."), name


def test_training_starts_from_the_released_file_or_a_checkpoint_but_not_from_neither(
    init_net, references, all_views, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost_volume_init, "find_weights", lambda: None)
    with caplog.at_level(logging.WARNING):
        fresh = CostVolumeInit({})
    assert "no MVSNet weights" in caplog.text
    with pytest.raises(RuntimeError, match=r"put mvsnet_pl\.ckpt"):
        fresh(references, all_views, training=True)
    fresh.load_state_dict(init_net.state_dict())
    fresh(references, all_views, training=True)


def test_views_without_sources_are_refused(init_net, references):
    with pytest.raises(ValueError, match="use_src_imgs: true"):
        init_net(references, None)
