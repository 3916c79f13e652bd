"""CPU kernels of softplus; arrays `P C` of float32, innermost axis contiguous.

With t = exp(-|beta x|) in (0, 1] softplus(x) = max(x, 0) + log(1 + t) / beta and slope(x) = (x > 0 ? 1 : t) / (1 + t).
The exponential is 2^n times a polynomial of the rest, log(1 + t) / t a polynomial of t (least-squares fits at the
Chebyshev points); loops without branches or calls, which the compiler turns into vector instructions.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from common.ops._compile import device_function, kernel, launch

_LOG2E = np.float32(1.4426950408889634)
# Smaller powers of t would be numbers that processors handle a hundred times slower.
_SMALLEST = np.float32(-30)
_HALF, _ZERO, _ONE = np.float32(0.5), np.float32(0), np.float32(1)
# 2^r for |r| <= 1/2, relative error 1e-7.
_E0, _E1, _E2 = np.float32(1.0000000754953489), np.float32(0.6931472067106204), np.float32(0.24022107355830596)
_E3, _E4, _E5 = np.float32(0.05550327214209104), np.float32(0.009676037097864609), np.float32(0.001340043216540429)
# log(1 + t) / t for 0 <= t <= 1, error 1.4e-7.
_L0, _L1, _L2 = np.float32(0.9999998102178478), np.float32(-0.4999744938483608), np.float32(0.3327617657152201)
_L3, _L4, _L5 = np.float32(-0.24499611724605172), np.float32(0.17757023992469323), np.float32(-0.10785367917432162)
_L6, _L7 = np.float32(0.04421419233997316), np.float32(-0.00857467620533311)


@intrinsic
def _power_of_two(typing_context, exponent):
    """2^exponent of a whole float32 from -126 to 127, by writing it where a float keeps it."""

    def generate(context, builder, signature, arguments):
        number = ir.IntType(32)
        biased = builder.add(builder.fptosi(arguments[0], number), number(127))
        return builder.bitcast(builder.shl(biased, number(23)), ir.FloatType())

    return types.float32(types.float32), generate


@device_function
def exp_of_minus(x):
    """exp(-|x|), at least 2^-30."""
    power = -abs(x) * _LOG2E
    power = power if power > _SMALLEST else _SMALLEST
    whole = np.floor(power + _HALF)
    r = power - whole
    rest = _E0 + r * (_E1 + r * (_E2 + r * (_E3 + r * (_E4 + r * _E5))))
    return rest * _power_of_two(whole)


@device_function
def log_of_one_plus(t):
    """log(1 + t) for t from 0 to 1."""
    low = _L0 + t * (_L1 + t * (_L2 + t * _L3))
    return t * (low + (t * t) * (t * t) * (_L4 + t * (_L5 + t * (_L6 + t * _L7))))


@kernel
def _softplus_kernel(start, stop, x, sharpness):
    """Overwrite a range of rows."""
    beta, share = np.float32(sharpness), np.float32(1 / sharpness)
    for row in range(start, stop):
        for c in range(x.shape[1]):
            value = x[row, c]
            x[row, c] = (value if value > _ZERO else _ZERO) + log_of_one_plus(exp_of_minus(value * beta)) * share


@kernel
def _softplus_slope_kernel(start, stop, x, slope, sharpness):
    """Overwrite a range of rows, and write the slope."""
    beta, share = np.float32(sharpness), np.float32(1 / sharpness)
    for row in range(start, stop):
        for c in range(x.shape[1]):
            value = x[row, c]
            t = exp_of_minus(value * beta)
            slope[row, c] = np.divide(_ONE if value > _ZERO else t, _ONE + t)  # `/` would check for zero
            x[row, c] = (value if value > _ZERO else _ZERO) + log_of_one_plus(t) * share


def softplus(x: Tensor, beta: float, slope: Tensor | None) -> None:
    """Overwrite `x`, fill `slope`."""
    if slope is None:
        launch(_softplus_kernel, len(x), x, float(beta))
    else:
        launch(_softplus_slope_kernel, len(x), x, slope, float(beta))
