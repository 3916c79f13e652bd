"""The latent network, the attentions and the decoder against the released model's answers."""

import pytest
import torch

from idnerf.conditioning import Conditioning
from idnerf.networks.attention import ThreePassAttention
from idnerf.networks.decoder import ConditionalNerf
from idnerf.networks.encoder import normalise
from idnerf.networks.latent_inference import LatentInference
from idnerf.ray_pictures import released_ray_pictures

MAP_CHANNELS = 512


def assert_statistics(network, fixture, tolerance):
    state = network.state_dict()
    names = [key.removeprefix("out_after/") for key in fixture if key.startswith("out_after/")]
    assert names
    for name in names:
        wanted = fixture[f"out_after/{name}"]
        assert (state[name] - wanted).abs().max() <= tolerance * max(wanted.abs().max(), 1), name


def latent_inputs(fixture, pictures):
    height, width = fixture["in_size"].tolist()
    count = fixture["in_extrinsics"].shape[1]
    rays = released_ray_pictures(fixture["in_intrinsics"][0], fixture["in_extrinsics"][0], height, width)
    return normalise(pictures(count, height, width)[:-1]), rays[:-1], rays[-1]


@torch.no_grad()
def test_latent(tensors, golden_weights, pictures, assert_near):
    fixture = tensors("latent")
    network = LatentInference()
    network.load_state_dict(golden_weights("latent_inference."))
    inputs = latent_inputs(fixture, pictures)
    assert_near(network.eval()(*inputs), fixture["out_eval"], 1e-5, relative=True)
    assert_near(network.train()(*inputs), fixture["out_train"], 5e-5, relative=True)
    assert_statistics(network, fixture, 5e-5)


@torch.no_grad()
def test_attention(tensors, golden_weights, assert_near):
    fixture = tensors("attention")
    tokens = ThreePassAttention(8)
    tokens.load_state_dict(golden_weights("nerf_dec.guidance_module."))
    assert_near(tokens(fixture["in_tokens"]), fixture["out_tokens"], 1e-5)
    samples = ThreePassAttention(16)
    samples.load_state_dict(golden_weights("nerf_dec.ray_attention."))
    is_asking = fixture["in_mask"].reshape(fixture["in_samples"].shape[:-1]) > 0
    assert not is_asking.all()
    assert_near(samples(fixture["in_samples"], is_asking), fixture["out_samples"], 1e-5)
    assert_near(samples(fixture["in_samples"]), fixture["out_samples_unmasked"], 1e-5)


def build_decoder(opt, golden_weights):
    network = ConditionalNerf(opt, MAP_CHANNELS, released_tokens=True)
    network.load_state_dict(golden_weights("nerf_dec."))
    return network


def decoder_inputs(fixture, network, made):
    """The fixture gives view vectors and matching vectors that do not belong together; tokens take the first's part."""
    masks = fixture["in_mask"][0].float()
    rays, samples, views = masks.shape
    vectors = torch.stack(
        [
            torch.cat(
                [
                    made(f"decoder/view_features_{k}", (1, MAP_CHANNELS, rays, samples))[0],
                    made(f"decoder/colour_{k}", (1, 3, rays, samples))[0],
                    masks[None, ..., k],
                ]
            )
            for k in range(views)
        ]
    ).permute(2, 3, 0, 1)
    colors = made("decoder/colours", (1, rays, samples, 3 * views), 0.5)[0].unflatten(-1, (views, 3))
    layer = network.cond_feat_fc[0]
    own = torch.cat([colors, masks[..., None]], dim=-1) @ layer.weight[:, MAP_CHANNELS:].T
    return Conditioning(
        coordinates=fixture["in_points"][0],
        features=layer(vectors) - own,
        colors=colors,
        masks=masks,
        similarity=made("decoder/similarity", (1, rays, samples, 10), 0.5)[0],
    )


@pytest.mark.parametrize("variant", ["eval", "train", "posenc_maskfill"])
@torch.no_grad()
def test_decoder(variant, tensors, golden_weights, network_options, made, assert_near):
    fixture = tensors("decoder")
    changed = variant == "posenc_maskfill"
    opt = network_options({"decoder.raytrans_posenc": changed, "decoder.density_maskfill": changed})
    network = build_decoder(opt, golden_weights).train(variant == "train")
    code = network.latent_code(made("decoder/latent", (1, 4, 64, 64)))
    rgb, density = network(decoder_inputs(fixture, network, made), fixture["in_view"][0], code)
    assert_near(rgb[None], fixture[f"out_rgb_{variant}"], 5e-5, relative=True)
    assert_near(density[None], fixture[f"out_density_{variant}"], 5e-5, relative=True)
    if variant == "train":
        assert_statistics(network, fixture, 5e-5)
