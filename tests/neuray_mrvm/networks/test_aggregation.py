import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from neuray_mrvm.geometry import direction_differences
from neuray_mrvm.networks.aggregation import Aggregation, SeenSamples
from neuray_mrvm.networks.ray_attention import RayAttention, sample_encoding

SAMPLES = {"coarse": 64, "fine": 96}


@pytest.fixture
def seen(array, uniform):
    """Samples as the reference's views see them, for the `coarse` or the `fine` network."""

    def build(part):
        tag, d = f"ag_{part}", SAMPLES[part]
        mask = uniform(tag + "mask", (4, 1, 14, d, 1))[:, 0, ..., 0] > 0.35
        mask[:, 0], mask[:, 1] = False, True
        mask[:, 2] = torch.tensor([True, False, False, False])[:, None]
        mask[:, 3, d // 2 :] = False
        towards_query = normalize(array(tag + "qd", (1, 14, d, 3)), dim=-1)[0]
        directions = normalize(array(tag + "dir", (4, 1, 14, d, 3)), dim=-1)[:, 0]
        return SeenSamples(
            rgb=uniform(tag + "rgb", (4, 1, 14, d, 3))[:, 0],
            image_feats=array(tag + "if", (4, 1, 14, d, 32))[:, 0],
            ray_feats=array(tag + "rf", (4, 1, 14, d, 32))[:, 0],
            direction=direction_differences(directions, towards_query),
            hit=uniform(tag + "hp", (4, 1, 14, d, 1))[:, 0, ..., 0],
            visibility=uniform(tag + "vis", (4, 1, 14, d, 1))[:, 0, ..., 0],
            valid=mask,
        )

    return build


@pytest.fixture
def network(weights):
    """The `coarse` or the `fine` network with the reference's weights."""

    def build(part):
        aggregation = Aggregation()
        aggregation.load_state_dict(weights(root="agg_net." if part == "coarse" else "fine_agg_net."))
        return aggregation.eval()

    return build


@pytest.mark.parametrize(("case", "part"), [("coarse", "coarse"), ("fine", "fine"), ("masked", "fine")])
def test_aggregation_is_that_of_the_reference(case, part, reference, network, seen, uniform):
    wanted = reference("aggregation")
    mask = (uniform("ag_mi", (1, 4, 14, 96, 1))[0] > 0.6).float() if case == "masked" else None
    found = network(part)(seen(part), mask)
    assert_close(found.density, wanted[f"{case}_density"][0], atol=1e-5, rtol=0)
    assert_close(found.colors, wanted[f"{case}_colors"][0], atol=1e-5, rtol=0)
    assert_close(found.feature[:, ::4], wanted[f"{case}_feat"][0], atol=1e-5, rtol=0)


def test_ray_attention_is_that_of_the_reference(reference, weights, array, uniform):
    wanted = reference("aggregation")
    attention = RayAttention(16)
    attention.load_state_dict(weights(root="agg_net.agg_impl.ray_attention."))
    may_ask = uniform("at_m", (5, 64, 1))[..., 0] > 0.3
    assert_close(attention(array("at_x", (5, 64, 16)), may_ask), wanted["attention"], atol=1e-5, rtol=0)
    assert_close(sample_encoding(96, torch.zeros(1, 16)), wanted["pos_encoding96"][0], atol=1e-5, rtol=0)


def test_what_no_view_sees_is_empty_and_black(network, seen):
    samples = seen("coarse")
    dark = samples._replace(rgb=samples.rgb * samples.valid[..., None])
    found = network("coarse")(dark)
    assert (found.density[0] == 0).all()
    assert (found.colors[0] == 0).all()


def test_colours_lie_among_those_of_the_views_that_see_the_sample(network, seen):
    samples = seen("coarse")
    found = network("coarse")(samples).colors[4:]
    rgb, valid = samples.rgb[:, 4:], samples.valid[:, 4:, :, None]
    low = torch.where(valid, rgb, 2.0).amin(dim=0) - 1e-6
    high = torch.where(valid, rgb, -2.0).amax(dim=0) + 1e-6
    is_seen = valid.any(dim=0).expand_as(found)
    assert ((found >= low) & (found <= high))[is_seen].all()


def test_the_order_of_views_does_not_matter(network, seen):
    samples = seen("fine")
    order = torch.tensor([2, 0, 3, 1])
    shuffled = SeenSamples(*(each[order] for each in samples))
    for one, other in zip(network("fine")(samples), network("fine")(shuffled), strict=True):
        assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_hidden_token_does_not_change_the_result(network, seen):
    samples = seen("fine")
    mask = torch.zeros(4, 14, 96, 1)
    mask[1] = 1
    changed = samples.image_feats.clone()
    changed[1] += 5
    one, other = (network("fine")(each, mask) for each in (samples, samples._replace(image_feats=changed)))
    assert torch.equal(one.density, other.density)
    assert not torch.equal(network("fine")(samples).density, one.density)
