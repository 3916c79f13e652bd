import torch
from torch.testing import assert_close

from common.compositing import weights_from_alpha
from neuray_mrvm import sampling


def test_samples_are_those_of_the_reference(reference, query, uniform):
    wanted = reference("sampling")
    depth_range = query.depth_range[0]
    coarse = sampling.coarse_depths(depth_range, 64)
    assert_close(coarse, wanted["depth64"][0, 0], atol=1e-5, rtol=0)
    assert torch.equal(coarse[[0, -1]], depth_range)
    coarse, weights = coarse.expand(12, -1), wanted["hit_prob"][0]
    even = sampling.even_positions(32, coarse)[None]
    fine = sampling.importance_depths(coarse, weights, depth_range, even)
    assert_close(fine, wanted["fine32"][0], atol=1e-5, rtol=0)
    random = sampling.importance_depths(coarse, weights, depth_range, uniform("smp_u", (1, 12, 32))[0])
    assert_close(random, wanted["fine32_random"][0], atol=1e-5, rtol=0)
    ordered, argsort = torch.cat([coarse, fine], dim=-1).sort(dim=-1)
    assert_close(ordered, wanted["sorted96"][0], atol=1e-5, rtol=0)
    assert torch.equal(argsort, wanted["argsort"][0].long())


def test_intervals_are_those_of_the_reference(reference, query, references, uniform):
    wanted = reference("sampling")
    x = sampling.inverse_depth(wanted["sorted96"][0], query.depth_range[0])
    spacing = sampling.spacings(x)
    assert_close(spacing, wanted["inv_dists96"][0], atol=1e-5, rtol=1e-5)
    depth = 1 + 4 * uniform("smp_pd", (4, 1, 12, 96))[:, 0]
    depth[0, 0, :3] = torch.tensor([-1.0, 0.0, 1e-6])
    seen = sampling.inverse_depth(depth, references.depth_range[:, None, None])
    for found, name in zip(sampling.view_intervals(seen, spacing), ("near", "far"), strict=True):
        assert_close(found, wanted[f"nf_ref_{name}"][:, 0], atol=1e-5, rtol=1e-5)
    for found, name in zip(sampling.own_intervals(x, spacing), ("near", "far"), strict=True):
        assert_close(found, wanted[f"nf_que_{name}"][0], atol=1e-5, rtol=1e-5)


def test_weights_of_opacities_are_those_of_the_reference(reference):
    wanted = reference("sampling")
    assert_close(weights_from_alpha(wanted["alpha"], floor=1e-10), wanted["hit_from_alpha"], atol=1e-5, rtol=0)


def test_inverse_depth_and_depth_undo_each_other():
    depth_range = torch.tensor([2.0, 6.0])
    depth = torch.tensor([2.0, 3.0, 6.0])
    x = sampling.inverse_depth(depth, depth_range)
    assert_close(x, torch.tensor([0.0, 0.5, 1.0]))
    assert_close(sampling.depth_of(x, depth_range), depth)


def test_fine_samples_gather_where_the_weight_is():
    depth_range = torch.tensor([1.0, 4.0])
    coarse = sampling.coarse_depths(depth_range, 16)[None]
    weights = torch.zeros(1, 16)
    weights[0, 5] = 1
    fine = sampling.importance_depths(coarse, weights, depth_range, sampling.even_positions(8, coarse)[None])
    assert ((fine > coarse[0, 4]) & (fine < coarse[0, 6])).all()


def test_neighbouring_intervals_of_a_ray_share_their_border():
    x = torch.rand(3, 7).sort(dim=-1).values
    start, stop = sampling.own_intervals(x, sampling.spacings(x))
    assert torch.equal(start[:, 1:], stop[:, :-1])
    assert (stop[:, -1] > 1e5).all()
