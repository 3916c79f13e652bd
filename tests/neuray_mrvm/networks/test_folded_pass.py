"""The CPU's way through a pass against the plain one."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm import geometry, sampling
from neuray_mrvm.networks.aggregation import Aggregation
from neuray_mrvm.networks.distribution_decoder import DistributionDecoder
from neuray_mrvm.networks.folded_pass import FoldedPass, can_fold
from neuray_mrvm.networks.ray_rendering import PreparedViews, observe


@pytest.fixture
def parts(weights):
    """A decoder and an aggregation with the reference's weights."""
    decoder, aggregation = DistributionDecoder(), Aggregation()
    decoder.load_state_dict(weights(root="fine_dist_decoder."))
    aggregation.load_state_dict(weights(root="fine_agg_net."))
    return decoder, aggregation


@torch.no_grad()
def both(views, query, decoder, aggregation, coords=((10.0, 20.0), (70.0, 5.0), (3.0, 60.0)), near_far=(0.5, 9.0)):
    """Density, colour, feature and numbers of views: folded, and plain."""
    generator = torch.Generator().manual_seed(0)
    channels = decoder.mean_decoder[0].in_features
    maps = [torch.randn(len(views), each, 16, 20, generator=generator) for each in (32, channels)]
    prepared = PreparedViews(views, *maps)
    depth_range = torch.tensor(near_far)
    depth = sampling.coarse_depths(depth_range, 24).expand(len(coords), -1)
    rays = geometry.query_rays(query, torch.tensor(coords))
    spacing = sampling.spacings(sampling.inverse_depth(depth, depth_range))
    folded, num_views = FoldedPass(*prepared, decoder, aggregation)(rays, depth, spacing)
    _, seen = observe(prepared, decoder, rays.points(depth), rays.to_camera(), spacing)
    return (*folded, num_views), (*aggregation(seen), seen.valid.sum(dim=0))


def compare(found, wanted):
    assert torch.equal(found[-1], wanted[-1])
    for one, other in zip(found[:-1], wanted[:-1], strict=True):
        # Both ways are as far from double precision: near the cameras pixels are rounded coarsely.
        assert_close(one, other, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_views_gives_what_the_plain_way_gives(count, parts, references, query):
    found, wanted = both(references.select(torch.arange(count)), query, *parts)
    assert (wanted[-1] == 0).any()
    assert (wanted[-1] == count).any()
    compare(found, wanted)


def test_more_views_than_a_tile_holds_are_no_limit(parts, all_views, query):
    views = all_views.select(torch.arange(5).repeat(40))
    compare(*both(views, query, *parts, coords=((40.0, 30.0),), near_far=(2.0, 4.0)))


def test_a_decoder_of_visibility_is_followed(parts, all_views, query):
    torch.manual_seed(0)
    compare(*both(all_views, query, DistributionDecoder(use_vis=True), parts[1]))


def test_other_widths_are_followed_where_the_kernel_takes_them(all_views, query):
    torch.manual_seed(0)
    decoder, aggregation = DistributionDecoder(feats_dim=16), Aggregation(neuray_dim=24, ray_channels=16)
    with torch.no_grad():
        assert can_fold(decoder, aggregation, torch.zeros(1))
        assert not can_fold(decoder, Aggregation(neuray_dim=30), torch.zeros(1))
    compare(*both(all_views, query, decoder, aggregation))


def test_gradients_and_double_precision_take_the_plain_way(parts):
    assert not can_fold(*parts, torch.zeros(1))
    with torch.no_grad():
        assert not can_fold(*parts, torch.zeros(1, dtype=torch.float64))


def test_views_that_see_nothing_leave_the_samples_empty(parts, all_views, query):
    away = replace(all_views, poses=all_views.poses * torch.tensor([1.0, 1.0, 1.0, 0.0]) + torch.tensor([0, 0, 0, 1e4]))
    found, _ = both(away, query, *parts)
    assert not found[-1].any()
    assert not found[0].any()
    assert not found[1].any()
