import torch

from gens.networks.volumes import build_volumes, is_seen, look_up


def test_aggregated_volumes_are_those_of_the_reference(reference, recipes, tensors):
    want = reference("volume_aggregation")
    height, width = want["hw"].tolist()
    features = tensors(recipes.features("open/", len(want["intrs"]), height, width))
    built = list(build_volumes(features, want["intrs"], want["c2ws"], want["dims"].tolist()))
    assert len(built) == 5
    for level, (volume, mask) in enumerate(built):
        torch.testing.assert_close(volume, want[f"volume{level}"], rtol=0, atol=1e-4)
        torch.testing.assert_close(mask, want[f"mask{level}"])


def test_look_ups_are_those_of_the_reference(reference, deterministic):
    want = reference("lookup_volume")
    volumes = [
        torch.from_numpy(deterministic.array(f"open/lv{i}", (1, 4, *shape)))
        for i, shape in enumerate(want["shapes"].tolist())
    ]
    torch.testing.assert_close(look_up(volumes, want["pts"]), want["trilinear"], rtol=0, atol=1e-5)
    for level, volume in enumerate(volumes):
        seen = is_seen([(volume[:, :1] > 0).float()], want["pts"])
        torch.testing.assert_close(seen.float(), want["nearest"][:, level])
    any_level = is_seen([(volume[:, :1] > 0).float() for volume in volumes], want["pts"])
    torch.testing.assert_close(any_level, want["nearest"].bool().any(dim=1))


def test_first_and_second_derivatives_of_a_look_up_are_those_of_the_reference(reference, deterministic):
    want = reference("lookup_volume")
    shape = want["d_volume"].shape
    number = len(want["d_pts"])
    array = lambda name, size: torch.from_numpy(deterministic.array(f"open/{name}", size))  # noqa: E731
    volume = array("lv0", tuple(shape)).requires_grad_()
    points = want["pts"][:number].clone().requires_grad_()
    g = array("lg", (number, 4)).requires_grad_()
    first = torch.autograd.grad((look_up([volume], points) * g).sum(), (volume, points), create_graph=True)
    assert_relative(first[0], want["d_volume"])
    assert_relative(first[1], want["d_pts"])
    total = (first[0] * array("lg2v", tuple(shape))).sum() + (first[1] * array("lg2p", (number, 3))).sum()
    for name, got in zip(("g", "volume", "pts"), torch.autograd.grad(total, (g, volume, points)), strict=True):
        assert_relative(got, want[f"dd_{name}"])


def assert_relative(got, want):
    assert (got - want).abs().max() <= 1e-4 * want.abs().max()
