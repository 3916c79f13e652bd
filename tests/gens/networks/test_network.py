import pytest
import torch

from gens.losses import GensLoss, LossWeights
from gens.networks import sdf_inference
from gens.networks.network import build_network

GENERIC = LossWeights(1.0, 0.02, 100.0, 0.1, 1.0, 0.0001, 0.0001, 1.0, 0.05)
FINETUNE = LossWeights(1.0, 0.0, 100.0, 0.1, 1.0, 0.0005, 0.0001, 1.0, 0.0)


@pytest.fixture
def build(weights):
    """The network of the reference's weights, for volumes of given sizes."""

    def build(dims, perturb=0.0):
        settings = {"volume": {"volume_dims": dims}, "implicit_surface": {"render": {"perturb": perturb}}}
        network = build_network(settings)
        network.load_state_dict(weights(sphere=True))
        return network

    return build


@pytest.fixture(autouse=True)
def fixed_numbers(recipes, monkeypatch):
    """What stands for random numbers in the reference."""
    monkeypatch.setattr(torch, "rand", lambda size, **options: torch.from_numpy(recipes.frac_uniform(tuple(size))))


def item(scene, want):
    names = ("rays_o", "rays_d", "near", "far", "intrs", "c2ws")
    return {"imgs": scene["imgs"], **{name: want[name] for name in names}}


def close_for_most(got, want, tolerance, share=0.97):
    return ((got.detach() - want).abs() <= tolerance).float().mean() >= share


def test_names_and_shapes_are_those_of_the_released_checkpoint(manifest):
    network = build_network({})
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == manifest["gens"]
    surface = network.implicit_surface
    assert {name: list(value.shape) for name, value in surface.state_dict().items()} == manifest[
        "gens_finetuned.implicit_surface"
    ]
    assert len(list(surface.parameters())) == 45
    features_and_volumes = [*network.feature_network.parameters(), *network.reg_network.parameters()]
    assert len(features_and_volumes) == 189
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert trained == 4_454_092


def test_the_whole_forward_pass_is_that_of_the_reference(build, reference):
    scene, want = reference("scene"), reference("e2e_forward")
    network = build(want["dims"].tolist()).eval()
    built = network.build_scene(item(scene, want))
    for level, step in ((0, 8), (2, 2), (4, 1)):
        volume = built.volumes[level][:, :, ::step, ::step, ::step]
        torch.testing.assert_close(volume, want[f"reg{level}"], rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.stack([mask.sum() for mask in built.masks]), want["mask_sums"])

    outputs = network("train", item(scene, want))
    for name in ("color_fine", "render_depth", "normal", "weight_sum"):
        assert close_for_most(outputs[name], want[name], 5e-4), name
        assert abs(outputs[name].mean() - want[name].mean()) < 1e-4
    assert close_for_most(outputs["sdf_depth"], want["sdf_depth"], 1e-3)
    torch.testing.assert_close(outputs["smooth_error"].detach(), want["smooth_error"], rtol=1e-3, atol=0)
    torch.testing.assert_close(outputs["tv_reg"].detach(), want["tv_reg"], rtol=1e-4, atol=0)
    for name in ("ref_gray_val", "sampled_gray_val"):
        assert close_for_most(outputs[name][:, ::8, ::5], want[name], 1e-2), name


@pytest.mark.parametrize("on_cpu", [True, False])
def test_validation_shows_what_the_reference_shows(build, reference, monkeypatch, on_cpu):
    scene, want = reference("scene"), reference("e2e_val")
    if not on_cpu:  # the way of other devices
        monkeypatch.setattr(sdf_inference, "_is_cpu", lambda device: False)
    network = build(want["dims"].tolist(), perturb=1.0).eval()
    inputs = item(scene, want) | {"hw": want["hw_rays"]}
    maps = network("val", inputs)
    for name in ("color_fine", "img_fine", "normal_img", "sdf_depth", "render_depth"):
        scale = 256 if name in ("img_fine", "normal_img") else 1
        assert close_for_most(maps[name], want[name], 1e-3 * scale), name
        assert (maps[name] - want[name]).abs().mean() < 1e-4 * scale, name
    axis = torch.linspace(-1, 1, int(want["resolution"]))
    field = network.sdf_field(network.build_scene(inputs))
    distances = field(torch.cartesian_prod(axis, axis, axis))
    torch.testing.assert_close(-distances.view(want["u"].shape), want["u"], rtol=0, atol=1e-4)


def norm(parameters):
    return torch.stack([each.grad.norm() for each in parameters if each.grad is not None]).norm()


def gradient_norms(network):
    surface = network.implicit_surface
    return {
        "feature_network": norm(network.feature_network.parameters()),
        "reg_network": norm(network.reg_network.parameters()),
        "sdf_network": norm(surface.sdf_network.parameters()),
        "color_network": norm(surface.color_network.parameters()),
        "variance": surface.deviation_network.variance.grad,
        "lin0_weight_v": surface.sdf_network.lin0.weight_v.grad.norm(),
        "lin6_weight_g": surface.sdf_network.lin6.weight_g.grad.norm(),
        "reg_out0": network.reg_network.out_layers[0].weight.grad.norm(),
        "feat_out1": network.feature_network.out_layer1.weight.grad.norm(),
    }


@pytest.mark.parametrize("stage", ["early", "late"])
def test_a_training_step_is_that_of_the_reference(build, reference, stage):
    scene, want = reference("scene"), reference("train_step")
    network = build(want["dims"].tolist()).train()
    inputs = item(scene, want) | {"pseudo_pts": want["pseudo_pts"]}
    outputs = network("train", inputs, float(want[f"{stage}_anneal"]), float(want[f"{stage}_step"]))
    terms = GensLoss(GENERIC)(outputs, want)
    for name, value in terms.items():
        torch.testing.assert_close(
            value.detach(), want[f"{stage}_{name}"], rtol=1e-3, atol=0, msg=lambda t, n=name: n + t
        )
    terms["smooth_loss"].backward(retain_graph=True)
    for part, wanted in (("reg", network.reg_network), ("sdf", network.implicit_surface.sdf_network)):
        exact = want[f"{stage}_gradnorm3_smooth_only_{part}"]
        torch.testing.assert_close(norm(wanted.parameters()), exact, rtol=0.02, atol=0)
    network.zero_grad()
    terms["loss"].backward()
    for name, value in gradient_norms(network).items():
        torch.testing.assert_close(value, want[f"{stage}_gradnorm3_{name}"], rtol=0.01, atol=0)
    assert all(each.grad is None for each in network.match_feature_network.parameters())


def test_a_fine_tuning_step_is_that_of_the_reference(build, reference):
    scene, want = reference("scene"), reference("finetune_step")
    network = build(want["dims"].tolist()).train()
    network.initialize_volumes(item(scene, want))
    assert network.training and network.has_vol
    torch.testing.assert_close(network.volumes[4].detach(), want["out_vol4"], rtol=0, atol=1e-4)
    torch.testing.assert_close(network.mask_volmes[4].detach(), want["out_mask4"])
    torch.testing.assert_close(network.features[3].detach(), want["out_feat3"], rtol=0, atol=1e-4)

    order = want["view_ids"]
    inputs = item(scene, want) | {"pseudo_pts": want["pseudo_pts"], "view_ids": order}
    inputs |= {name: inputs[name][order] for name in ("imgs", "intrs", "c2ws")}
    outputs = network("train", inputs)
    assert close_for_most(outputs["color_fine"], want["out_color_fine"], 5e-4)
    assert close_for_most(outputs["render_depth"], want["out_render_depth"], 5e-4)
    terms = GensLoss(FINETUNE)(outputs, want)
    for name, value in terms.items():
        torch.testing.assert_close(value.detach(), want[f"out_loss_{name}"], rtol=1e-3, atol=0)
    terms["loss"].backward()
    norms = torch.stack([volume.grad.norm() for volume in network.volumes])
    torch.testing.assert_close(norms, want["out_gradnorm_volumes"], rtol=0.01, atol=0)
    surface = norm(network.implicit_surface.parameters())
    torch.testing.assert_close(surface, want["out_gradnorm_implicit"], rtol=0.01, atol=0)
    assert network.feature_network.layer1[0].weight.grad is None


def test_matching_features_follow_the_trained_ones_every_fifth_epoch(build):
    network = build([64, 32, 16, 8, 4])
    images = torch.zeros(2, 3, 32, 32)
    with torch.no_grad():
        network.feature_network.out_layer1.weight.add_(1)
        for step, follows in ((None, False), (4.5, False), (5.0, True)):
            network._matching_features(images, step)
            same = torch.equal(
                network.match_feature_network.out_layer1.weight, network.feature_network.out_layer1.weight
            )
            assert same == follows


def test_a_chunk_of_one_ray_renders(build, reference):
    scene, want = reference("scene"), reference("e2e_forward")
    network = build(want["dims"].tolist()).eval()
    inputs = item(scene, want)
    built = network.build_scene(inputs)
    one = network.render_rays(built, inputs | {name: inputs[name][:1] for name in ("rays_o", "rays_d")})
    every = network.render_rays(built, inputs)
    for name, values in one.items():
        torch.testing.assert_close(values, every[name][:1], rtol=0, atol=1e-5)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"twice feature_network\.d_out"):
        build_network({"feature_network": {"d_out": [3] * 5}})
    with pytest.raises(ValueError, match="five entries each"):
        build_network({"volume": {"volume_dims": [64, 32]}})
    with pytest.raises(ValueError, match="halved from level to level"):
        build_network({"volume": {"volume_dims": [64, 32, 16, 8, 5]}})


def test_stored_volumes_of_other_views_are_refused(build, reference):
    scene, want = reference("scene"), reference("finetune_step")
    network = build(want["dims"].tolist())
    network.initialize_volumes(item(scene, want))
    inputs = item(scene, want)
    with pytest.raises(ValueError, match="made from 3 views but the item has 2"):
        network.build_scene(inputs | {name: inputs[name][:2] for name in ("imgs", "intrs", "c2ws")})
