"""One training step against the reference: losses, gradients, what the optimiser and the moving average leave."""

from dataclasses import replace

import pytest
import torch

from neuray_mrvm.config import complete_config
from neuray_mrvm.networks.build import build_generalization
from neuray_mrvm.networks.ray_rendering import RandomDraws
from neuray_mrvm.optimization import build_optimizer
from neuray_mrvm.trainer import train_step
from neuray_mrvm.view_batch import TrainingItem

PARTS = ("vis_encoder", "dist_decoder", "image_encoder", "agg_net", "projector", "target_projector", "predictor")
PARTS += ("fine_dist_decoder", "fine_agg_net", "init_net")
CASES = {
    "train_pretrain": ("depth", "pretrain", 15, "gso/x/black_raw"),
    "train_pretrain_before": ("depth", "pretrain", 9, "dtu_train/scan1"),
    "train_gen_cv": ("cost_volume", "ft", 5, "gso/x/black_raw"),
}


def settings(kind: str, stage: str):
    pretraining = stage == "pretrain"
    return complete_config(
        {
            "network": "neuray_gen",
            "init_net_type": kind,
            "use_hierarchical_sampling": True,
            "use_depth_loss": True,
            "use_nr_fine_loss": True,
            "loss": ["render", "depth", "feat"],
            "stage": stage,
            "mask_ratio": 0.5 if pretraining else 0.0,
            "lambda_feat": 0.1 if pretraining else 0.0,
            "stage_two_begin": 10,
            "stage_two_warmup": 20,
            "lr_cfg": {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5},
        }
    )


def training_item(references, query, sources, array, uniform, step, scene) -> TrainingItem:
    coords = (uniform("tr_coords", (1, 40, 2)) * torch.tensor([80.0, 64.0])).floor()
    if scene.startswith("gso"):
        truth = references.depth
        noise = 0.08 * array("tr_dn", tuple(truth.shape))
        references = replace(references, true_depth=truth, depth=torch.where(truth > 0, truth + noise, truth))
    return TrainingItem(references, replace(query, coords=coords), sources, scene, step)


def random_numbers(uniform) -> RandomDraws:
    order = uniform("tr_perm", (5120,)).argsort()[:600]
    positions = torch.stack([order // 80, order % 80], dim=-1).float()  # as the reference uses them
    mask = (uniform("tr_mi", (1, 4, 40, 96, 1)) > 0.55).float()
    return RandomDraws(uniform("tr_u", (1, 40, 32)), mask, positions)


@pytest.mark.parametrize("name", CASES)
def test_a_training_step_is_the_reference_s(name, references, query, all_views, reference, weights, array, uniform):
    kind, stage, step, scene = CASES[name]
    stored, cfg = reference(name), settings(kind, stage)
    network = build_generalization(cfg)
    network.load_state_dict(weights(f"gen_{kind}"))
    network.train()
    optimizer = build_optimizer(cfg, network)
    item = training_item(references, query, all_views if kind == "cost_volume" else None, array, uniform, step, scene)
    terms = train_step(network, optimizer, item, cfg, random_numbers(uniform))

    assert terms["loss"].item() == pytest.approx(stored["total"].item(), rel=1e-4)
    for key in (key for key in stored if key.startswith("term_")):
        found = terms[key.removeprefix("term_")].item()
        assert found == pytest.approx(stored[key].mean().item(), rel=1e-4, abs=1e-7), key
    for part in PARTS:
        gradients = [p.grad.norm() for p in getattr(network, part).parameters() if p.grad is not None]
        found = torch.stack(gradients).norm().item() if gradients else 0.0
        assert found == pytest.approx(stored[f"gradnorm_{part}"].item(), rel=0.01, abs=1e-9), part
    close = {
        "grad_prob_embed0": network.fine_agg_net.prob_embed[0].weight.grad,
        "grad_out_conv": network.image_encoder.out_conv.weight.grad[:, :, 0, 0],
        "grad_fine_mask_token": network.fine_agg_net.agg_impl.mask_token.grad,
    }
    for key, found in close.items():
        if found is not None:
            expected = stored[key].reshape(found.shape)
            tolerance = 1e-5 + 0.01 * expected.abs().max().item()
            torch.testing.assert_close(
                found, expected, rtol=0, atol=tolerance, msg=lambda text, key=key: f"{key} {text}"
            )
    if stage == "pretrain":
        network.update_target()  # as the reference did, whatever the step
        for head in ("projector", "target_projector", "predictor"):
            norm = getattr(network, head)[1]
            torch.testing.assert_close(norm.running_mean, stored[f"{head}_rm"], rtol=0, atol=1e-5)
            torch.testing.assert_close(norm.running_var, stored[f"{head}_rv"], rtol=0, atol=1e-5)
        moved = network.projector[0].weight
        certain = moved.grad.abs() > 1e-6  # Adam's first step has the size of the rate whatever the gradient
        torch.testing.assert_close(moved[certain], stored["after_projector0"][certain], rtol=0, atol=1e-6)
        torch.testing.assert_close(network.target_projector[0].weight, stored["after_target0"], rtol=0, atol=1e-5)
        mean = network.target_projector[1].running_mean
        torch.testing.assert_close(mean, stored["after_target_rm"], rtol=0, atol=1e-5)
