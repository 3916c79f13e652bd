"""Triton kernels against the reference: on the GPU where there is one, else in Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.ops.hash_grid import HashGridLayout, hash_encode
from common.ops.plane_sweep import sweep_adaptive, sweep_variance, warp_features
from common.ops.view_sampling import sample_views
from common.ops.volume_sampling import sample_volume

pytest.importorskip("triton", reason="Triton has no build for this platform")
import triton.language as tl

from common.ops import _triton

OPS = ("hash_grid", "plane_sweep", "view_sampling", "volume_sampling")


@pytest.fixture(params=["one tile", "many tiles"])
def tiles(request, monkeypatch):
    """Few positions and channels per program bring tiles that are cut off and loops over channels to small arrays."""
    if request.param == "many tiles":
        monkeypatch.setattr(_triton, "TILE", 64)
        monkeypatch.setattr(_triton, "MOST_CHANNELS", 4)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def sweep(generator, tiles):
    """Three sources: one sees nearly all, one a part; the third has what it is shown behind it in the second entry."""
    features = torch.randn(2, 3, 5, 4, 6, generator=generator)
    matrix = torch.eye(4)[:3].repeat(2, 3, 1, 1) + 0.02 * torch.randn(2, 3, 3, 4, generator=generator)
    matrix[:, 1, 0, 3], matrix[:, 2, 1, 3] = 3.0, -2.0
    matrix[1, 2, 2] *= -1
    return features, matrix, 1.0 + torch.rand(2, 2, 3, 7, generator=generator)


@pytest.fixture
def views(generator, tiles):
    """Two sources and a target around the origin; some points project outside, one lies behind the sources."""
    features = torch.randn(2, 2, 5, 7, 9, generator=generator)
    points = 0.7 * torch.randn(2, 3, 7, 3, generator=generator)
    points[0, 0, 0] = torch.tensor([0.1, 0.2, -5.0])
    intrinsics = torch.tensor([[6.0, 0.0, 4.0], [0.0, 6.0, 3.0], [0.0, 0.0, 1.0]]).repeat(2, 2, 1, 1)
    world_to_cam = torch.eye(4).repeat(2, 2, 1, 1)
    world_to_cam[:, 0, :3, 3] = torch.tensor([0.3, 0.1, 2.0])
    world_to_cam[:, 1, :3, 3] = torch.tensor([-0.4, 0.2, 1.8])
    target_center = torch.tensor([[0.0, 0.1, -2.1], [0.2, 0.0, -1.9]])
    return features, points, intrinsics, world_to_cam, target_center


@pytest.fixture
def volume(generator, tiles):
    """Points inside, beside the faces, and far outside."""
    coordinates = 0.5 + 2.0 * (torch.rand(2, 3, 7, 3, generator=generator) - 0.5)
    return torch.randn(2, 5, 3, 4, 6, generator=generator), coordinates


@pytest.fixture(params=[8, 1])
def hash_grid(generator, tiles, request):
    """One dense level and two hashed ones, read inside the unit cube, on its far corner, outside, and far outside."""
    layout = HashGridLayout(3, request.param, 9, 6, 2.1)
    assert [layout.is_hashed(level) for level in range(3)] == [False, True, True]
    points = torch.rand(21, 3, generator=generator)
    points[3:7] = torch.tensor([1.0, -2.3, 1e12, -1e12])[:, None]
    return layout, points, torch.randn(layout.num_parameters, generator=generator)


def evaluate(op, inputs, differentiable, backend):
    """Result and gradients of a weighted sum of it, on the CPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    inputs = [tensor.to(device).requires_grad_(index in differentiable) for index, tensor in enumerate(inputs)]
    result = op(*inputs, backend=backend)
    if not differentiable:
        return [result.cpu()]
    weights = torch.linspace(-1, 2, result.numel(), device=device).reshape(result.shape)
    gradients = torch.autograd.grad((result * weights).sum(), [inputs[index] for index in differentiable])
    return [tensor.detach().cpu() for tensor in (result, *gradients)]


def assert_same(op, inputs, differentiable):
    want = evaluate(op, [tensor.clone() for tensor in inputs], differentiable, "torch")
    got = evaluate(op, [tensor.clone() for tensor in inputs], differentiable, "triton")
    assert (want[0] == 0).any() == (got[0] == 0).any()
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_features_seen_and_their_gradients_are_those_of_the_reference(sweep):
    assert_same(warp_features, sweep, (0, 2))


def test_variance_and_its_gradient_are_those_of_the_reference(sweep):
    assert_same(sweep_variance, sweep, (0,))


def test_adaptive_aggregation_is_that_of_the_reference(sweep, generator):
    target = torch.randn(2, 5, 3, 7, generator=generator)

    def aggregate(*inputs, backend):
        return sweep_adaptive(*inputs, lambda squared, plane: 1 / (1 + plane + squared.sum(1, True)), backend=backend)

    assert_same(aggregate, (*sweep, target), ())


def test_view_vectors_and_their_gradients_are_those_of_the_reference(views):
    assert_same(sample_views, views, (0, 1))


def test_values_of_a_volume_and_their_gradients_are_those_of_the_reference(volume):
    assert (sample_volume(*volume, "torch") == 0).any()
    assert_same(sample_volume, volume, (0, 1))


@pytest.mark.parametrize("interpolation", ["smoothstep", "linear"])
def test_the_hash_encoding_and_its_gradients_are_those_of_the_reference(hash_grid, interpolation):
    layout, *inputs = hash_grid

    def encode(*inputs, backend):
        return hash_encode(*inputs, layout, interpolation, backend)

    assert_same(encode, inputs, (0, 1))


def test_what_is_not_a_number_lies_outside(sweep, volume):
    features, matrix, depth = sweep
    depth[0, 0, 0, 0] = volume[1][0, 0, 0, 0] = torch.nan
    warped, grad_features, _ = evaluate(warp_features, (features, matrix, depth), (0, 2), "triton")
    assert (warped[0, :, :, 0, 0, 0] == 0).all() and torch.isfinite(grad_features).all()
    samples, grad_volume, _ = evaluate(sample_volume, volume, (0, 1), "triton")
    assert (samples[0, 0, 0] == 0).all() and torch.isfinite(grad_volume).all()


def test_no_points_are_no_work(views, volume):
    features, points, *cameras = views
    assert evaluate(sample_views, (features, points[:, :0], *cameras), (0, 1), "triton")[0].shape == (2, 2, 0, 7, 9)
    assert evaluate(sample_volume, (volume[0], volume[1][:, :0]), (0, 1), "triton")[1].eq(0).all()


def test_offsets_do_not_overflow_in_arrays_of_more_than_two_to_the_31_elements():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    offsets = torch.zeros(1, 2, dtype=torch.int64, device=device)
    _triton.launch(_offset_kernel, 1, 1, offsets, 60_000, 50_000, C=8, BLOCK=1)
    assert offsets.tolist() == [[(49_999 * 60_000 + 59_999) * 8, (49_999 * 60_000 + 59_999) * 8 + 1]]


@_triton.kernel
def _offset_kernel(offsets, w, h, C: tl.constexpr, BLOCK: tl.constexpr):
    """Offsets of two channels of a map's last pixel."""
    last = tl.zeros((1,), tl.int32)
    offset, _ = _triton.tap(0, last + (w - 1), last + (h - 1), tl.arange(0, 2), h, w, C)
    tl.store(offsets + tl.arange(0, 2)[None, :], offset)


def test_another_dtype_or_device_is_refused(volume, monkeypatch):
    with pytest.raises(ValueError, match=r"backend='triton' of sample_volume takes torch.float32, got torch.float64"):
        evaluate(sample_volume, [tensor.double() for tensor in volume], (), "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="needs every tensor on cuda, got cpu"):
        sample_volume(*volume, "triton")


def test_every_kernel_compiles_for_a_gpu(tmp_path):
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("compile_kernels.py")), "90", *OPS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 16, done.stdout
