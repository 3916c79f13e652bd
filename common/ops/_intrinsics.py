"""What numba does not say to the processor by itself, for kernels that read large tables in pieces of 8 numbers.

Numba unrolls short loops and then does not find the vectors in them.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _KEEP_IN_ALL_CACHES, _DATA = 0, 3, 1


@intrinsic
def prefetch(typing_context, array, index):
    """`prefetch(array, index)`: element `index` of a one-dimensional array will be read soon."""

    def generate(context, builder, signature, arguments):
        address = builder.bitcast(_address(context, builder, signature, arguments, 0), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], shape)
        builder.call(function, [address, number(_READ), number(_KEEP_IN_ALL_CACHES), number(_DATA)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def add_scaled_8(typing_context, y, first_y, x, first_x, factor):
    """`y[first_y : first_y + 8] += factor * x[first_x : first_x + 8]`, one-dimensional float32 arrays."""

    def generate(context, builder, signature, arguments):
        vector = ir.VectorType(ir.FloatType(), 8)
        target, source = (
            builder.bitcast(_address(context, builder, signature, arguments, place), vector.as_pointer())
            for place in (0, 2)
        )
        empty = ir.Constant(vector, ir.Undefined)
        lane = builder.insert_element(empty, arguments[4], ir.Constant(ir.IntType(32), 0))
        factors = builder.shuffle_vector(lane, empty, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))
        product = builder.fmul(factors, builder.load(source, align=4), flags=("contract",))
        builder.store(builder.fadd(builder.load(target, align=4), product, flags=("contract",)), target, align=4)
        return context.get_dummy_value()

    return types.void(y, types.int64, x, types.int64, types.float32), generate


def _address(context, builder, signature, arguments, place):
    """Of the element that the arguments `place` (array) and `place + 1` (index) name."""
    kind = signature.args[place]
    array = context.make_array(kind)(context, builder, arguments[place])
    return cgutils.get_item_pointer(context, builder, kind, array, [arguments[place + 1]], wraparound=False)
