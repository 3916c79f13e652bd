import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm import sampling
from neuray_mrvm.networks.distribution_decoder import DistributionDecoder, Mixture


@pytest.mark.parametrize("part", ["coarse", "fine"])
def test_distributions_are_those_of_the_reference(part, reference, weights, array, uniform, query, references):
    wanted = reference("dist_decoder")
    decoder = DistributionDecoder()
    decoder.load_state_dict(weights(root="dist_decoder." if part == "coarse" else "fine_dist_decoder."))
    feats = array("dd_feats", (4, 1, 12, 10, 32))[:, 0]
    mixture = decoder(feats)
    for name, value in (("mean", mixture.mean), ("var", mixture.sharpness), ("aw", mixture.share)):
        assert_close(value, wanted[f"{part}_{name}"][:, 0], atol=1e-5, rtol=0)
    query_depth = (1.7 + 2.8 * uniform("dd_qd", (1, 12, 10))).sort(dim=-1).values[0]
    x = sampling.inverse_depth(query_depth, query.depth_range[0])
    spacing = sampling.spacings(x)
    view_depth = 1.5 + 3.5 * uniform("dd_depth", (4, 1, 12, 10))[:, 0]
    seen = sampling.inverse_depth(view_depth, references.depth_range[:, None, None])
    probability = mixture.within(*sampling.view_intervals(seen, spacing))
    assert_close(probability.visibility, wanted[f"{part}_vis"][:, 0], atol=1e-5, rtol=0)
    assert_close(probability.hit, wanted[f"{part}_hit"][:, 0], atol=1e-5, rtol=0)
    clear = probability.hit > 1e-4
    logit = probability.alpha_logit()
    assert_close(logit[clear], wanted[f"{part}_alpha_logit"][:, 0][clear], atol=5e-3, rtol=0)
    if part == "coarse":
        assert_close(torch.sigmoid(logit), wanted["decoded_alpha"][:, 0], atol=1e-5, rtol=0)
    own = decoder(feats[0, :, :1]).within(*sampling.own_intervals(x, spacing)).hit
    assert_close(own, wanted[f"{part}_self_hit"][0], atol=1e-5, rtol=0)


def test_intervals_that_cover_everything_hold_all_light():
    mixture = Mixture(torch.rand(5, 2), 20 + torch.rand(5, 2), torch.rand(5, 1))
    everything = mixture.within(torch.full((5,), -1e6), torch.full((5,), 1e6))
    assert_close(everything.hit, torch.ones(5))
    assert_close(everything.visibility, torch.ones(5))


def test_a_decoder_that_models_visibility_scales_what_ends_in_the_scene():
    torch.manual_seed(0)
    decoder = DistributionDecoder(use_vis=True)
    mixture = decoder(torch.randn(5, 32))
    whole = Mixture(*mixture[:3])
    start, stop = torch.zeros(5), torch.ones(5)
    assert_close(mixture.within(start, stop).hit, whole.within(start, stop).hit * mixture.seen[:, 0])


def test_the_sharpness_has_a_smallest_value():
    decoder = DistributionDecoder(bias_val=0.7)
    assert (decoder(torch.randn(50, 32)).sharpness > 0.7).all()
