import torch

from gens.networks.blending import BlendingNetwork, look_at_sources, source_views


def test_colours_are_those_of_the_reference(weights, reference):
    want = reference("blending_network")
    network = BlendingNetwork()
    network.load_state_dict(weights("implicit_surface.color_network."))
    assert (want["mask"].sum(dim=1) == 0).any()
    with torch.no_grad():
        rgb = network(want["rgb_feat"], want["ray_diff"], want["mask"].bool())
    torch.testing.assert_close(rgb, want["rgb"], rtol=0, atol=2e-5)


def test_what_sources_show_is_that_of_the_reference(reference, recipes, tensors):
    want, images = reference("lookup_feature"), reference("scene")["imgs"]
    features = tensors(recipes.features("open/", len(images), *images.shape[-2:]))
    sources = source_views(images, features, want["intrs"], want["c2ws"])
    seen = look_at_sources(sources, want["pts"])
    torch.testing.assert_close(seen.rgb_feat, want["rgb_feat"], rtol=0, atol=1e-4)
    torch.testing.assert_close(seen.ray_diff, want["ray_diff"], rtol=0, atol=1e-4)
    assert torch.equal(seen.mask.float(), want["mask"])


def test_a_single_visible_source_gives_its_colour():
    torch.manual_seed(0)
    rgb_feat, ray_diff = torch.randn(5, 3, 23), torch.randn(5, 3, 4)
    mask = torch.zeros(5, 3, dtype=torch.bool)
    mask[:, 1] = True
    with torch.no_grad():
        torch.testing.assert_close(BlendingNetwork()(rgb_feat, ray_diff, mask), rgb_feat[:, 1, :3])
