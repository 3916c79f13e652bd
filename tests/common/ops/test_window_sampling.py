import numpy as np
import pytest
import torch

from common.ops.window_sampling import Window, compare_windows, sample_windows

WINDOWS = [Window(), Window(1, 1), Window(1, 1, shrink=True), Window(1, 2, shrink=True), Window(2, 1), Window(2, 3)]
VIEWS, HEIGHT, WIDTH, POINTS = 3, 6, 9, 40


def positions(dtype=torch.float64):
    """Inside, on the border and far outside."""
    generator = torch.Generator().manual_seed(0)
    drawn = 3 * torch.rand(VIEWS, POINTS, 2, generator=generator, dtype=dtype) - 1.5
    drawn[:, 0], drawn[:, 1], drawn[:, 2] = 1.0, -1.0, 0.0
    return drawn


def maps(channels, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(VIEWS, channels, HEIGHT, WIDTH, generator=generator, dtype=dtype)


def test_released_windows(golden, deterministic):
    fixture = {key: torch.from_numpy(np.asarray(value)) for key, value in golden("idnerf/window_sampling").items()}
    wanted = {"r0_d1": Window(), "r1_d1": (1, 1), "r1_d2": (1, 2), "r2_d1": (2, 1)}
    for name, window in wanted.items():
        window = window if isinstance(window, Window) else Window(*window, shrink=True)
        for backend in ("torch", "numba"):
            seen = sample_windows(fixture["in_features"], fixture["in_grid"], window, backend)
            seen = seen.movedim(-1, 1)
            torch.testing.assert_close(seen, fixture[f"out_{name}"].reshape(seen.shape), atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_kernels_equal_the_reference(window):
    features, places = maps(20), positions()
    for carried, groups in ((0, 5), (4, 2), (4, 8)):
        theirs = compare_windows(features, places, groups, window, carried, backend="torch")
        ours = compare_windows(features, places, groups, window, carried, backend="numba")
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)
    ours = sample_windows(features, places, window, backend="numba")
    torch.testing.assert_close(ours, sample_windows(features, places, window, backend="torch"))


@pytest.mark.parametrize("window", [Window(), Window(1, 1, shrink=True), Window(2, 3)], ids=str)
def test_gradients_equal_the_reference(window):
    places = positions()
    generator = torch.Generator().manual_seed(2)
    gradients = {}
    for backend in ("torch", "numba"):
        features = maps(20).requires_grad_()
        similarity, seen = compare_windows(features, places, 2, window, carried=4, backend=backend)
        alone = sample_windows(features[:, :3], places, window, backend=backend)
        generator.manual_seed(2)
        weights = [torch.randn(each.shape, generator=generator, dtype=each.dtype) for each in (similarity, seen, alone)]
        loss = sum((each * weight).sum() for each, weight in zip((similarity, seen, alone), weights, strict=True))
        gradients[backend] = torch.autograd.grad(loss, features)[0]
    torch.testing.assert_close(gradients["numba"], gradients["torch"])


def test_equal_views_agree_and_opposite_ones_do_not():
    features = maps(8)[:1].repeat(2, 1, 1, 1)
    places = positions()[:1].repeat(2, 1, 1)
    similarity, _ = compare_windows(features, places, 4)
    torch.testing.assert_close(similarity, torch.ones_like(similarity))
    features[1] *= -2
    torch.testing.assert_close(compare_windows(features, places, 4)[0], -torch.ones_like(similarity))


def test_a_window_on_a_linear_map_reads_its_center():
    x = torch.linspace(0, 1, WIDTH, dtype=torch.float64).expand(1, 1, HEIGHT, WIDTH)
    places = torch.tensor([[[0.0, 0.0], [0.25, -0.5]]], dtype=torch.float64)
    for window in (Window(), Window(1, 1), Window(1, 2)):
        torch.testing.assert_close(sample_windows(x, places, window)[0, :, 0], (places[0, :, 0] + 1) / 2)


def test_positions_that_are_no_numbers_give_finite_values():
    places = positions(torch.float32)
    places[:, 3], places[:, 4] = float("nan"), float("inf")
    similarity, seen = compare_windows(maps(20, torch.float32), places, 2, Window(1, 1, shrink=True), 4)
    assert similarity.isfinite().all() and seen.isfinite().all()


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"3 views with 20 channels and 3 groups"):
        compare_windows(maps(20), positions(), 3)
    with pytest.raises(ValueError, match="at least 2 views"):
        compare_windows(maps(20)[:1], positions()[:1], 2)
