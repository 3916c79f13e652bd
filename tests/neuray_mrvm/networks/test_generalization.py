"""Whole networks against the reference: parameters, a forward pass, and steps of training."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from neuray_mrvm.losses import compute_losses, total_loss
from neuray_mrvm.networks.generalization import GeneralizationNetwork
from neuray_mrvm.networks.ray_rendering import RandomDraws
from neuray_mrvm.view_batch import TrainingItem

VARIANTS = {"gen_depth": "depth", "gen_cost_volume": "cost_volume"}
CONFIG = {"use_hierarchical_sampling": True, "render_depth": True}
TRAINING = {
    "use_depth_loss": True,
    "use_nr_fine_loss": True,
    "lambda_feat": 0.1,
    "stage_two_begin": 10,
    "stage_two_warmup": 20,
    "render_depth": False,
}
TOP_LEVEL = ["vis_encoder", "dist_decoder", "image_encoder", "agg_net", "projector", "target_projector", "predictor"]
TOP_LEVEL += ["fine_dist_decoder", "fine_agg_net", "init_net"]


@pytest.fixture(scope="module")
def build(weights):
    """A network of a variant with the reference's weights."""

    def make(variant, **cfg):
        network = GeneralizationNetwork({**CONFIG, "init_net_type": VARIANTS[variant], **cfg})
        network.load_state_dict(weights(variant))
        return network.eval()

    return make


def grid(step):
    y, x = torch.meshgrid(torch.arange(0, 64, step), torch.arange(0, 80, step), indexing="ij")
    return torch.stack([x, y], dim=-1).view(1, -1, 2).float()


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_have_the_released_names_and_shapes(variant, manifest):
    network = GeneralizationNetwork({**CONFIG, "init_net_type": VARIANTS[variant]})
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == manifest[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_forward_pass_is_that_of_the_reference(variant, build, reference, references, query, all_views):
    wanted, network = reference(f"forward_{variant}"), build(variant)
    query = replace(query, coords=grid(4))
    with torch.no_grad():
        prepared = network.prepare(references, all_views)
        raw = network.init_net(references, all_views, False)
        coarse, fine, _ = network.render_passes(prepared, query, query.coords[0, ::5], RandomDraws())
    assert_close(raw[:, ::4], wanted["init_feats"], atol=5e-4, rtol=0)
    assert_close(prepared.ray_feats[:, ::4], wanted["vis_feats"], atol=5e-4, rtol=0)
    assert_close(fine.depth, wanted["fine_sample_depth"][0], atol=1e-3, rtol=0)
    assert_close(coarse.hit, wanted["coarse_hit_prob"][0], atol=5e-4, rtol=0)
    assert_close(fine.hit, wanted["fine_hit_prob"][0], atol=5e-4, rtol=0)
    outputs = network(TrainingItem(references, query, all_views))
    assert not [name for name in outputs if name.startswith("hit_prob")]
    for name in ("pixel_colors_nr", "pixel_colors_nr_fine", "pixel_colors_gt"):
        difference = (outputs[name] - wanted[name]).abs()
        assert difference.max() < 5e-4
        assert (difference < 1e-4).float().mean() > 0.99
    for suffix in ("", "_fine"):
        assert_close(outputs[f"render_depth{suffix}"], wanted[f"render_depth{suffix}"], atol=1e-3, rtol=0)
        assert torch.equal(outputs[f"ray_mask{suffix}"], wanted[f"ray_mask{suffix}"].bool())


STEPS = {
    "train_pretrain": ("gen_depth", "pretrain", 15, "gso/x/black_raw"),
    "train_pretrain_before": ("gen_depth", "pretrain", 9, "dtu_train/scan1"),
    "train_gen_cv": ("gen_cost_volume", "ft", 5, "gso/x/black_raw"),
}


@pytest.fixture(scope="module", params=STEPS)
def step(request, build, reference, references, query, all_views, uniform, array):
    """One step's name, network (after the backward pass), outputs and losses."""
    variant, stage, number, scene = STEPS[request.param]
    cfg = {**TRAINING, "stage": stage, "mask_ratio": 0.5 if stage == "pretrain" else 0.0}
    network = build(variant, **cfg).train()
    if scene.startswith("gso"):
        true = references.depth
        noisy = torch.where(true > 0, true + 0.08 * array("tr_dn", tuple(true.shape)), true)
        references = replace(references, true_depth=true, depth=noisy)
    order = uniform("tr_perm", (5120,)).argsort()[:600]
    draws = RandomDraws(
        uniform("tr_u", (1, 40, 32)),
        (uniform("tr_mi", (1, 4, 40, 96, 1)) > 0.55).float(),
        torch.stack([order // 80, order % 80], dim=-1).float(),
    )
    coords = (uniform("tr_coords", (1, 40, 2)) * torch.tensor([80.0, 64.0])).floor()
    item = TrainingItem(references, replace(query, coords=coords), all_views, scene, number)
    outputs = network(item, draws)
    terms = compute_losses(["render", "depth", "feat"], outputs, item, cfg)
    total_loss(terms).backward()
    return request.param, network, outputs, terms, reference(request.param)


def norm(module):
    return sum(float(p.grad.square().sum()) for p in module.parameters() if p.grad is not None) ** 0.5


def test_a_training_step_is_that_of_the_reference(step):
    _, network, outputs, terms, wanted = step
    assert_close(total_loss(terms), wanted["total"], atol=0, rtol=1e-4)
    named = {name.removeprefix("term_") for name in wanted if name.startswith("term_")}
    assert named == set(terms)
    for name in named:
        assert_close(terms[name].reshape(-1), wanted[f"term_{name}"].reshape(-1), atol=1e-7, rtol=1e-4)
    for part in TOP_LEVEL:
        norm_there = float(wanted[f"gradnorm_{part}"])
        assert norm(getattr(network, part)) == pytest.approx(norm_there, rel=1e-2, abs=1e-9), part
    gradients = {
        "grad_fine_mask_token": network.fine_agg_net.agg_impl.mask_token.grad,
        "grad_prob_embed0": network.fine_agg_net.prob_embed[0].weight.grad,
        "grad_out_conv": network.image_encoder.out_conv.weight.grad,
    }
    for name, found in gradients.items():
        if found is None:
            assert not wanted[name].any()
            continue
        there = wanted[name].reshape(found.shape)
        assert_close(found, there, atol=1e-5 + 0.01 * float(there.abs().max()), rtol=0)
    for name in ("pixel_colors_nr", "pixel_colors_nr_fine", "depth_mean", "depth_mean_fine"):
        if name in wanted:
            assert_close(outputs[name], wanted[name], atol=1e-4, rtol=1e-4)
    assert torch.equal(outputs["ray_mask"], wanted["ray_mask"].bool())


def test_mask_based_modelling_moves_as_in_the_reference(step):
    name, network, outputs, _, wanted = step
    if not name.startswith("train_pretrain"):
        assert not {"out_feat", "out_feat_fine", "argsort"} & set(outputs)
        return
    assert torch.equal(outputs["argsort"], wanted["argsort"].long())
    for key in ("out_feat", "out_feat_fine"):
        assert_close(outputs[key][:, ::4], wanted[key], atol=1e-4, rtol=1e-4)
    heads = {head: getattr(network, head) for head in ("projector", "target_projector", "predictor")}
    for head, module in heads.items():
        assert_close(module[1].running_mean, wanted[f"{head}_rm"], atol=1e-5, rtol=1e-4)
        assert_close(module[1].running_var, wanted[f"{head}_rv"], atol=1e-5, rtol=1e-4)
    if "after_target0" in wanted:
        optimizer = torch.optim.Adam(network.parameters(), lr=4e-4)
        gradient = heads["projector"][0].weight.grad.abs()
        optimizer.step()
        network.update_target()
        clear = gradient > 1e-3 * gradient.max() if gradient.any() else gradient == 0
        projector = heads["projector"][0].weight
        assert_close(projector[clear], wanted["after_projector0"][clear], atol=1e-6, rtol=0)
        assert_close(heads["target_projector"][0].weight, wanted["after_target0"], atol=1e-6, rtol=0)
        assert_close(heads["target_projector"][1].running_mean, wanted["after_target_rm"], atol=1e-5, rtol=0)


def test_results_do_not_depend_on_the_size_of_chunks(build, references, query):
    item = TrainingItem(references, replace(query, coords=grid(16)))
    one, other = (build("gen_depth", ray_batch_num=number)(item) for number in (7, 4096))
    for name, value in one.items():
        assert_close(value, other[name], atol=1e-5, rtol=1e-5)


def test_the_target_projector_starts_as_the_projector_and_no_optimiser_moves_it():
    network = GeneralizationNetwork(CONFIG)
    pairs = list(zip(network.projector.parameters(), network.target_projector.parameters(), strict=True))
    assert all(torch.equal(own, target) and not target.requires_grad for own, target in pairs)
    with torch.no_grad():
        pairs[0][0].add_(1.0)
    before = pairs[0][1].clone()
    network.update_target()
    assert_close(pairs[0][1], before + 0.01, atol=1e-6, rtol=0)


def test_random_draws_differ_between_steps_and_follow_the_seed(build, references, query):
    network = build("gen_depth", **TRAINING, stage="pretrain", mask_ratio=0.5).train()
    item = TrainingItem(references, replace(query, coords=grid(16)))
    pictures = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            pictures.append(network(item)["pixel_colors_nr_fine"])
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])
