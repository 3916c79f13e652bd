"""The network of one scene against the reference, on the reference's DTU tree."""

from dataclasses import replace

import pytest
import torch

from neuray_mrvm.config import complete_config, load_config
from neuray_mrvm.experiment import begin_scene
from neuray_mrvm.geometry import picture_coords
from neuray_mrvm.networks.ray_rendering import RandomDraws
from neuray_mrvm.optimization import build_optimizer
from neuray_mrvm.per_scene_data import load_scene_views
from neuray_mrvm.trainer import train_step
from neuray_mrvm.view_batch import SceneItem

DATABASE = "dtu_test/snowman/black_80"
PARTS = ("vis_encoder", "dist_decoder", "image_encoder", "agg_net", "fine_dist_decoder", "fine_agg_net", "ray_feats")
KINDS = {"depth": "ft_depth", "cost_volume": "ft_cost_volume"}


def settings(**values):
    cfg = load_config("configs/ft/depth/dtu/neuray_ft_depth_birds.yaml")
    return complete_config({**cfg, "database_name": DATABASE, "neighbor_view_num": 4} | values)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, golden_module):
    folder = tmp_path_factory.mktemp("neuray_tree")
    golden_module("neuray_mrvm/make_trees.py").main(str(folder), 0)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def begun(request, tree, weights, tmp_path_factory):
    """Kind, views, network as it begins."""
    kind = request.param
    path = tmp_path_factory.mktemp("general") / "model.pth"
    torch.save({"step": 0, "best_para": 0, "network_state_dict": weights(f"gen_{kind}")}, path)
    cfg = settings(ft_load_path=str(path))
    views = load_scene_views(cfg, tree, use_depth=True)
    gen_cfg = load_config(f"configs/gen/neuray_gen_{kind}.yaml")
    return kind, cfg, views, begin_scene(cfg, gen_cfg, views)


def test_the_scene_is_split_and_the_ray_features_begin_as_in_the_reference(begun, reference):
    kind, _, views, network = begun
    stored = reference(KINDS[kind])
    assert [int(name) for name in views.reference_ids] == stored["ref_ids"].tolist()
    assert [int(name) for name in views.query_ids] == stored["val_ids"].tolist()
    near = [views.neighbours(pose)[:8].tolist() for pose in views.references.poses]
    assert near == stored["ref_dist_idx"].tolist()
    torch.testing.assert_close(views.references.depth_range, stored["depth_range"].expand(13, 2), rtol=0, atol=1e-4)
    features = list(network.ray_feats)
    assert [len(features), *features[0].shape] == stored["ray_feats_shape"].tolist()
    torch.testing.assert_close(features[0][:, ::2], stored["ray_feats_0"], rtol=0, atol=5e-4)
    torch.testing.assert_close(features[-1][:, ::2], stored["ray_feats_last"], rtol=0, atol=5e-4)
    torch.testing.assert_close(torch.stack([f.mean() for f in features]), stored["ray_feats_mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.stack([f.std() for f in features]), stored["ray_feats_std"], rtol=0, atol=1e-4)


def test_a_validation_picture_is_the_reference_s(begun, reference):
    kind, _, views, network = begun
    stored = reference(KINDS[kind])
    network.eval()
    item = next(iter(views.validation_items(0)))
    assert list(item.query.size) == stored["val_hw"].tolist()
    outputs = network(replace(item, query=thinned(item.query)))
    for name in ("pixel_colors_nr", "pixel_colors_nr_fine", "pixel_colors_gt"):
        torch.testing.assert_close(outputs[name].reshape(1, 20, 20, 3), stored[f"val_{name}"], rtol=0, atol=5e-4)
    assert torch.equal(outputs["ray_mask"].reshape(20, 20), stored["val_ray_mask"].bool()[::3, ::4])


def test_two_steps_are_the_reference_s(begun, reference, uniform):
    """The second one has gradients of zero: everything that moved goes on moving."""
    kind, cfg, views, network = begun
    stored = reference(KINDS[kind])
    before = [feature.detach().clone() for feature in network.ray_feats]
    network.train()
    optimizer = build_optimizer(cfg, network)
    terms = train_step(network, optimizer, step_item(views, stored, uniform), cfg, draws(uniform))
    for name in ("loss_rgb_nr", "loss_rgb_nr_fine", "loss_prob", "loss_prob_fine"):
        assert terms[name].item() == pytest.approx(stored[f"step_term_{name}"].item(), rel=1e-4), name
    assert terms["loss"].item() == pytest.approx(stored["step_total"].item(), rel=1e-4)
    for part in PARTS:
        norms = [p.grad.norm() for p in getattr(network, part).parameters() if p.grad is not None]
        expected = stored[f"step_gradnorm_{part}"].item()
        assert torch.stack(norms).norm().item() == pytest.approx(expected, rel=0.01), part
    norms = torch.stack([torch.zeros(()) if f.grad is None else f.grad.norm() for f in network.ray_feats])
    torch.testing.assert_close(norms, stored["step_grad_ray_feats_norms"], rtol=0.01, atol=0)
    own = network.ray_feats[int(stored["step_que"])].grad[:, ::4]
    largest = stored["step_grad_ray_feats_que"].abs().max().item()
    torch.testing.assert_close(own, stored["step_grad_ray_feats_que"], rtol=0, atol=1e-5 + 0.01 * largest)

    after = [feature.detach().clone() for feature in network.ray_feats]
    assert_moves(before, after, stored["adam_move1"])
    optimizer.zero_grad(set_to_none=True)
    optimizer.step()
    optimizer.catch_up()
    assert_moves(after, list(network.ray_feats), stored["adam_move2"])
    with torch.no_grad():
        for feature, value in zip(network.ray_feats, before, strict=True):
            feature.copy_(value)


def thinned(query):
    """Only the rays of which the reference's values are stored."""
    return replace(query, coords=picture_coords(query).view(1, *query.size, 2)[:, ::3, ::4].reshape(1, -1, 2))


def step_item(views, stored, uniform) -> SceneItem:
    number, chosen = int(stored["step_que"]), stored["step_refs"].long()
    coords = (uniform("ft_coords", (1, 40, 2)) * torch.tensor([80.0, 64.0])).floor()
    query = replace(views.references.select(torch.tensor([number])), coords=coords)
    references = views.references.select(chosen)
    return SceneItem(references, query, None, DATABASE, 0, tuple(chosen.tolist()), number)


def draws(uniform) -> RandomDraws:
    return RandomDraws(fine_u=uniform("ft_u", (1, 40, 32)))


def assert_moves(before, after, expected) -> None:
    moved = torch.stack([(b - a).abs().mean() for a, b in zip(before, after, strict=True)])
    torch.testing.assert_close(moved.detach(), expected, rtol=0.01, atol=1e-12)


def test_a_free_pose_is_rendered_as_in_the_reference(tree, weights, reference, array):
    from neuray_mrvm.networks.per_scene import PerSceneNetwork

    stored = reference("ft_render_pose")
    cfg = settings(database_split="test_all", render_depth=True, stage="eval")
    views = load_scene_views(cfg, tree)
    shape = (1, 32, 16, 20)
    network = PerSceneNetwork(cfg, [shape] * len(views.references)).eval()
    state = {name: value for name, value in weights("gen_depth").items() if not name.startswith("init_net.")}
    state |= {f"ray_feats.{i}": array(f"ray_feats.{i}", shape) for i in range(int(stored["n_ray_feats"]))}
    network.load_state_dict(state)
    query = replace(thinned(views.query(0)), imgs=None)
    item = views.rendering_item(query)
    assert list(item.reference_numbers) == stored["selected"].tolist()
    outputs = network(item)
    for name in ("pixel_colors_nr", "pixel_colors_nr_fine"):
        torch.testing.assert_close(outputs[name].reshape(20, 20, 3), stored[name], rtol=0, atol=5e-4)
    for name in ("render_depth", "render_depth_fine"):
        torch.testing.assert_close(outputs[name].reshape(20, 20, 1), stored[name], rtol=0, atol=1e-3)


def test_a_training_item_is_a_function_of_seed_and_step(tree):
    views = load_scene_views(settings(), tree)
    first, again, other = (views.training_item(3, step) for step in (7, 7, 8))
    assert first.reference_numbers == again.reference_numbers
    assert torch.equal(first.query.coords, again.query.coords)
    assert not torch.equal(first.query.coords, other.query.coords)
    items = [views.training_item(0, step) for step in range(60)]
    assert {item.query_number for item in items} == set(range(13))
    for item in items:
        assert len(set(item.reference_numbers)) == 4
        near = views.neighbours(views.references.poses[item.query_number])
        assert set(item.reference_numbers) <= set(near[:9].tolist())
    own = [item.query_number in item.reference_numbers for item in items]
    assert sum(own) < 5  # one in a hundred may see the view itself
