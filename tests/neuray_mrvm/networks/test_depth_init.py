from dataclasses import replace

import pytest
import torch

from neuray_mrvm.networks.depth_init import DepthInit, depth_differences, normalised_depth


@pytest.fixture
def init_net(weights):
    init_net = DepthInit({})
    init_net.load_state_dict(weights(root="init_net."))
    return init_net


def test_names_and_their_order_are_those_of_the_released_checkpoints(manifest):
    named = {f"init_net.{name}": list(value.shape) for name, value in DepthInit({}).state_dict().items()}
    released = {name: shape for name, shape in manifest["gen_depth"].items() if name.startswith("init_net.")}
    assert list(named.items()) == list(released.items())


def test_its_parts_are_those_of_the_reference(init_net, array, uniform, reference):
    want = reference("networks")
    encoded = init_net.res_net(array("re_in", (1, 12, 64, 80), 0.5))
    torch.testing.assert_close(encoded, want["res_encoder"], rtol=0, atol=1e-4)
    skipped = init_net.depth_skip(uniform("ds_in", (1, 1, 64, 80)))
    torch.testing.assert_close(skipped, want["depth_skip"], rtol=0, atol=1e-4)


def test_ray_features_are_those_of_the_reference(init_net, references, reference):
    want = reference("init_depth")
    depth = normalised_depth(references)
    torch.testing.assert_close(depth, want["depth_in"], rtol=0, atol=1e-4)
    differences = depth_differences(references, depth)[:, :, ::3, ::3]
    torch.testing.assert_close(differences, want["diff_feats"], rtol=0, atol=2e-4)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            torch.testing.assert_close(init_net(references), want["ray_feats"], rtol=0, atol=5e-4)


def test_the_first_view_alone_has_the_ray_features_that_it_has_among_all(init_net, references):
    with torch.no_grad():
        torch.testing.assert_close(init_net.first(references), init_net(references)[:1], rtol=0, atol=1e-5)


def test_unknown_depth_counts_as_near_and_depth_beyond_far_as_far(references):
    depth = torch.zeros_like(references.depth)
    depth[..., 1::2] = 1e9
    got = normalised_depth(replace(references, depth=depth))
    assert torch.equal(got[..., ::2], torch.zeros_like(got[..., ::2]))
    assert torch.equal(got[..., 1::2], torch.ones_like(got[..., 1::2]))


def test_views_without_depth_are_refused(references):
    with pytest.raises(ValueError, match=r"no depth maps; make them with tools/make_depth_cache\.py"):
        DepthInit({})(replace(references, depth=None))
