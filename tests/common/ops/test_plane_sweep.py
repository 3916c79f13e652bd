import pytest
import torch

from common.feature_sampling import target_to_source
from common.ops.plane_sweep import sweep_variance, warp_features


@pytest.fixture
def sweep():
    """Two targets, three sources, of which two are seen in part."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 5, 6, 8, generator=generator, dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)[:3].repeat(2, 3, 1, 1)
    matrix += 0.02 * torch.randn(2, 3, 3, 4, generator=generator, dtype=torch.float64)
    matrix[:, 1, 0, 3], matrix[:, 2, 1, 3] = 3.0, -4.0
    depth = 1.0 + torch.rand(2, 4, 5, 7, generator=generator, dtype=torch.float64)
    return features, matrix, depth


def test_a_shifted_camera_sees_the_neighbouring_pixel_at_the_right_depth():
    intrinsics = torch.tensor([[4.0, 0.0, 2.0], [0.0, 4.0, 1.0], [0.0, 0.0, 1.0]])[None]
    source = torch.eye(4)[None, None].clone()
    source[..., 0, 3] = 1.0
    matrix = target_to_source(intrinsics[:, None], source, intrinsics, torch.eye(4)[None])
    features = torch.arange(5.0).expand(1, 1, 1, 3, 5)
    # A camera one unit to the left sees a point at depth 4 one pixel (focal 4) further right; the last column leaves.
    warped = warp_features(features, matrix, torch.full((1, 1, 3, 5), 4.0))
    torch.testing.assert_close(warped[0, 0, 0, 0, 1], torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]))


def test_variance_and_context_of_two_views_by_hand():
    features = torch.tensor([1.0, 5.0]).reshape(1, 2, 1, 1, 1).expand(1, 2, 1, 3, 3)
    matrix = torch.eye(4)[:3].repeat(1, 2, 1, 1)
    volume = sweep_variance(features, matrix, torch.ones(1, 1, 3, 3))
    # Mean 3, variance (1 + 25) / 2 - 9 = 4, context 9 / 2.
    torch.testing.assert_close(volume[0, :, 0, 1, 1], torch.tensor([4.0, 4.5]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("op", [warp_features, sweep_variance])
def test_the_kernel_gives_what_the_reference_gives(sweep, op, dtype):
    sweep = [tensor.to(dtype) for tensor in sweep]
    want = op(*sweep, backend="torch")
    torch.testing.assert_close(op(*sweep, backend="numba"), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", [warp_features, sweep_variance])
def test_gradients_of_features_agree(sweep, op):
    assert_same_gradients(sweep, op, needed=(0,))


def test_gradients_of_hypotheses_agree(sweep):
    assert_same_gradients(sweep, warp_features, needed=(0, 2))


def assert_same_gradients(sweep, op, needed):
    gradients = []
    for backend in ("torch", "numba"):
        inputs = [tensor.clone().requires_grad_(index in needed) for index, tensor in enumerate(sweep)]
        result = op(*inputs, backend=backend)
        weights = torch.linspace(-1, 2, result.numel(), dtype=torch.float64).reshape(result.shape)
        gradients.append(torch.autograd.grad((result * weights).sum(), [inputs[index] for index in needed]))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-7, atol=1e-9)


def test_the_kernel_refuses_gradients_that_it_lacks(sweep):
    features, matrix, depth = sweep
    depth = depth.clone().requires_grad_()
    with pytest.raises(ValueError, match="no back-end 'numba' here"):
        sweep_variance(features, matrix, depth, backend="numba")
    sweep_variance(features, matrix, depth).sum().backward()
    assert depth.grad.abs().sum() > 0


def test_a_single_pixel_map_has_one_value_everywhere_inside():
    features = torch.full((1, 2, 3, 1, 1), 7.0)
    matrix = torch.zeros(1, 2, 3, 4)
    matrix[..., 2, 2] = 1.0
    for backend in ("torch", "numba"):
        warped = warp_features(features, matrix, torch.ones(1, 1, 2, 2), backend=backend)
        assert torch.isfinite(warped).all()


def test_the_environment_chooses_the_default(sweep, monkeypatch):
    monkeypatch.setenv("POLYVIEW_BACKEND", "torch")
    monkeypatch.setattr("common.ops.plane_sweep._Warp.apply", lambda *_: pytest.fail("the kernel ran"))
    warp_features(*sweep)


def test_a_named_back_end_that_cannot_run_is_refused(sweep, monkeypatch):
    with pytest.raises(ValueError, match="backend='triton' of warp_features"):
        warp_features(*sweep, backend="triton")
    monkeypatch.setenv("POLYVIEW_BACKEND", "cuda")
    with pytest.raises(ValueError, match="no back-end 'cuda' here; choose from"):
        warp_features(*sweep)
