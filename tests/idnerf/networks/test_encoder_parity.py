"""The encoder's parts against the released model's answers."""

import pytest
import torch

from idnerf.networks.backbone import Backbone
from idnerf.networks.encoder import FeatureEncoder
from idnerf.networks.transformer import FeatureTransformer
from idnerf.networks.upsampler import FeatureUpsampler

HIGH_CHANNEL_STEP = 8


@torch.no_grad()
def test_backbone(tensors, golden_weights, assert_near):
    network = Backbone()
    network.load_state_dict(golden_weights("feat_enc.backbone."))
    fixture = tensors("backbone")
    assert_near(network(fixture["in_normalised"]), fixture["out_features"], 2e-5, relative=True)


@pytest.mark.parametrize(
    ("name", "layers", "splits", "self_attention"),
    [("split2", 6, 2, True), ("split1", 6, 1, True), ("two_layers", 2, 2, True), ("no_self", 6, 2, False)],
)
@torch.no_grad()
def test_transformer(name, layers, splits, self_attention, tensors, golden_weights, made, assert_near):
    network = FeatureTransformer(layers, splits, self_attention)
    weights = golden_weights("feat_enc.transformer.")
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    fixture = tensors("transformer")
    shape = fixture["out_split2_0"].shape
    refined = network(made("transformer/a", shape), made("transformer/b", shape))
    for number in range(2):
        assert_near(refined[number], fixture[f"out_{name}_{number}"], 1e-4, relative=True)


@torch.no_grad()
def test_upsampler(tensors, golden_weights, made, assert_near):
    network = FeatureUpsampler()
    network.load_state_dict(golden_weights("feat_enc.featup_net."))
    wanted = tensors("upsampler")["out_features"]
    count, channels, height, width = wanted.shape
    assert_near(network(made("upsampler/x", (count, channels, height // 2, width // 2))), wanted, 1e-5)


@pytest.mark.parametrize(("views", "step"), [(3, 1), (2, HIGH_CHANNEL_STEP)])
@torch.no_grad()
def test_features_of_all_pairs(views, step, tensors, golden_weights, pictures, assert_near):
    network = FeatureEncoder()
    network.load_state_dict(golden_weights("feat_enc."))
    fixture = tensors("pair_features")
    low, high = network(pictures(views, *fixture["in_size"].tolist()))
    assert_near(low[None], fixture[f"out_v{views}_low"], 1e-4, relative=True)
    assert_near(high[None, :, ::step], fixture[f"out_v{views}_high"], 1e-4, relative=True)
