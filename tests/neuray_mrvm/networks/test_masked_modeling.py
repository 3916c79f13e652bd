import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm.networks.masked_modeling import draw_token_mask, feature_weight, matching_loss, token_mask


def test_tokens_are_chosen_as_in_the_reference(reference, uniform):
    wanted = reference("mask_index")
    chosen = int(96 * float(wanted["mask_ratio"]))
    order = uniform("mi_r1", (1, 10, 96))[0].argsort(dim=-1)
    ranks = uniform("mi_r2", (1, 4, 10, chosen))[0].argsort(dim=0)
    last = (4 * uniform("mi_vi", (1, 1, 10, chosen))[0, 0]).long()
    assert torch.equal(token_mask(order, ranks, last), wanted["mask_index"][0, ..., 0].long())


def test_a_drawn_mask_hides_the_asked_share_of_every_ray():
    torch.manual_seed(0)
    mask = draw_token_mask(0.25, views=3, rays=50, samples=96, like=torch.zeros(1))[..., 0]
    per_sample = mask.sum(dim=0)
    assert ((per_sample > 0).sum(dim=-1) == 24).all()
    counts = per_sample[per_sample > 0]
    assert {1, 2, 3} == set(counts.int().tolist())
    assert abs(float(counts.mean()) - 2) < 0.1


def test_coarse_samples_are_compared_with_their_places_in_the_fine_pass():
    coarse, fine = torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([[4.0, 0.5]])
    depth, argsort = torch.cat([coarse, fine], dim=-1).sort(dim=-1)
    directions = torch.stack([depth.cos(), depth.sin()], dim=-1)[None]
    target = torch.stack([coarse.cos(), coarse.sin()], dim=-1)[None]
    assert_close(matching_loss(target, directions, argsort[None]), torch.tensor(0.0), atol=1e-6, rtol=0)
    opposite = matching_loss(-target, directions, argsort[None])
    assert_close(opposite, torch.tensor(4.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (9, 0.0), (10, 0.0), (20, 0.05), (30, 0.1), (1000, 0.1)])
def test_the_features_weight_grows_after_its_begin(step, weight):
    assert feature_weight(step, 10, 20, 0.1) == pytest.approx(weight)
