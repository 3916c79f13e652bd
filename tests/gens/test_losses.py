import pytest
import torch

from gens.losses import GensLoss, LossWeights, dissimilarity
from gens.networks.volumes import total_variation

GENERIC = {
    "color_weight": 1.0,
    "sparse_weight": 0.02,
    "sparse_scale_factor": 100,
    "igr_weight": 0.1,
    "mfc_weight": 1.0,
    "smooth_weight": 0.0001,
    "tv_weight": 0.0001,
    "depth_weight": 0.0,
    "normal_weight": 0.0,
    "pseudo_sdf_weight": 1.0,
    "pseudo_depth_weight": 0.05,
}
FINETUNE = GENERIC | {"sparse_weight": 0.0, "smooth_weight": 0.0005}


@pytest.fixture
def case(reference, deterministic):
    """Outputs, targets and what the reference makes of them."""
    want = reference("losses")
    outputs = {name.removeprefix("in_"): value for name, value in want.items() if name.startswith("in_")}
    apart = torch.from_numpy(deterministic.array("open/l_src", (len(want["in_ref_gray_val"]) + 1, 40, 121, 3), 0.5))
    outputs["sampled_gray_val"] = 0.8 * outputs["ref_gray_val"] + apart
    targets = {name.removeprefix("target_"): value for name, value in want.items() if name.startswith("target_")}
    return outputs, targets, want


def test_terms_are_those_of_the_reference(case):
    outputs, targets, want = case
    torch.testing.assert_close(
        dissimilarity(outputs["ref_gray_val"], outputs["sampled_gray_val"]), want["lncc"], rtol=1e-4, atol=1e-6
    )
    for name, value in GensLoss(LossWeights.from_config(GENERIC))(outputs, targets).items():
        torch.testing.assert_close(value, want[f"gens_{name}"], rtol=1e-4, atol=0)


def test_what_is_not_known_costs_nothing(case):
    outputs, targets, want = case
    outputs = {name: value for name, value in outputs.items() if name != "pseudo_sdf"}
    terms = GensLoss(LossWeights.from_config(FINETUNE))(outputs, {"color": targets["color"]})
    for name, value in terms.items():
        torch.testing.assert_close(value, want[f"ft_{name}"], rtol=1e-4, atol=0)


def test_total_variation_is_that_of_the_reference(reference, deterministic):
    want = reference("losses")
    volumes = [torch.from_numpy(deterministic.array(f"open/tv{i}", (1, 4, d, d, d))) for i, d in enumerate((9, 6, 4))]
    masks = [
        (torch.from_numpy(deterministic.array(f"open/tvm{i}", (1, 1, d, d, d))) > -0.7).float()
        for i, d in enumerate((9, 6, 4))
    ]
    torch.testing.assert_close(total_variation(volumes, masks), want["tv_masked"], rtol=1e-4, atol=0)
    torch.testing.assert_close(total_variation(volumes), want["tv_unmasked"], rtol=1e-4, atol=0)


def test_a_level_that_no_two_views_share_has_no_variation_and_no_slope():
    volumes = [torch.rand(1, 2, 4, 4, 4, requires_grad=True) for _ in range(2)]
    masks = [torch.ones(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4)]
    both = total_variation(volumes, masks)
    both.backward()
    torch.testing.assert_close(both, total_variation(volumes[:1], masks[:1]))
    assert volumes[0].grad.isfinite().all() and volumes[0].grad.any()
    assert not volumes[1].grad.any()


def test_one_source_is_not_enough():
    with pytest.raises(ValueError, match="got 1 source view"):
        dissimilarity(torch.zeros(1, 4, 121, 3), torch.zeros(1, 4, 121, 3))
