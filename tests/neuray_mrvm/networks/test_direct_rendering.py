import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from common.compositing import composite, weights_from_alpha
from neuray_mrvm.networks.direct_rendering import SphericalFitter, direct_rendering, spherical_harmonics


def test_the_fit_is_that_of_the_reference(reference, array, uniform):
    wanted, fitter = reference("direct_rendering"), SphericalFitter()
    assert_close(fitter.regs, wanted["regs"])
    weights = uniform("sh_w", (20, 6))
    weights[0], weights[1] = 0, 1e-6
    directions = normalize(array("sh_d", (20, 6, 3)), dim=-1)
    theta = fitter.fit(directions, uniform("sh_c", (20, 6, 3)), weights)
    assert_close(theta, wanted["theta"], atol=1e-3, rtol=0)
    asked = normalize(array("sh_q", (20, 2, 3)), dim=-1)
    assert_close(fitter.predict(theta, asked), wanted["predict"], atol=1e-3, rtol=0)


def test_rays_are_those_of_the_reference(reference, array, uniform):
    wanted, d = reference("direct_rendering"), 64
    # The reference's rays 0 to 3 are unseen, seen by all, by the first view, in the first half.
    mask = uniform("dr_mask", (4, 1, 6, d, 1))[:, 0, ..., 0] > 0.35
    mask[:, 0], mask[:, 1] = False, True
    mask[:, 2] = torch.tensor([True, False, False, False])[:, None]
    mask[:, 3, d // 2 :] = False
    hit, vis = (uniform(f"dr_{name}", (4, 1, 6, d, 1))[:, 0, ..., 0] * mask for name in ("hp", "vis"))
    logit = torch.where(mask, array("dr_a", (4, 1, 6, d, 1))[:, 0, ..., 0] - 2, -15.0)
    rgb = uniform("dr_rgb", (4, 1, 6, d, 3))[:, 0]
    view_directions = normalize(array("dr_dir", (4, 1, 6, d, 3)), dim=-1)[:, 0]
    towards_query = normalize(array("dr_qd", (1, 6, d, 3)), dim=-1)[0]
    alpha, colors = direct_rendering(SphericalFitter(), logit, hit, vis, rgb, mask, view_directions, towards_query)
    weights = weights_from_alpha(alpha, floor=1e-10)
    assert_close(weights, wanted["dr_hit_prob"][0], atol=1e-3, rtol=0)
    assert_close(colors, wanted["dr_colors"][0], atol=1e-3, rtol=0)
    assert_close(composite(weights, colors), wanted["dr_pixel"][0], atol=1e-3, rtol=0)


def test_the_basis_has_no_constant_but_the_first():
    grid = normalize(torch.randn(20000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    means = spherical_harmonics(grid).mean(dim=0)
    assert_close(means[1:], torch.zeros(15), atol=0.03, rtol=0)
