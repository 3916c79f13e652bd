import itertools
import sys
import types

import pytest
import torch
from torch.nn import functional

from common.ops.sparse_conv import (
    Voxels,
    sparse_conv3d,
    sparse_conv_transpose3d,
    sparse_instance_norm,
    torchsparse_kernels,
)

SIZES = [(6, 6, 6), (5, 8, 3)]


def random(*size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(sum(size)), dtype=torch.float64)


def occupied(size, share=0.4):
    return Voxels.of(torch.rand(size, generator=torch.Generator().manual_seed(0)) < share)


def dense_convolution(values, voxels, weight, bias=None, stride=1):
    return functional.conv3d(voxels.scatter(values), weight, bias, stride=stride, padding=1)


def dense_transposed(values, voxels, weight, doubled):
    padding = [fine - 2 * coarse + 1 for fine, coarse in zip(doubled.size, voxels.size, strict=True)]
    return functional.conv_transpose3d(voxels.scatter(values), weight, stride=2, padding=1, output_padding=padding)


def assert_same_with_gradients(got, want, inputs):
    torch.testing.assert_close(got, want)
    cotangent = random(*got.shape)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, cotangent), torch.autograd.grad(want, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [1, 0.4, 0.03])
def test_a_convolution_is_the_dense_one_at_the_occupied_voxels(size, share):
    voxels = occupied(size, share)
    inputs = [x.requires_grad_() for x in (random(len(voxels), 3), random(4, 3, 3, 3, 3), random(4))]
    values, weight, bias = inputs
    got = sparse_conv3d(values, voxels, weight, bias)
    assert_same_with_gradients(got, voxels.gather(dense_convolution(values, voxels, weight, bias)), inputs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [1, 0.4, 0.03])
def test_a_convolution_of_stride_2_is_the_dense_one_where_results_are_wanted(size, share):
    voxels = occupied(size, share)
    coarse = occupied(voxels.halved().size, share)
    inputs = [x.requires_grad_() for x in (random(len(voxels), 3), random(4, 3, 3, 3, 3))]
    values, weight = inputs
    got = sparse_conv3d(values, voxels, weight, halved=coarse)
    assert_same_with_gradients(got, coarse.gather(dense_convolution(values, voxels, weight, stride=2)), inputs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [1, 0.4, 0.03])
def test_a_transposed_convolution_is_the_dense_one_where_results_are_wanted(size, share):
    doubled = occupied(size, share)
    voxels = occupied(doubled.halved().size, max(share, 0.4))
    inputs = [x.requires_grad_() for x in (random(len(voxels), 4), random(4, 3, 3, 3, 3))]
    values, weight = inputs
    got = sparse_conv_transpose3d(values, voxels, weight, doubled)
    assert_same_with_gradients(got, doubled.gather(dense_transposed(values, voxels, weight, doubled)), inputs)


def test_gradients_are_those_of_finite_differences():
    voxels = occupied((4, 3, 2))
    coarse = voxels.halved()
    inputs = [x.requires_grad_() for x in (random(len(voxels), 2), random(3, 2, 3, 3, 3), random(3, 2, 3, 3, 3))]

    def there_and_back(values, down, up):
        return sparse_conv_transpose3d(sparse_conv3d(values, voxels, down, halved=coarse), coarse, up, voxels)

    assert torch.autograd.gradcheck(there_and_back, inputs, fast_mode=True)


def test_normalisation_sees_occupied_voxels_only():
    voxels = occupied((5, 6, 7))
    values = random(len(voxels), 3) * 4 + 7
    normal = sparse_instance_norm(values)
    torch.testing.assert_close(normal.mean(dim=0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(normal.var(dim=0, correction=0), torch.ones(3, dtype=torch.float64), rtol=1e-5, atol=0)


def test_normalisation_of_one_voxel_is_refused():
    with pytest.raises(ValueError, match="two occupied voxels or more at every level, got 1"):
        sparse_instance_norm(torch.ones(1, 3))


@pytest.mark.parametrize("size", SIZES)
def test_voxels_are_in_the_order_of_a_dense_tensor(size):
    mask = random(*size) > 0.5
    voxels = Voxels.of(mask)
    assert torch.equal(torch.stack(voxels.coordinates(), dim=1), mask.nonzero())
    volume = random(1, 2, *size)
    values = voxels.gather(volume)
    assert torch.equal(voxels.scatter(values), volume * mask)
    parts = [Voxels.of(part, first, len(mask)) for first, part in ((0, mask[:2]), (2, mask[2:]))]
    assert torch.equal(torch.cat([part.keys for part in parts]), voxels.keys)


def test_half_the_size_keeps_every_voxel_that_holds_an_occupied_one():
    mask = random(6, 4, 8) > 1.5
    want = functional.max_pool3d(mask[None].double(), 2)[0] > 0
    halved = Voxels.of(mask).halved()
    assert torch.equal(halved.keys, Voxels.of(want).keys) and halved.size == (3, 2, 4)


def test_without_voxels_there_are_no_results():
    nothing = Voxels.of(torch.zeros(4, 4, 4, dtype=torch.bool))
    some = occupied((2, 2, 2))
    assert sparse_conv3d(torch.zeros(0, 3), nothing, torch.ones(4, 3, 3, 3, 3)).shape == (0, 4)
    got = sparse_conv3d(torch.zeros(0, 3), nothing, torch.ones(4, 3, 3, 3, 3), halved=some)
    assert torch.equal(got, torch.zeros(len(some), 4))


def test_values_of_other_voxels_and_grids_of_other_sizes_are_refused():
    voxels, weight = occupied((4, 4, 4)), torch.ones(2, 3, 3, 3, 3)
    with pytest.raises(ValueError, match="values of 1"):
        sparse_conv3d(torch.ones(1, 3), voxels, weight)
    with pytest.raises(ValueError, match="is not half of"):
        sparse_conv3d(torch.ones(len(voxels), 3), voxels, weight, halved=voxels)


def fake_torchsparse(offsets, is_batch_first):
    """What torchsparse promises: submanifold convolution with kernels `27 C O`, here in a given order of offsets."""

    class SparseTensor:
        def __init__(self, feats, coords):
            assert coords.dtype == torch.int32
            self.feats, self.coords = feats, coords

    class Conv3d(torch.nn.Module):
        def __init__(self, in_channels, out_channels, kernel_size, bias):
            super().__init__()
            assert kernel_size == 3 and not bias
            self.kernel = torch.nn.Parameter(torch.rand(27, in_channels, out_channels))

        def forward(self, x):
            # Batch and place, the batch first.
            rows = [tuple(row if is_batch_first else row[-1:] + row[:-1]) for row in x.coords.tolist()]
            where = {row: i for i, row in enumerate(rows)}
            result = []
            for batch, *place in rows:
                total = self.kernel.new_zeros(self.kernel.shape[2])
                for tap, offset in enumerate(offsets):
                    row = where.get((batch, *[a + b for a, b in zip(place, offset, strict=True)]))
                    if row is not None:
                        total = total + x.feats[row] @ self.kernel[tap]
                result.append(total)
            return SparseTensor(torch.stack(result), x.coords)

    package, layers = types.ModuleType("torchsparse"), types.ModuleType("torchsparse.nn")
    package.SparseTensor, package.nn, layers.Conv3d = SparseTensor, layers, Conv3d
    return {"torchsparse": package, "torchsparse.nn": layers}


@pytest.fixture
def install(monkeypatch):
    caches = (torchsparse_kernels._layout, torchsparse_kernels._layer)

    def put(modules):
        for cache in caches:
            cache.cache_clear()
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    yield put
    for cache in caches:
        cache.cache_clear()


LAST_FASTEST = list(itertools.product((-1, 0, 1), repeat=3))
ORDERS = [LAST_FASTEST, [offset[::-1] for offset in LAST_FASTEST], LAST_FASTEST[::-1]]


@pytest.mark.parametrize("offsets", ORDERS, ids=["last fastest", "first fastest", "mirrored"])
@pytest.mark.parametrize("is_batch_first", [True, False])
def test_torchsparse_gets_the_dense_weights_in_its_own_order(install, offsets, is_batch_first):
    install(fake_torchsparse(offsets, is_batch_first))
    voxels = occupied((4, 3, 5))
    inputs = [x.float().requires_grad_() for x in (random(len(voxels), 3), random(2, 3, 3, 3, 3))]
    state = torch.random.get_rng_state()
    got = torchsparse_kernels.convolve(inputs[0], voxels, inputs[1].permute(2, 3, 4, 1, 0).flatten(0, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    want = sparse_conv3d(inputs[0], voxels, inputs[1], backend="torch")
    torch.testing.assert_close(got, want)
    cotangent = torch.ones_like(want)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, cotangent), torch.autograd.grad(want, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_torchsparse_that_computes_something_else_is_refused(install):
    install(fake_torchsparse([(0, 0, 0)] * 27, True))
    voxels = occupied((2, 2, 2))
    with pytest.raises(RuntimeError, match="POLYVIEW_BACKEND=torch"):
        torchsparse_kernels.convolve(torch.ones(len(voxels), 3), voxels, torch.ones(27, 3, 2))


def test_torchsparse_on_the_cpu_is_refused_by_name():
    voxels = occupied((2, 2, 2))
    with pytest.raises(ValueError, match="needs every tensor on cuda"):
        sparse_conv3d(torch.ones(len(voxels), 3), voxels, torch.ones(2, 3, 3, 3, 3), backend="torchsparse")
