import pytest
import torch

from gens.networks.blending import source_views
from gens.networks.implicit_surface import ImplicitSurface
from gens.networks.patches import patch_maps
from gens.networks.rendering import Rays, SceneVolumes, render_for_training, render_for_viewing
from gens.networks.sdf_inference import SdfField


@pytest.fixture
def surface(weights):
    surface = ImplicitSurface()
    surface.load_state_dict(weights("implicit_surface.", sphere=True))
    return surface


@pytest.fixture
def render(surface, reference, recipes, tensors, monkeypatch):
    """`render(matching)` is the scene of the reference, its rays and samples, and the reference's results."""
    want, views = reference("render_core"), reference("scene")
    height, width = views["imgs"].shape[-2:]
    features = tensors(recipes.features("open/", len(views["imgs"]), height, width))
    uniform = lambda size, **options: torch.from_numpy(recipes.frac_uniform(size))  # noqa: E731
    monkeypatch.setattr(torch, "rand", uniform)

    def build(matching):
        read = [maps.flip(1) for maps in features] if matching else features
        dims = [want[f"mask{level}"].shape[-1] for level in range(5)]
        scene = SceneVolumes(
            tensors(recipes.sdf_volumes("open/", dims, 0.05)),
            [want[f"mask{level}"] for level in range(5)],
            source_views(views["imgs"], features, want["intrs"], want["c2ws"]),
            want["intrs"],
            want["c2ws"],
            patch_maps(read),
        )
        return scene, Rays(want["rays_o"], want["rays_d"]), want["z_vals"], float(want["sample_dist"]), want

    return build


@pytest.mark.parametrize(("prefix", "ratio"), [("a_", 1.0), ("b_", 0.4)])
def test_rendered_entries_are_those_of_the_reference(surface, render, prefix, ratio):
    *inputs, want = render(matching=prefix == "b_")
    outputs = render_for_training(surface, *inputs, ratio)
    outputs["s_val"] = outputs["s_val"][:1]
    outputs["gradients"] = outputs["gradients"][:, ::3]
    for name in ("ref_gray_val", "sampled_gray_val"):
        outputs[name] = outputs[name][:, ::6, ::4]
    names = [name.removeprefix(prefix) for name in want if name.startswith(prefix)]
    assert len(names) >= 15
    for name in names:
        relative = {"tv_reg": 1e-5, "smooth_error": 1e-4}.get(name, 0)
        absolute = 0 if relative else 1e-3 if "gray" in name else 1e-4
        got, expected = outputs[name].detach().float(), want[prefix + name].float()
        torch.testing.assert_close(got, expected, rtol=relative, atol=absolute, msg=lambda text, name=name: name + text)


def test_viewing_shows_what_training_renders(surface, render):
    scene, rays, z, last, want = render(matching=False)
    field = SdfField(surface.sdf_network, scene.volumes, scene.masks)
    with torch.no_grad():
        maps = render_for_viewing(surface, field, scene, rays, z, last)
    for name in ("color_fine", "render_depth", "normal", "sdf_depth"):
        torch.testing.assert_close(maps[name], want[f"a_{name}"], rtol=0, atol=1e-4)
    inside = (want["a_weights"] * want["a_inside_sphere"]).sum(dim=1)
    assert (inside > 0.5).any()
    assert (maps["normal_inside"].norm(dim=-1)[inside < 1e-6] < 1e-4).all()


def test_rays_that_no_view_sees_are_empty(surface, render):
    scene, rays, z, last, _ = render(matching=False)
    away = Rays(rays.origins, -rays.directions)
    field = SdfField(surface.sdf_network, scene.volumes, scene.masks)
    with torch.no_grad():
        maps = render_for_viewing(surface, field, scene, away, z, last)
    assert all((values == 0).all() for values in maps.values())
