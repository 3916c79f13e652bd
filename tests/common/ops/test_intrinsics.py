import numpy as np
from numba import njit

from common.ops._intrinsics import dense_block


@njit
def _two_blocks(weight, x, y, inputs, stride):
    for block in range(2):
        dense_block(weight, block * (inputs + 1) * 8, inputs, x, 16, y, block * 8 * stride + 16, stride)


def test_a_block_is_the_product_of_weights_and_lanes():
    generator = np.random.default_rng(0)
    weight, bias = generator.normal(size=(16, 5)).astype("f"), generator.normal(size=16).astype("f")
    x, y = generator.normal(size=(5, 48)).astype("f"), np.zeros((16, 48), "f")
    packed = np.concatenate([weight, bias[:, None]], axis=1).reshape(2, 8, 6).transpose(0, 2, 1)
    _two_blocks(np.ascontiguousarray(packed).reshape(-1), x.reshape(-1), y.reshape(-1), 5, 48)
    np.testing.assert_allclose(y[:, 16:32], weight @ x[:, 16:32] + bias[:, None], rtol=1e-5, atol=1e-6)
    assert not y[:, :16].any()
    assert not y[:, 32:].any()
