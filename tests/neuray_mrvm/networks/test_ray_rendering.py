"""One pass over rays from given maps."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from common.compositing import composite
from neuray_mrvm import geometry, sampling
from neuray_mrvm.networks.distribution_decoder import HitProbability
from neuray_mrvm.networks.ray_rendering import PreparedViews, RayNetwork, observe

PARTS = {"coarse": ("dist_decoder", "agg_net"), "fine": ("fine_dist_decoder", "fine_agg_net")}


@pytest.fixture(scope="module")
def network(weights):
    """With the reference's weights, without a source of raw ray features."""
    network = RayNetwork({"use_hierarchical_sampling": True})
    names = set(network.state_dict())
    network.load_state_dict({name: value for name, value in weights().items() if name in names})
    return network.eval()


@pytest.fixture
def prepared(references, array):
    """The references with the reference's maps."""
    return PreparedViews(references, array("rs_if", (4, 32, 16, 20)), array("rs_rf", (4, 32, 16, 20)))


@pytest.fixture
def coords():
    """Every twelfth pixel of every twelfth row."""
    y, x = torch.meshgrid(torch.arange(0, 64, 12), torch.arange(0, 80, 12), indexing="ij")
    return torch.stack([x, y], dim=-1).view(1, -1, 2).float()


@pytest.fixture
def depths(query, uniform, coords):
    """Depths of the samples of both passes."""
    coarse = sampling.coarse_depths(query.depth_range[0], 64).expand(coords.shape[1], -1)
    new = 1.7 + 2.9 * uniform("rs_fd", (1, coords.shape[1], 32))[0]
    return {"coarse": coarse, "fine": torch.cat([coarse, new], dim=-1).sort(dim=-1).values}


@pytest.mark.parametrize("part", PARTS)
@torch.no_grad()
def test_views_show_samples_as_in_the_reference(part, reference, network, prepared, query, coords, depths):
    wanted, (decoder, _) = reference("render_step"), PARTS[part]
    rays, depth = geometry.query_rays(query, coords[0]), depths[part]
    spacing = sampling.spacings(sampling.inverse_depth(depth, query.depth_range[0]))
    projection, seen = observe(prepared, getattr(network, decoder), rays.points(depth), rays.to_camera(), spacing)

    def compare(name, found, tolerance=1e-4, stride=4):
        there = wanted[f"{part}_prj_{name}"][:, 0]
        here = found[:, ::6, ::stride]
        assert_close(here, there, atol=tolerance, rtol=1e-6)

    compare("ray_feats", seen.ray_feats[..., ::4], stride=8)
    compare("img_feats", seen.image_feats[..., ::4], stride=8)
    compare("rgb", seen.rgb)
    compare("dir", projection.directions)
    compare("pts", projection.pixels, 1e-2)
    compare("depth", projection.depth[..., None])
    compare("vis", seen.visibility[..., None])
    compare("hit_prob", seen.hit[..., None])
    assert torch.equal(seen.valid, wanted[f"{part}_prj_mask"][:, 0, ..., 0].bool())
    logit = HitProbability(seen.visibility, seen.hit).alpha_logit().masked_fill(~seen.valid, -15.0)
    clear = (seen.hit > 1e-4)[:, ::6, ::4]
    there = wanted[f"{part}_prj_alpha"][:, 0, ..., 0]
    assert_close(logit[:, ::6, ::4][clear], there[clear], atol=1e-2, rtol=0)
    hidden = ~seen.valid[:, ::6, ::4]
    assert_close(logit[:, ::6, ::4][hidden], there[hidden], atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize("part", PARTS)
@torch.no_grad()
def test_a_pass_is_that_of_the_reference(
    part, backend, reference, network, prepared, query, coords, depths, array, monkeypatch
):
    monkeypatch.setenv("POLYVIEW_BACKEND", backend)
    wanted = {name.removeprefix(f"{part}_"): value for name, value in reference("render_step").items()}
    decoder, aggregation = (getattr(network, name) for name in PARTS[part])
    depth, depth_range = depths[part], query.depth_range[0]
    rays = geometry.query_rays(query, coords[0])
    found = network.render_samples(prepared, rays, depth, depth_range, decoder, aggregation)
    assert_close(found.colors, wanted["pixel_colors_nr"][0], atol=1e-4, rtol=0)
    assert_close(found.hit, wanted["hit_prob_nr"][0], atol=1e-4, rtol=0)
    assert torch.equal(found.ray_mask, wanted["ray_mask"][0].bool())
    rendered_depth = composite(found.hit, depth[..., None])[..., 0]
    assert_close(rendered_depth, wanted["render_depth"][0], atol=1e-4, rtol=0)
    own = geometry.look_up(array("rs_qf", (1, 32, 16, 20)), coords, query.size)[0]
    x = sampling.inverse_depth(depth, depth_range)
    self_hit = decoder(own[:, None]).within(*sampling.own_intervals(x, sampling.spacings(x))).hit
    assert_close(self_hit, wanted["hit_prob_self"][0], atol=1e-4, rtol=0)


@torch.no_grad()
def test_training_adds_what_the_losses_need(network, prepared, query, coords, array):
    own = PreparedViews(query, array("rs_if", (1, 32, 16, 20)), array("rs_qf", (1, 32, 16, 20)))
    trained = RayNetwork({"use_hierarchical_sampling": True, "use_self_hit_prob": True}).train()
    outputs = trained.render(prepared, replace(query, coords=coords), own=own)
    rays = coords.shape[1]
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    for suffix, samples in (("", 64), ("_fine", 96)):
        assert shapes[f"hit_prob_nr{suffix}"] == shapes[f"hit_prob_self{suffix}"] == (1, rays, samples)
        assert shapes[f"pixel_colors_nr{suffix}"] == shapes[f"pixel_colors_gt{suffix}"] == (1, rays, 3)
        assert shapes[f"ray_mask{suffix}"] == (1, rays)
    assert not [name for name in network.render(prepared, replace(query, coords=coords)) if "hit_prob" in name]


@torch.no_grad()
def test_direct_rendering_is_given_where_it_is_asked_for(weights, prepared, query, coords):
    torch.manual_seed(0)
    network = RayNetwork({"use_dr_prediction": True}).eval()
    outputs = network.render(prepared, replace(query, coords=coords))
    assert outputs["pixel_colors_dr"].shape == outputs["pixel_colors_nr"].shape
    assert "pixel_colors_nr_fine" not in outputs
    shared = RayNetwork({"use_dr_prediction": True, "use_nr_color_for_dr": True}).eval()
    shared.load_state_dict(network.state_dict())
    other = shared.render(prepared, replace(query, coords=coords))["pixel_colors_dr"]
    assert not torch.equal(other, outputs["pixel_colors_dr"])


@torch.no_grad()
def test_a_query_without_rays_is_rendered_whole(network, prepared, query):
    small = replace(query, size=(3, 5), imgs=None)
    outputs = network.render(prepared, small)
    assert outputs["pixel_colors_nr_fine"].shape == (1, 15, 3)
    assert "pixel_colors_gt" not in outputs
