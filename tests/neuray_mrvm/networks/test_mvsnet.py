import hashlib

import pytest
import torch

from common.ops.plane_sweep import warp_features
from neuray_mrvm.networks.cost_volume_init import sweep_matrices
from neuray_mrvm.networks.mvsnet import WEIGHTS_FILE, MvsNet, find_weights, load_weights
from neuray_mrvm.sampling import coarse_depths


@pytest.fixture
def mvsnet(weights):
    mvsnet = MvsNet()
    mvsnet.load_state_dict(weights("gen_cost_volume", "init_net.mvsnet."))
    return mvsnet


@pytest.fixture(scope="module")
def normalised(all_views, recipes):
    """The pictures as MVSNet takes them."""
    return (all_views.imgs - torch.from_numpy(recipes.IMAGENET_MEAN)) / torch.from_numpy(recipes.IMAGENET_STD)


@pytest.fixture(scope="module")
def released_file(real_data):
    path = real_data / "checkpoints" / "mvsnet_pl.ckpt"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def warped(features, matrix, depths):
    planes = depths[None, :, None, None].expand(1, -1, *features.shape[-2:])
    return warp_features(features[None, None], matrix[None, None], planes, "torch")[0]


def test_sources_are_warped_as_in_the_reference(mvsnet, references, all_views, normalised, array, reference):
    want = reference("mvsnet")
    source = references.nn_ids[:1, 0]
    features = mvsnet.features(normalised[source])
    matrix = sweep_matrices(references.select(torch.tensor([0])), all_views.select(source), 0.25)[1]
    seen = warped(features[0], matrix, coarse_depths(references.depth_range[0], 64))
    torch.testing.assert_close(seen[:, ::4, ::6], want["homo_warp"], rtol=0, atol=1e-4)


def test_what_is_behind_a_source_is_zero(array, reference):
    matrix = torch.eye(3, 4)
    matrix[:, 3] = torch.tensor([3.0, 0.0, -2.0])
    seen = warped(array("hw_fs", (1, 5, 12, 14))[0], matrix, torch.tensor([1.0, 1.9, 2.0, 2.1, 4.0]))
    torch.testing.assert_close(seen, reference("mvsnet")["homo_warp_behind"], rtol=0, atol=1e-4)


def test_depths_and_cameras_are_those_of_the_reference(references, reference):
    want = reference("mvsnet")
    for view, expected in enumerate(want["depth_vals"]):
        torch.testing.assert_close(coarse_depths(references.depth_range[view], 64), expected, rtol=0, atol=1e-4)
    for scale, name in ((0.25, "ref_proj"), (0.75 / 4, "proj_ratio")):
        own, rest = references.select(torch.tensor([0])), references.select(torch.tensor([1, 2, 3]))
        projection = want[name].double()
        expected = (projection @ torch.linalg.inv(projection[0]))[:, :3].float()
        torch.testing.assert_close(sweep_matrices(own, rest, scale), expected, rtol=1e-4, atol=1e-4)


def test_features_and_logits_are_those_of_the_reference(mvsnet, references, all_views, normalised, reference):
    want = reference("mvsnet")
    chosen = reference("scene")["refs"].long()
    features = mvsnet.features(normalised)
    torch.testing.assert_close(features[chosen], want["feature"], rtol=0, atol=1e-4)
    for view, ids in enumerate(references.nn_ids):
        depths = coarse_depths(references.depth_range[view], 64)
        own = references.select(torch.tensor([view]))
        matrix = sweep_matrices(own, all_views.select(ids), 0.25)
        logits = mvsnet.logits(features[chosen[view]], features[ids], matrix, depths)
        torch.testing.assert_close(logits[::2], want["cost_reg"][view], rtol=0, atol=5e-4)


def test_a_volume_that_does_not_halve_evenly_is_regularised(mvsnet, array, reference):
    with torch.no_grad():
        logits = mvsnet.cost_regularization(array("cr_odd", (1, 32, 16, 8, 12)).square())
    torch.testing.assert_close(logits[:, 0], reference("mvsnet")["cost_reg_odd"], rtol=0, atol=5e-4)


def test_the_released_file_gives_what_the_reference_gives(released_file, references, all_views, normalised, reference):
    want = reference("mvsnet_shipped")
    if hashlib.sha256(released_file.read_bytes()).digest() != bytes(want["sha256"].numpy()):
        pytest.skip(f"{released_file} is another file than the reference's")
    mvsnet = MvsNet()
    assert not mvsnet.is_trained
    load_weights(mvsnet, released_file)
    assert mvsnet.is_trained
    views = want["views"].long()
    features = mvsnet.features(normalised[views])
    torch.testing.assert_close(features[:1], want["feature"], rtol=0, atol=5e-4)
    own, sources = all_views.select(views[:1]), all_views.select(views[1:])
    depths = coarse_depths(own.depth_range[0], 64)
    logits = mvsnet.logits(features[0], features[1:], sweep_matrices(own, sources, 0.25), depths)
    torch.testing.assert_close(logits[None, ::4], want["cost_reg"], rtol=0, atol=5e-4)
    depth = torch.einsum("dhw,d->hw", logits.softmax(dim=0), depths)
    torch.testing.assert_close(depth[None], want["depth"], rtol=0, atol=5e-4)


def test_a_training_checkpoint_has_the_released_names(manifest, mvsnet, tmp_path):
    """Names below `model.` without counters, and something that is not the model's, as pytorch-lightning writes it."""
    released = {name: value for name, value in mvsnet.state_dict().items() if name in manifest["mvsnet_pl"]}
    assert {name: list(value.shape) for name, value in released.items()} == manifest["mvsnet_pl"]
    state = {f"model.{name}": value for name, value in released.items()} | {"loss.weight": torch.ones(1)}
    path = tmp_path / "mvsnet_pl.ckpt"
    for content in ({"epoch": 1, "state_dict": state, "hparams": {}}, released):
        torch.save(content, path, _use_new_zipfile_serialization=False)
        fresh = MvsNet()
        load_weights(fresh, path)
        assert all(torch.equal(fresh.state_dict()[name], value) for name, value in released.items())
    del released["feature.feature.bias"]
    torch.save(released, path)
    with pytest.raises(RuntimeError, match=r"first feature\.feature\.bias; is it for this network"):
        load_weights(fresh, path)


def test_the_weights_are_found_in_the_working_directory_where_the_papers_commands_expect_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_weights().resolve() == path


def test_logits_do_not_depend_on_the_slabs_they_are_computed_in(mvsnet, array, monkeypatch):
    own, others = array("own", (32, 8, 8)), array("others", (2, 32, 8, 8))
    matrix = torch.eye(3, 4).repeat(3, 1, 1)
    matrix[1:, 0, 3] = torch.tensor([3.0, -2.0])
    want = mvsnet.logits(own, others, matrix, torch.linspace(1, 4, 40))
    monkeypatch.setattr("neuray_mrvm.networks.mvsnet._SLAB", 40)
    torch.testing.assert_close(mvsnet.logits(own, others, matrix, torch.linspace(1, 4, 40)), want, rtol=0, atol=1e-5)


def test_it_never_leaves_evaluation(mvsnet):
    assert not mvsnet.train().training
    assert not any(module.training for module in mvsnet.modules())
    assert not any(parameter.requires_grad for parameter in mvsnet.parameters())
