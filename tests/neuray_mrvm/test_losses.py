from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm.losses import compute_losses, total_loss
from neuray_mrvm.view_batch import TrainingItem

CONFIG = {
    "lambda_rgb": 0.7,
    "lambda_consist": 0.5,
    "lambda_depth": 2.0,
    "lambda_feat": 0.1,
    "stage_two_begin": 100,
    "stage_two_warmup": 50,
    "use_nr_fine_loss": True,
    "use_dr_loss": True,
    "use_dr_fine_loss": True,
}


@pytest.fixture
def outputs(uniform, array):
    """What a network might have returned."""
    names = {"gt": "l_gt", "nr": "l_nr", "nr_fine": "l_nf", "dr": "l_dr", "dr_fine": "l_df"}
    colors = {f"pixel_colors_{name}": uniform(tag, (1, 30, 3)) for name, tag in names.items()}
    own = 0.1 * uniform("l_h1", (1, 30, 64))
    own[0, 0, :2] = torch.tensor([0.0, 1.0])
    return colors | {
        "ray_mask": uniform("l_rm", (1, 30)) > 0.3,
        "hit_prob_nr": 0.1 * uniform("l_h0", (1, 30, 64)),
        "hit_prob_self": own,
        "hit_prob_nr_fine": 0.1 * uniform("l_h2", (1, 30, 96)),
        "hit_prob_self_fine": 0.1 * uniform("l_h3", (1, 30, 96)),
        "out_feat": array("l_f0", (1, 30, 64, 16)),
        "out_feat_fine": array("l_f1", (1, 30, 96, 16)),
        "argsort": uniform("l_as", (1, 30, 96)).argsort(dim=-1),
    }


@pytest.fixture
def item(references, query):
    """What it might have been asked."""
    return TrainingItem(references, query)


@pytest.mark.parametrize(("case", "use_ray_mask"), [("render", True), ("render_nomask", False)])
def test_colour_errors_are_those_of_the_reference(case, use_ray_mask, reference, outputs, item):
    wanted = reference("losses")
    terms = compute_losses(["render"], outputs, item, CONFIG | {"use_ray_mask": use_ray_mask})
    assert set(terms) == {f"loss_rgb_{name}" for name in ("nr", "nr_fine", "dr", "dr_fine")}
    for name, term in terms.items():
        assert_close(term.reshape(1), wanted[f"{case}_{name}"], atol=1e-5, rtol=0)


def test_consistency_is_that_of_the_reference(reference, outputs, item):
    wanted = reference("losses")
    terms = compute_losses(["consist"], outputs, item, CONFIG)
    for suffix in ("", "_fine"):
        assert_close(terms[f"loss_prob{suffix}"].reshape(1), wanted[f"consist_loss_prob{suffix}"], atol=1e-5, rtol=0)


def test_the_feature_loss_is_that_of_the_reference_at_every_step(reference, outputs, item):
    wanted = reference("losses")
    for step, loss in zip(wanted["feat_steps"].tolist(), wanted["feat_loss"], strict=True):
        terms = compute_losses(["feat"], outputs, replace(item, step=int(step)), CONFIG)
        assert_close(terms["loss_feats"], loss, atol=1e-5, rtol=0)
        assert_close(terms["feats_not_weighted"], wanted["feat_raw"], atol=1e-5, rtol=0)
    without = {name: value for name, value in outputs.items() if name != "out_feat"}
    assert_close(compute_losses(["feat"], without, item, CONFIG)["loss_feats"], wanted["feat_missing"])


@pytest.mark.parametrize("kind", ["l2", "smooth_l1"])
@pytest.mark.parametrize(("name", "scene"), [("gso", "gso/x/black_raw"), ("dtu", "dtu_train/scan1")])
def test_depth_errors_are_those_of_the_reference(name, scene, kind, reference, outputs, item, uniform, array):
    wanted, true = reference("losses"), item.references.depth
    noisy = true + 0.05 * array("l_dn", tuple(true.shape))
    views = replace(item.references, true_depth=true, depth=noisy)
    means = {"depth_mean": uniform("l_dm", (4, 50)), "depth_mean_fine": uniform("l_dmf", (4, 50))}
    coords = (uniform("l_c", (4, 50, 2)) * torch.tensor([64.0, 80.0])).floor()
    asked = replace(item, references=views, scene_name=scene)
    terms = compute_losses(
        ["depth"], outputs | means | {"depth_coords": coords}, asked, CONFIG | {"depth_loss_type": kind}
    )
    for term, value in terms.items():
        assert_close(value, wanted[f"depth_{name}_{kind}_{term}"], atol=1e-5, rtol=0)


def test_without_true_depth_the_depth_loss_is_one_zero(outputs, item):
    terms = compute_losses(["depth"], outputs, item, CONFIG)
    assert list(terms) == ["loss_depth"]
    assert terms["loss_depth"].tolist() == [0.0]


def test_the_total_is_the_sum_of_the_means_of_what_is_called_a_loss():
    terms = {"loss_a": torch.tensor([1.0, 3.0]), "loss_b": torch.tensor(0.5), "feats_not_weighted": torch.tensor(9.0)}
    assert_close(total_loss(terms), torch.tensor(2.5))


def test_an_unknown_loss_is_refused(outputs, item):
    with pytest.raises(ValueError, match="unknown loss 'depths'"):
        compute_losses(["depths"], outputs, item, CONFIG)
